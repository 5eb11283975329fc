"""A client of the server's own API, for the command line, tests and scripts.

`Client` signs in and calls; `Client.room` reads a room as it goes, resuming after a drop where it
stopped: by the id of the last event, with the delay the server asked for, grown and jittered.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from chatrooms.sse import Parser, ServerEvent

MAX_STREAM = 1 << 50  # bytes of one response: a stream has no natural end
TIMEOUT = 30.0  # seconds for a call
LONGEST_DELAY = 10.0  # seconds between two tries
MIN_DELAY = 0.2


class Refused(Exception):
    """The server said no: `status`, `code` and a sentence."""

    def __init__(self, status: int, code: str, sentence: str, retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether the same may succeed later."""
        return self.status in (429, 503)


class Client:
    """One user of one server. Use it as an async context manager."""

    def __init__(self, url: str, token: str = "", username: str = "") -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._refresh_token = ""
        self.username = username
        # An instance of its own: the shared one's limits are for short answers.
        self._http = SimpleAsyncHTTPClient(force_instance=True, max_clients=100, max_body_size=MAX_STREAM)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    async def sign_in_as_guest(self, username: str) -> None:
        """Becomes a new guest. Raises Refused."""
        tokens = await self._call("POST", "/api/auth/guest", {"username": username})
        self._keep(tokens)
        self.username = tokens["user"]["username"]

    async def refresh(self) -> bool:
        """Renews the token; False when there is nothing to renew it with."""
        if not self._refresh_token:
            return False
        self._keep(await self._call("POST", "/api/auth/refresh", {"refreshToken": self._refresh_token}))
        return True

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """The decoded answer; a token that ran out is renewed once. Raises Refused, OSError."""
        try:
            return await self._call(method, path, body)
        except Refused as refused:
            if refused.status != 401 or not await self.refresh():
                raise
        return await self._call(method, path, body)

    async def send(self, room_id: str, text: str) -> dict[str, Any]:
        """Says something, exactly once however often the connection fails. Raises Refused."""
        body = {"message": text, "username": self.username, "clientMessageId": secrets.token_urlsafe(12)}
        path = f"/api/rooms/{quote(room_id, safe='')}/messages"
        for attempt in range(8):
            try:
                answer: dict[str, Any] = await self.call("POST", path, body)
                return answer
            except OSError:
                await asyncio.sleep(_delay(attempt, 0.5))
        answer = await self.call("POST", path, body)
        return answer

    async def room(self, room_id: str, history: int = 0) -> AsyncIterator[ServerEvent]:
        """The events of a room, for ever: no gap and no repeat over reconnects. Raises Refused."""
        query = {"roomId": room_id, "username": self.username, "clientId": secrets.token_urlsafe(9)}
        async with aclosing(self._follow("/events", query, {"history": str(history)} if history else {})) as events:
            async for event in events:
                yield event

    async def task(self, task_id: str) -> AsyncIterator[ServerEvent]:
        """The progress of a task until its end, over reconnects. Raises Refused."""
        path = f"/api/v1/sse/tasks/{quote(task_id, safe='')}/progress"
        async with aclosing(self._follow(path, {}, {})) as events:
            async for event in events:
                yield event
                if event.type in ("complete", "error"):
                    return

    async def _follow(
        self, path: str, query: dict[str, str], first: dict[str, str]
    ) -> AsyncGenerator[ServerEvent, None]:
        """The events of a stream, each connection from where the last one stopped; `first` is asked of the first."""
        position, attempt = "", 0
        while True:
            more = {"lastEventId": position} if position else first
            retry = 1.0
            try:
                async for event, parser in self._stream(f"{path}?{urlencode({**query, **more})}"):
                    attempt = 0
                    position = event.last_event_id or position
                    retry = (parser.retry or 1000) / 1000
                    yield event
                    if event.type == "closing" and not json.loads(event.data)["reconnect"]:
                        return
            except Refused as refused:
                if refused.status == 401 and attempt == 0 and await self.refresh():
                    retry = 0.0
                elif not refused.passing:
                    raise
                retry = max(retry, refused.retry_after)
            except OSError:
                pass
            await asyncio.sleep(max(retry, _delay(attempt, MIN_DELAY)))
            attempt += 1

    async def _stream(self, path: str) -> AsyncIterator[tuple[ServerEvent, Parser]]:
        """The events of one connection. Raises Refused, OSError."""
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        request = self._request("GET", path, None, 0.0)
        request.streaming_callback = chunks.put_nowait
        response = asyncio.ensure_future(self._http.fetch(request, raise_error=False))
        response.add_done_callback(lambda _: chunks.put_nowait(None))
        parser = Parser()
        try:
            while (chunk := await chunks.get()) is not None:
                if chunk.startswith(b'{"error"') and parser.last_event_id == "":
                    break
                for event in parser.feed(chunk):
                    yield event, parser
            answer = await response
            if answer.code != 200:
                raise _refused(answer, chunk or b"")
        except HTTPClientError as error:
            raise OSError(str(error)) from None
        finally:
            response.cancel()

    async def _call(self, method: str, path: str, body: object) -> Any:
        request = self._request(method, path, body, TIMEOUT)
        try:
            response = await self._http.fetch(request, raise_error=False)
        except HTTPClientError as error:
            raise OSError(str(error)) from None
        if response.code >= 400:
            raise _refused(response, response.body)
        return json.loads(response.body) if response.body else None

    def _request(self, method: str, path: str, body: object, timeout: float) -> HTTPRequest:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        encoded = None if body is None else json.dumps(body)
        return HTTPRequest(
            self._url + path, method, headers, encoded,
            request_timeout=timeout, connect_timeout=TIMEOUT, allow_nonstandard_methods=True,
        )  # fmt: skip

    def _keep(self, tokens: dict[str, Any]) -> None:
        self._token, self._refresh_token = tokens["token"], tokens["refreshToken"]


def _refused(response: HTTPResponse, body: bytes) -> Refused:
    if response.code == 599:
        raise OSError(str(response.error))
    try:
        problem = json.loads(body)
        sentence, code = problem["error"], problem["code"]
    except (ValueError, KeyError, TypeError):
        sentence, code = f"The server answered {response.code}.", "unknown"
    return Refused(response.code, code, sentence, float(response.headers.get("Retry-After", 0) or 0))


def _delay(attempt: int, first: float) -> float:
    """Seconds to wait after that many failures: doubling, capped, with jitter."""
    return min(LONGEST_DELAY, first * 2.0 ** min(attempt, 16)) * random.uniform(0.5, 1.0)
