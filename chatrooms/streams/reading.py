"""A reading: one user's wish to read one topic that is no room, from its position to the end of its stream.

It is not presence. What it reads is the subclass's: the rooms joined, or notifications.
"""

from __future__ import annotations

import random
import secrets
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from chatrooms.identity import Identity
from chatrooms.log.event import Event, event_id
from chatrooms.log.log import Log
from chatrooms.streams.encoding import NAMED, Encoding
from chatrooms.streams.hub import LONGEST_RETRY, Hub
from chatrooms.streams.resume import POLL_EVENTS, Replacements, Start, page, start_of
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic

RETRY_MS = (500, int(LONGEST_RETRY * 1000))  # reconnection time told to clients, at random between


class Common(NamedTuple):
    """What all readings have in common. `heartbeat` in seconds."""

    hub: Hub
    log: Log
    heartbeat: float
    replacements: Replacements


class Reading:
    """Finds its start, then opens a stream or answers a poll. `name` is that of the topic.

    `encoding` is how its events look on the wire.
    """

    def __init__(
        self, common: Common, who: Identity, client_id: str, name: str, encoding: Encoding = NAMED
    ) -> None:  # fmt: skip
        self.who = who
        self.client_id = client_id
        self.name = name
        self.encoding = encoding
        self._hub, self._log, self._heartbeat, self._replacements = common
        self._start = Start(0, True, None)

    def check_open(self) -> None:
        """Raises Unavailable or TooMany when no more streams are taken; one that replaces another is."""
        if self._same() is None:
            self._hub.check_room_for(self.who.user_id)

    def admit(self) -> None:
        """Raises Conflict `replaced-too-often` when two pages fight for one clientId."""
        if self._same() is not None:
            self._replacements.count(self.name, self.who.user_id, self.client_id)

    async def begin(self, asked: str) -> None:
        """Finds out where to start who asks for that position ("" for none). Raises Unavailable."""
        self._start = await start_of(self._log, self._hub, self.name, asked, self.count)

    def open(self, sock: socket.socket, head: bytes) -> None:
        """Makes a socket the stream, which writes all after its position. `head` is the response head."""
        old = self._same()
        if old is not None:
            old.end("replaced", False)
        stream = Stream(self._hub, sock, self.topic(), self._start.position)
        stream.user_id, stream.client_id, stream.session = self.who.user_id, self.client_id, self.who.session
        stream.expires_at, stream.trusted = self.who.expires_at, self.who.trusted
        stream.id = secrets.token_urlsafe(12)
        id = event_id(self._log.epoch, self._start.position)
        first = self.encoding.signal("system", self._system(stream.id), id, random.randint(*RETRY_MS))
        self._hub.open(stream, self, head + first)

    async def poll(self) -> bytes:
        """The JSON answer to a poll. Raises Unavailable."""
        start = self._start
        events, reached = await self.read(start.position, POLL_EVENTS)
        return page(self._log, msgspec.json.encode(self._system("")), start.position, start.recovered, events, reached)

    def topic(self) -> Topic:
        """The topic that is read."""
        return self._hub.topic(self.name)

    def stream_ended(self, stream: Stream, hold: float) -> None:
        """Nobody waits for who read it to come back."""

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        """The next events, and up to where they are all."""
        head = self._log.head
        events = await self._log.read(self.name, after, limit)
        return events, head if len(events) < limit else events[-1].seq

    async def count(self, after: int, most: int) -> int:
        """How many events follow, counted up to `most`."""
        return await self._log.count(self.name, after, most)

    def described(self) -> dict[str, Any]:
        """What `system` tells of this stream in particular."""
        raise NotImplementedError

    def _same(self) -> Stream | None:
        return self._hub.stream_of(self.name, self.who.user_id, self.client_id)

    def _system(self, stream_id: str) -> dict[str, Any]:
        return {
            **self.described(),
            "clientId": self.client_id,
            "lastEventId": event_id(self._log.epoch, self._start.position),
            "recovered": self._start.recovered,
            "missed": self._start.missed,
            "heartbeat": self._heartbeat,
            "streamId": stream_id,
        }
