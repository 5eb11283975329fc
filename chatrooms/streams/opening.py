"""One way to open a stream of any family: by itself, on a shared connection, or as a poll.

Checked, counted, its start found, and checked again: from then on nothing is awaited until it is open, so a
right that ends later finds the stream. Families differ in their `StreamKind`; polling, resuming, soft refusal,
replacement, sharing and expiry are done here for all of them.
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
from chatrooms.streams.resume import POLL_EVENTS, Admission, First, Replacements, Start, page, start_of
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic

RETRY_MS = (500, int(LONGEST_RETRY * 1000))  # reconnection time sent to clients, random between these
AWAY_RETRY_MS = (1000, 5000)  # the same, for those that should go elsewhere
SOFT_RETRY_MS = (5000, 15000)  # and for those refused for now
MAX_HISTORY = 200  # messages sent first on a stream, or in one answer

Fields = Mapping[str, str]  # what a stream is requested with, by wire name; no field is empty
MakeStream = Callable[[Topic, int], Stream]  # of a topic, after a position, on any connection
Connect = Callable[[], tuple[MakeStream, bytes] | None]  # with a response head; None when the connection is gone


class StreamKind(Protocol):
    """One reader's request for one stream of a family. Making one raises Forbidden, BadRequest, Conflict.

    who        the reader
    client_id  one of the reader's clients, which has one stream of each name
    name       the topic's name
    headers    response headers besides those of every stream
    retry_ms   bounds of the random reconnection time in the first event, in milliseconds
    """

    who: Identity
    client_id: str
    name: str
    encoding: Encoding
    headers: Sequence[tuple[str, str]] = ()
    retry_ms: tuple[int, int] = RETRY_MS

    @abstractmethod
    async def check(self) -> int:
        """The seq after which the reader may read, valid until the caller's next `await`.

        Called first and last. Raises the refusal: Forbidden, NotFound, BadRequest, Unavailable.
        """

    async def start(self, asked: str) -> Start | None:
        """Where a reader that asks for this position ("" for none) starts; None when it has seen the end.

        Raises BadRequest, Forbidden, TooMany, Unavailable.
        """

    def topic(self) -> Topic:
        """The topic to read; a stream on it must open in the same step."""

    def enter(self, start: Start, stream: Stream | None) -> Owner | None:
        """Admits the reader, with a stream that is about to open, or None for one poll.

        Returns the owner that learns of the stream's end.
        """
        return None

    def first(self, start: Start, stream_id: str) -> First | None:
        """The first event, for an admitted reader; None when the topic's own come at once."""

    def snapshot(self) -> bytes:
        """The present state as whole events, for readers that missed the ephemeral ones."""
        return b""

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        """The next events for a poll, and the seq up to which they are complete. Raises Unavailable."""

    def kept(self, asked: str) -> str:
        """The id to keep for a reader that came with that position and should come back."""


Family = Callable[[Identity, Fields], StreamKind]


class LogStream(StreamKind):
    """A kind whose topic is in the log, read from the position asked for or the end.

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
        """The data of the first event in most families."""
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
        """The number of events that follow, counted up to `most`."""
        return await self._log.count(self.name, after, most)

    def id(self, position: int) -> str:
        """A position as clients see it."""
        return self.encoding.id(self._log.epoch, position)

    def kept(self, asked: str) -> str:
        return asked if parse_id(asked) else self.id(self._log.head)


class Authenticator(Protocol):
    """Knows which readers are shut out, as `users/authenticator.py` does."""

    def check(self, who: Identity) -> None:
        """Raises Unauthorized for a reader that is shut out."""


class Opener:
    """Opens streams of all families, and answers polls of them. `families` makes a kind by its family's name."""

    def __init__(
        self, hub: Hub, log: Log, authenticator: Authenticator, quotas: Quotas, admission: Admission,
        families: dict[str, Family],
    ) -> None:  # fmt: skip
        self._hub = hub
        self._log = log
        self._authenticator = authenticator
        self._quotas = quotas
        self.families = families
        self.admission = admission
        self._replacements = Replacements()

    def kind(self, family: str, who: Identity, fields: Fields) -> StreamKind:
        """The kind that a reader asks for. Raises Forbidden, BadRequest, Conflict."""
        make = self.families.get(family)
        if make is None:
            raise BadRequest("bad-field", f"stream must be one of {', '.join(self.families)}.")
        return make(who, fields)

    async def open(self, kind: StreamKind, asked: str, connect: Connect) -> bool:
        """Opens a stream after the position asked for ("" for none); false for a reader that has seen the end.

        `connect` takes the connection at the last moment, with the response head to write first; it returns None
        when the connection is gone. A stream of the same client ends as `replaced`. Raises Problem.
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
        """Asks a reader to come back, with its position; raises TooMany for one that does not wait.

        A native EventSource gives up for good on any status but 200 (WHATWG, 9.2.3).
        """
        self._quotas.refuse_softly(kind.who)
        data = {"reason": problem.code, "reconnect": True}
        return kind.encoding.signal("closing", data, kind.kept(asked), random.randint(*SOFT_RETRY_MS))

    def send_away(self, stream: Stream, reason: str) -> None:
        """Ends a stream whose reader should come back, and holds its member for that time."""
        retry, encoding = random.randint(*AWAY_RETRY_MS), stream.topic.encoding
        stream.end(reason, True, retry / 1000, encoding.id(self._log.epoch, stream.position), retry)

    async def _start(self, kind: StreamKind, asked: str) -> Start | None:
        await kind.check()
        self._quotas.open_stream(kind.who)
        self._check_place(kind)
        return await kind.start(asked)

    def _check_place(self, kind: StreamKind) -> None:
        """Raises Unavailable or TooMany when no more streams are taken; a replacement always is."""
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
        stream.ephemeral_count = stream.topic.ephemeral_count  # the reader's own arrival is in its first event
        if first is not None:
            retry = None if start.over else random.randint(*kind.retry_ms)
            id = kind.encoding.id(self._log.epoch, start.position)
            head += kind.encoding.block(first.name, first.data, id, retry)
        self._hub.open(stream, owner, head + kind.snapshot())
        if old is not None:  # only now, so that nobody seems to leave
            old.end("replaced", False)
        if start.over:
            stream.end_when_written()


def history_of(fields: Fields) -> int:
    """How many messages to send first. Raises BadRequest."""
    return names.whole_number(fields["history"], "history", 0, MAX_HISTORY) if "history" in fields else 0
