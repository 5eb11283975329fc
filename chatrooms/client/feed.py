"""Reading over as many connections as it takes: a feed, which may be endless, and an AI reply.

A feed follows the rules of the browser's client: resume after the last id; wait as long as the server asked,
and longer with each failure, with jitter; take 2.5 heartbeats of silence for a dead connection; renew the
token before it expires, and once when it is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from chatrooms.client.exchange import Credentials, Exchange, Refused, delay
from chatrooms.sse import Parser, ServerEvent

HEARTBEAT = 25.0  # seconds, unless the server says otherwise
SILENCE = 2.5  # heartbeats
REPLY_SILENCE = 65.0  # seconds: the server's heartbeats come more often by default
REMEMBERED = 2000  # event ids, so that no event is yielded twice
BEATS = frozenset({"heartbeat", "ping"})
DONE = "[DONE]"

Request = Callable[[str, str, object, str], Awaitable[Exchange]]


class Event(NamedTuple):
    """An event: its name, its decoded data, and the position to resume from ("" before any).

    Events without a name, such as those of sessions, are named by the `type` in their data.
    """

    type: str
    data: Any
    id: str


class Feed:
    """Reads one resource. `open` connects with a token, from a position.

    `ends` names the events that end the feed; `on_expiring` is called to keep the stream open.
    """

    def __init__(
        self,
        open: Callable[[str, str], Awaitable[Exchange]],
        credentials: Credentials,
        position: str = "",
        ends: frozenset[str] = frozenset(),
        on_expiring: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.position = position
        self._open = open
        self._credentials = credentials
        self._ends = ends
        self._on_expiring = on_expiring
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._parser = Parser()
        self._shown = ""
        self._heartbeat = HEARTBEAT
        self._retry = 0.0
        self._failures = 0
        self._ended = False
        self._extending: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[Event]:
        """Yields all events but heartbeats. Raises Refused when the server refuses for good."""
        refused_token = ""
        while not self._ended:
            token, wait = "", self._retry
            try:
                token = await self._credentials.fresh()
                exchange = await self._open(token, self.position)
                try:
                    await self._begin(exchange)
                    while not self._ended and (piece := await self._next(exchange)):
                        for event in self._events_in(piece):
                            self._failures, refused_token = 0, ""
                            yield event
                finally:
                    await exchange.close()
                wait = self._retry
            except Refused as refused:
                if refused.status == 401 and token != refused_token and await self._credentials.renew(token):
                    refused_token = self._credentials.token  # if this one is refused too, give up
                    continue
                if not refused.transient:
                    raise
                wait = max(self._retry, refused.retry_after)
            except OSError:  # including TimeoutError, after too long a silence
                pass
            if not self._ended:
                await asyncio.sleep(delay(self._failures, wait))
                self._failures += 1

    async def _begin(self, exchange: Exchange) -> None:
        """Raises Refused."""
        if exchange.status == 204:
            self._ended = True
        elif exchange.status != 200:
            raise await exchange.refusal()
        self._parser, self._shown = Parser(), ""

    async def _next(self, exchange: Exchange) -> bytes:
        """The next piece, b"" at the end. Raises TimeoutError when the server is silent for too long."""
        async with asyncio.timeout(SILENCE * self._heartbeat or None):
            return await exchange.read()

    def _events_in(self, piece: bytes) -> Iterator[Event]:
        for told in self._parser.feed(piece):
            event = self._take(told)
            if event is not None:
                yield event
                if self._ended:
                    return
        if self._parser.retry is not None:
            self._retry = self._parser.retry / 1000

    def _take(self, told: ServerEvent) -> Event | None:
        """The event to yield, if any."""
        data = _decoded(told.data)
        type = told.type
        if type == "message" and isinstance(data, dict) and isinstance(data.get("type"), str):
            type = data["type"]
        id, shown, self._shown = told.last_event_id, self._shown, told.last_event_id
        if id not in ("", shown):  # an event without an id carries the last one's
            if type not in ("system", "closing") and self._is_repeat(id):
                return None
            self.position = id
        self._apply(type, data)
        return None if type in BEATS else Event(type, data, self.position)

    def _is_repeat(self, id: str) -> bool:
        if id in self._seen:
            return True
        self._seen[id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _apply(self, type: str, data: Any) -> None:
        """Follows the instructions in an event."""
        fields = data if isinstance(data, dict) else {}
        if isinstance(fields.get("heartbeat"), int | float):
            self._heartbeat = fields["heartbeat"]
        if type == "token-expiring" and self._on_expiring is not None:
            self._extending = asyncio.ensure_future(self._on_expiring())
        if type in self._ends or fields.get("reconnect") is False:
            self._ended = True


class ReplyFailed(Exception):
    """The reply broke off: `code` says why; the pieces before it are valid."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Reply:
    """An AI reply, requested by iterating it: `async for text in reply`. Iterate it once.

    id     its id, once the server has accepted the question; "" before
    state  `streaming`, `complete`, `stopped` or `error`

    After a dropped connection it resumes behind the last piece. Only the question itself is not
    retried, for the server may have received it: that raises OSError.
    """

    def __init__(self, request: Request, credentials: Credentials, question: dict[str, Any]) -> None:
        self.id = ""
        self.state = "streaming"
        self._request = request
        self._credentials = credentials
        self._question = question
        self._parser = Parser()
        self._next = 0

    async def __aiter__(self) -> AsyncIterator[str]:
        failures = 0
        while self.state == "streaming":
            try:
                exchange = await self._open()
                try:
                    await self._begin(exchange)
                    while self.state == "streaming" and (piece := await self._piece(exchange)):
                        for told in self._parser.feed(piece):
                            if text := self._take(told.data):
                                failures = 0
                                yield text
                finally:
                    await exchange.close()
            except OSError:
                if not self.id:
                    raise
            except Refused as refused:
                if not self.id or not refused.transient:
                    raise
            if self.state == "streaming":
                await asyncio.sleep(delay(failures))
                failures += 1

    async def text(self) -> str:
        """The whole text, once it is complete. Raises ReplyFailed, Refused, OSError."""
        return "".join([piece async for piece in self])

    async def stop(self) -> None:
        """Ends it, on the server too. Its text so far is kept."""
        if self.id:
            exchange = await self._asked("DELETE", f"/api/chat/stream/{self.id}", None)
            await exchange.close()

    async def _begin(self, exchange: Exchange) -> None:
        """Raises Refused."""
        if exchange.status != 200:
            raise await exchange.refusal()
        self.id = exchange.headers.get("x-message-id", self.id)
        self._parser = Parser()

    async def _piece(self, exchange: Exchange) -> bytes:
        """The next one, b"" at the end. Raises TimeoutError when the server is silent for too long."""
        async with asyncio.timeout(REPLY_SILENCE):
            return await exchange.read()

    async def _open(self) -> Exchange:
        if not self.id:
            return await self._asked("POST", "/api/chat/stream", self._question)
        after = f"?after={self._next - 1}" if self._next else ""
        return await self._asked("GET", f"/api/chat/stream/{self.id}{after}", None)

    async def _asked(self, method: str, target: str, body: object) -> Exchange:
        """The response; if the token is refused it is renewed once, which is safe as nothing has begun."""
        token = await self._credentials.fresh()
        exchange = await self._request(method, target, body, token)
        try:
            if exchange.status != 401 or not await self._credentials.renew(token):
                return exchange
        except BaseException:
            await exchange.close()
            raise
        await exchange.close()
        return await self._request(method, target, body, self._credentials.token)

    def _take(self, data: str) -> str:
        """The text in an event, if it is the next piece."""
        if data == DONE:
            self.state = "complete" if self.state == "streaming" else self.state
            return ""
        told = json.loads(data)
        if told["type"] == "content" and told["index"] == self._next:
            self._next += 1
            text: str = told["text"]
            return text
        if told["type"] == "stopped":
            self.state = "stopped"
        elif told["type"] == "error":
            self.state = "error"
            raise ReplyFailed(told["code"], told["message"])
        return ""


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
