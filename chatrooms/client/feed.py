"""A feed: one event stream read for ever, over as many connections as it takes.

The rules are those of a browser's client: go on after the last id; wait as long as the server asked
for, and longer, with jitter, the more often it failed; take a silence of 2.5 heartbeats for a dead
connection; renew the token before it ends, and once when it is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NamedTuple

from chatrooms.client.backoff import delay
from chatrooms.client.credentials import Credentials
from chatrooms.client.exchange import Exchange
from chatrooms.client.refused import Refused
from chatrooms.sse import Parser, ServerEvent

HEARTBEAT = 25.0  # seconds, until the server says otherwise
SILENCE = 2.5  # heartbeats
REMEMBERED = 2000  # ids of events, so that none is given twice
BEATS = frozenset({"heartbeat", "ping"})


class Event(NamedTuple):
    """What came: its name, its decoded data, and the position to go on after it ("" before any).

    Events without a name, as those of sessions, go by the `type` in their data.
    """

    type: str
    data: Any
    id: str


class Feed:
    """Reads one resource. `open` makes a connection with a token from a position.

    `ends` are the events after which nothing follows; `on_expiring` is asked to keep the stream open.
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
        self._shown = ""
        self._heartbeat = HEARTBEAT
        self._retry = 0.0
        self._failures = 0
        self._ended = False
        self._extending: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[Event]:
        """All events but heartbeats. Raises Refused when the server says no for good."""
        refused_token = ""
        while not self._ended:
            token, wait = "", self._retry
            try:
                token = await self._credentials.fresh()
                async with aclosing(self._connection(token)) as events:
                    async for event in events:
                        self._failures, refused_token = 0, ""
                        yield event
                wait = self._retry
            except Refused as refused:
                if refused.status == 401 and token != refused_token and await self._credentials.renew(token):
                    refused_token = self._credentials.token  # should that be refused too, it is for good
                    continue
                if not refused.transient:
                    raise
                wait = max(self._retry, refused.retry_after)
            except OSError:  # among them TimeoutError: silence
                pass
            if not self._ended:
                await asyncio.sleep(delay(self._failures, wait))
                self._failures += 1

    async def _connection(self, token: str) -> AsyncGenerator[Event, None]:
        exchange = await self._open(token, self.position)
        try:
            if exchange.status == 204:
                self._ended = True
                return
            if exchange.status != 200:
                retry_after = exchange.headers.get("retry-after", "")
                raise Refused.of(exchange.status, await exchange.body(), retry_after)
            parser, self._shown = Parser(), ""
            while piece := await self._next(exchange):
                for told in parser.feed(piece):
                    event = self._take(told)
                    if event is not None:
                        yield event
                        if self._ended:
                            return
                if parser.retry is not None:
                    self._retry = parser.retry / 1000
        finally:
            exchange.close()

    async def _next(self, exchange: Exchange) -> bytes:
        """The next piece, b"" at the end. Raises TimeoutError when the server is silent for too long."""
        async with asyncio.timeout(SILENCE * self._heartbeat or None):
            return await exchange.read()

    def _take(self, told: ServerEvent) -> Event | None:
        """What is to be given to the user, if anything."""
        data = _decoded(told.data)
        type = told.type
        if type == "message" and isinstance(data, dict) and isinstance(data.get("type"), str):
            type = data["type"]
        id, shown, self._shown = told.last_event_id, self._shown, told.last_event_id
        if id not in ("", shown):  # an event without an id shows the last one's
            if type not in ("system", "closing") and self._is_repeat(id):
                return None
            self.position = id
        self._heed(type, data)
        return None if type in BEATS else Event(type, data, self.position)

    def _is_repeat(self, id: str) -> bool:
        if id in self._seen:
            return True
        self._seen[id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _heed(self, type: str, data: Any) -> None:
        """Does what an event asks of the client."""
        fields = data if isinstance(data, dict) else {}
        if isinstance(fields.get("heartbeat"), int | float):
            self._heartbeat = fields["heartbeat"]
        if type == "token-expiring" and self._on_expiring is not None:
            self._extending = asyncio.ensure_future(self._on_expiring())
        if type in self._ends or fields.get("reconnect") is False:
            self._ended = True


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
