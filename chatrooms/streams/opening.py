"""One way to open a stream, whatever its family: by itself, on a shared connection, or as a poll.

Checked, counted, its start found, and checked again: from there on nothing is awaited until it is open, so a
right that ends later finds the stream. What families differ in is their `StreamKind`; that they can be polled,
resumed, softly refused, replaced, shared, and that they expire, is done here for all of them.
"""

from __future__ import annotations

import random
import secrets
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from chatrooms import names
from chatrooms.errors import BadRequest, Problem
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.event import Event, parse_id
from chatrooms.log.log import Log
from chatrooms.streams.encoding import NAMED, Encoding
from chatrooms.streams.hub import LONGEST_RETRY, Hub, Owner
from chatrooms.streams.resume import POLL_EVENTS, First, Replacements, Start, page, start_of
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic

RETRY_MS = (500, int(LONGEST_RETRY * 1000))  # reconnection time told to clients, at random between
AWAY_RETRY_MS = (1000, 5000)  # the same, told to those that shall go elsewhere
SOFT_RETRY_MS = (5000, 15000)  # and to those that are refused for now
MAX_HISTORY = 200  # messages told first on a stream, or in one answer

Fields = Mapping[str, str]  # what a stream is asked for with, by the names of the wire; no field is empty
MakeStream = Callable[[Topic, int], Stream]  # of a topic, after a position, on whatever connection
Connect = Callable[[], tuple[MakeStream, bytes] | None]  # with a response head; None when the connection is gone


class StreamKind(Protocol):
    """One reader's wish for one stream of a family. Making one raises Forbidden, BadRequest, Conflict.

    who        the reader
    client_id  which of the reader's clients: it has one stream of each name
    name       that of the topic
    headers    of the response, besides those of every stream
    retry_ms   the reconnection time that the first event asks for, at random between, in milliseconds
    """

    who: Identity
    client_id: str
    name: str
    encoding: Encoding
    headers: Sequence[tuple[str, str]] = ()
    retry_ms: tuple[int, int] = RETRY_MS

    @abstractmethod
    async def check(self) -> int:
        """After which seq the reader may read, true until the caller's next `await`.

        Asked first and last. Raises what refuses the reader: Forbidden, NotFound, BadRequest, Unavailable.
        """

    async def start(self, asked: str) -> Start | None:
        """Where a reader begins that asks for this position ("" for none); None when it has seen the end.

        Raises BadRequest, Forbidden, TooMany, Unavailable.
        """

    def topic(self) -> Topic:
        """What is read; with a stream to be opened in the same step."""

    def enter(self, start: Start, stream: Stream | None) -> Owner | None:
        """The reader is let in, with a stream that is about to open or, by None, for one poll.

        Returns whoever is told of the stream's end.
        """
        return None

    def first(self, start: Start, stream_id: str) -> First | None:
        """The first event, of a reader that was let in; None when the topic's own come at once."""

    def snapshot(self) -> bytes:
        """The present state, as whole events, where ephemeral ones have told it to the others."""
        return b""

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        """The next events, for a poll, and up to where they are all. Raises Unavailable."""

    def kept(self, asked: str) -> str:
        """The id that a reader keeps which came with that position and is to come back."""


Family = Callable[[Identity, Fields], StreamKind]


class LogStream(StreamKind):
    """A kind whose topic is one of the log, from the position asked for or the end.

    Families say who may read, and override what differs.
    """

    def __init__(
        self, hub: Hub, log: Log, who: Identity, fields: Fields, name: str, encoding: Encoding = NAMED
    ) -> None:  # fmt: skip
        self.who = who
        self.client_id = names.client_id(fields["clientId"]) if "clientId" in fields else names.new_client_id()
        self.name = name
        self.encoding = encoding
        self._hub = hub
        self._log = log

    async def start(self, asked: str) -> Start | None:
        return await start_of(self._log, self._hub, self.name, asked, self.count)

    def topic(self) -> Topic:
        return self._hub.topic(self.name, self.encoding)

    def first(self, start: Start, stream_id: str) -> First | None:
        return First("system", self.encoding.signal_data("system", self.described(start, stream_id)))

    def described(self, start: Start, stream_id: str) -> dict[str, Any]:
        """What the first event of most families tells."""
        return {
            "clientId": self.client_id,
            "lastEventId": self.id(start.position),
            "recovered": start.recovered,
            "missed": start.missed,
            "heartbeat": self._hub.heartbeat,
            "streamId": stream_id,
        }

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        head = self._log.head
        events = await self._log.read(self.name, after, limit)
        return events, head if len(events) < limit else events[-1].seq

    async def count(self, after: int, most: int) -> int:
        """How many events follow, counted up to `most`."""
        return await self._log.count(self.name, after, most)

    def id(self, position: int) -> str:
        """A position as clients get it."""
        return self.encoding.id(self._log.epoch, position)

    def kept(self, asked: str) -> str:
        return asked if parse_id(asked) else self.id(self._log.head)


class Authenticator(Protocol):
    """Knows who has been shut out, as `users/authenticator.py` does."""

    def check(self, who: Identity) -> None:
        """Raises Unauthorized for a reader that has been shut out."""


class Opener:
    """Opens streams of all families, and answers polls of them. `families` makes a kind, by the family's name."""

    def __init__(
        self, hub: Hub, log: Log, authenticator: Authenticator, quotas: Quotas, families: dict[str, Family]
    ) -> None:  # fmt: skip
        self._hub = hub
        self._log = log
        self._authenticator = authenticator
        self._quotas = quotas
        self.families = families
        self._replacements = Replacements()

    def kind(self, family: str, who: Identity, fields: Fields) -> StreamKind:
        """What a reader asks for. Raises Forbidden, BadRequest, Conflict."""
        make = self.families.get(family)
        if make is None:
            raise BadRequest("bad-field", f"stream must be one of {', '.join(self.families)}.")
        return make(who, fields)

    async def open(self, kind: StreamKind, asked: str, connect: Connect) -> bool:
        """Opens a stream after the position asked for ("" for none); false for a reader that has seen the end.

        `connect` takes the connection at the last moment, with the response head that is to be written first; it
        returns None when the connection is gone. A stream of the same client ends as `replaced`. Raises Problem.
        """
        start = await self._start(kind, asked)
        since = await kind.check()
        self._check_place(kind)
        self._authenticator.check(kind.who)
        if start is None:
            return False
        if self._same(kind) is not None:
            self._replacements.count(kind.name, kind.who.user_id, kind.client_id)
        connection = connect()
        if connection is not None:
            self._let_in(kind, start.within(since, self._log.head), *connection)
        return True

    async def poll(self, kind: StreamKind, asked: str) -> bytes | None:
        """The JSON answer to a poll; None for a reader that has seen the end. Raises Problem."""
        start = await self._start(kind, asked)
        if start is None:
            return None
        events, reached = await kind.read(start.position, POLL_EVENTS)
        start = start.within(await kind.check(), self._log.head)
        self._authenticator.check(kind.who)
        kind.enter(start, None)
        events = [event for event in events if event.seq > start.position]
        return page(kind.encoding, self._log.epoch, kind.first(start, ""), start, events, reached)

    def refuse_softly(self, kind: StreamKind, asked: str, problem: Problem) -> bytes:
        """What tells a reader to come back, with its position; to one that does not wait, raises TooMany.

        A native EventSource gives up for good on any status but 200 (WHATWG, 9.2.3).
        """
        self._quotas.refuse_softly(kind.who)
        data = {"reason": problem.code, "reconnect": True}
        return kind.encoding.signal("closing", data, kind.kept(asked), random.randint(*SOFT_RETRY_MS))

    def send_away(self, stream: Stream, reason: str) -> None:
        """Ends a stream whose reader should come back, and keeps its member for that time."""
        retry, encoding = random.randint(*AWAY_RETRY_MS), stream.topic.encoding
        stream.end(reason, True, retry / 1000, encoding.id(self._log.epoch, stream.position), retry)

    async def _start(self, kind: StreamKind, asked: str) -> Start | None:
        await kind.check()
        self._quotas.open_stream(kind.who)
        self._check_place(kind)
        return await kind.start(asked)

    def _check_place(self, kind: StreamKind) -> None:
        """Raises Unavailable or TooMany when no more streams are taken; one that replaces another is."""
        self._hub.check_draining()
        if self._same(kind) is None:
            self._hub.check_room_for(kind.who.user_id)

    def _same(self, kind: StreamKind) -> Stream | None:
        return self._hub.stream_of(kind.name, kind.who.user_id, kind.client_id)

    def _let_in(self, kind: StreamKind, start: Start, make: MakeStream, head: bytes) -> None:
        who, old = kind.who, self._same(kind)
        stream = make(kind.topic(), start.position)
        stream.user_id, stream.client_id, stream.session = who.user_id, kind.client_id, who.session
        stream.expires_at, stream.trusted = who.expires_at, who.trusted
        stream.id = stream.id or secrets.token_urlsafe(16)
        owner = kind.enter(start, stream)
        first = kind.first(start, stream.id)
        stream.ephemeral_count = stream.topic.ephemeral_count  # what came with the reader is in its first event
        if first is not None:
            retry = None if start.over else random.randint(*kind.retry_ms)
            id = kind.encoding.id(self._log.epoch, start.position)
            head += kind.encoding.block(first.name, first.data, id, retry)
        self._hub.open(stream, owner, head + kind.snapshot())
        if old is not None:  # now that nobody seems to leave
            old.end("replaced", False)
        if start.over:
            stream.end_when_written()


def history_of(fields: Fields) -> int:
    """How many messages are to be told first. Raises BadRequest."""
    return names.whole_number(fields["history"], "history", 0, MAX_HISTORY) if "history" in fields else 0
