"""One HTTP request and its response, over a connection of its own; the body may be endless.

This is httpx's transport without its client: it follows no redirect, ignores the environment's proxies
and .netrc, and keeps no cookie. The body is read no faster than it is consumed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import ssl
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

try:
    import httpx
except ModuleNotFoundError:
    missing = "chatrooms.client needs httpx: pip install 'chatrooms[client]'"
    raise ModuleNotFoundError(missing, name="httpx") from None

CONNECT_TIMEOUT = 10.0  # seconds
ANSWER_TIMEOUT = 60.0  # seconds until the head of a response
FIRST_DELAY = 0.3  # seconds
LONGEST_DELAY = 10.0
CLOSED = "the client is closed"


class Refused(Exception):
    """The server refused: `status`, `code` and a sentence; `retry_after` in seconds, 0 when it gave none."""

    def __init__(self, status: int, code: str, sentence: str, retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Whether a retry may succeed: over a rate limit, full, draining, or a proxy without its server."""
        return self.status in (429, 502, 503, 504)


class Exchange:
    """A request that was sent, and its response: `status`, `headers` (names are case-insensitive), `read()`."""

    def __init__(self, response: httpx.Response, transport: httpx.AsyncHTTPTransport) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._transport = transport
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._pieces = aiter(response.stream)  # what aiter_raw() passes on

    async def read(self) -> bytes:
        """The next piece of the body, b"" at its end. Raises OSError if the connection is cut before that."""
        try:
            return await anext(self._pieces, b"")
        except httpx.TransportError as error:
            raise _os_error(error) from None

    async def body(self) -> bytes:
        """The whole body. Raises OSError."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def refusal(self) -> Refused:
        """The refusal in the response, also when a proxy made it. Raises OSError."""
        try:
            problem = json.loads(await self.body())
            sentence, code = problem["error"], problem["code"]
        except (ValueError, KeyError, TypeError):
            sentence, code = f"The server answered {self.status}.", "unknown"
        retry_after = self.headers.get("retry-after", "")
        return Refused(self.status, code, sentence, float(retry_after) if retry_after.isdigit() else 0.0)

    async def close(self) -> None:
        """Closes the connection; safe to call twice."""
        await self._transport.aclose()


class Http:
    """One server, by its URL; `tls` holds the authorities to trust for https (default: the system's)."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self._url = httpx.URL(url)
        secure = self._url.scheme == "https"
        self._context = (tls or ssl.create_default_context()) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._transports: weakref.WeakSet[httpx.AsyncHTTPTransport] = weakref.WeakSet()
        self._closed = False

    async def open(self, method: str, target: str, headers: Mapping[str, str], content: bytes | None) -> Exchange:
        """Sends a request and waits for the head of its response.

        Raises OSError; ValueError for a target or header that HTTP forbids; RuntimeError after `close`.
        """
        if self._closed:
            raise RuntimeError(CLOSED)
        _check(target, headers)
        sent = {**headers, "Connection": "close"}
        if content is not None:
            sent["Content-Type"] = "application/json"
        path = self._url.raw_path.partition(b"?")[0].rstrip(b"/")
        extensions = {"target": path + target.encode(), "timeout": {"connect": CONNECT_TIMEOUT}}
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        request = httpx.Request(method, self._url, headers=pairs, content=content, extensions=extensions)
        # A transport each: a shared one looks through all of its connections for each request.
        transport = httpx.AsyncHTTPTransport(verify=self._context, trust_env=False)
        self._transports.add(transport)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                exchange = Exchange(await transport.handle_async_request(request), transport)
        except httpx.TransportError as error:
            raise _os_error(error) from None
        if self._closed:  # meanwhile
            await exchange.close()
            raise RuntimeError(CLOSED)
        return exchange

    async def close(self) -> None:
        """Closes all connections for good."""
        self._closed = True
        for transport in list(self._transports):
            await transport.aclose()


def _check(target: str, headers: Mapping[str, str]) -> None:
    """Refuses what HTTP forbids (RFC 9112, 3.2; RFC 9110, 5.5); httpx would log it, tokens included."""
    whole = all(value.isprintable() and value == value.strip() for value in headers.values())
    if not whole or not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("the request holds characters that HTTP does not allow")


def delay(failures: int, asked: float = 0.0) -> float:
    """Seconds to wait after that many consecutive failures: doubling, capped, with jitter.

    Never less than the server asked for by `retry:` or Retry-After.
    """
    return max(asked, min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1.0))


def _os_error(error: httpx.TransportError) -> OSError:
    """The cause below httpx: a refused connection, an untrusted certificate."""
    found = OSError(str(error) or "the connection was cut")
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, OSError):
            found, cause = cause, cause.__cause__
        else:
            cause = cause.__cause__ or cause.__context__
    return found


EARLY = 30.0  # a token is renewed this many seconds before it expires, or a fifth of its life if that is less

Source = Callable[[], Awaitable[str]]


class Credentials:
    """Holds a token and renews it before it expires, once for all callers that wait.

    The next one comes from `source`, or from `refresh` with the last refresh token.
    """

    def __init__(self, token: str, refresh_token: str, source: Source | None, refresh: Callable[[str], Any]) -> None:
        self.token = ""
        self.refresh_token = refresh_token
        self._source = source
        self._refresh = refresh
        self._renewing: asyncio.Task[None] | None = None
        self._renew_at = float("inf")
        self._take(token)

    @property
    def renewable(self) -> bool:
        return bool(self._source or self.refresh_token)

    def keep(self, tokens: dict[str, Any]) -> None:
        """Stores the tokens of a sign-in's response."""
        self.refresh_token = tokens["refreshToken"]
        self._take(tokens["token"])

    async def fresh(self) -> str:
        """A token that stays valid for a while, or "" for none. Raises Refused, OSError."""
        if self.renewable and (not self.token or time.time() >= self._renew_at):
            await self._renew()
        return self.token

    async def renew(self, refused: str) -> bool:
        """Replaces a refused token; False when there is no other."""
        if self.token == refused:
            if not self.renewable:
                return False
            await self._renew()
        return self.token != refused

    async def _renew(self) -> None:
        """Runs one renewal at a time; cancelling one waiter does not cancel it for the others."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._get_next())
        await asyncio.shield(self._renewing)

    async def _get_next(self) -> None:
        if self._source is not None:
            self._take(await self._source())
        else:
            self.keep(await self._refresh(self.refresh_token))

    def _take(self, token: str) -> None:
        self.token = token
        ends_at = expiry(token)
        self._renew_at = ends_at - min(EARLY, (ends_at - time.time()) / 5)


def expiry(token: str) -> float:
    """When a JWT expires, in seconds since 1970; infinity if it does not say. Nothing is verified."""
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (ValueError, LookupError, TypeError):
        return float("inf")
