"""Sessions: their messages, and the streams that read them.

Who may read what is asked of `Owners`, first and again in the step in which something is told: a session may
change hands at any moment, also by way of another node.
"""

from __future__ import annotations

import random
import secrets
import socket
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from chatrooms import names
from chatrooms.clock import iso, now_ms
from chatrooms.errors import BadRequest, Forbidden
from chatrooms.limits import RateLimit
from chatrooms.log.database import Database, Transaction
from chatrooms.log.event import CONTROL, MAX_SEQ, Event, event_id, identified, parse_id
from chatrooms.log.log import Log
from chatrooms.options import Options
from chatrooms.sessions.owners import CLAIMED, READERS_OF_ALL, VISITOR, Claim, Owners
from chatrooms.sessions.store import (
    ALL,
    OPEN,
    UNNAMED,
    SessionMessage,
    add,
    check_unlocked,
    events_before,
    filtered,
    session_topic,
)
from chatrooms.streams.hub import LONGEST_RETRY, Hub
from chatrooms.streams.resume import POLL_EVENTS, Start, page, start_of
from chatrooms.streams.stream import Stream
from chatrooms.users.tokens import Identity

RATE_PERIOD = 10.0  # seconds in which `message-rate` counts
RETRY_MS = (500, int(LONGEST_RETRY * 1000))  # reconnection time told to clients, at random between
SOME = 500  # events looked through at once for those that visitors may read
LOOKS = 20  # how often, for one answer


class Reading(NamedTuple):
    """What somebody wants to read: a session, or all that they may (None); of one robot, or of any."""

    who: Identity
    session_id: str | None
    robot_id: str | None

    @property
    def visits(self) -> bool:
        return self.who.role == VISITOR

    @property
    def shared(self) -> bool:
        """Whether all sessions are read that have no owner."""
        return self.visits and self.session_id is None

    @property
    def topic(self) -> str:
        if self.session_id is not None:
            return filtered(session_topic(self.session_id), self.robot_id)
        return filtered(OPEN if self.visits else ALL, self.robot_id)


class Draft(NamedTuple):
    """What a client wants to say in a session."""

    session_id: str
    content: str
    is_from_bot: bool = False
    is_human: bool = False
    intent: str | None = None
    robot_id: str | None = None


class Sessions:
    """All sessions of this process; the owner of their streams."""

    def __init__(self, database: Database, log: Log, hub: Hub, owners: Owners, options: Options) -> None:
        self._database = database
        self._log = log
        self._hub = hub
        self._owners = owners
        self._max_bytes: int = options.max_message_bytes
        self._rate = RateLimit(options.message_rate, RATE_PERIOD)
        self._heartbeat: float = options.heartbeat
        self._readers: dict[str, dict[Stream, None]] = {}  # by session, or ALL: those who may lose it
        for family in ("session", "sessions"):
            hub.encode_as(family, UNNAMED)
        hub.listen(CONTROL, self._apply)

    # Whose they are

    async def check_read(self, reading: Reading) -> int:
        """After which seq somebody may read that. Raises Forbidden.

        Until the caller's next `await` the answer stays true.
        """
        if reading.session_id is not None:
            return await self._owners.check(reading.who, reading.session_id)
        if reading.who.role not in (*READERS_OF_ALL, VISITOR):
            raise Forbidden("forbidden", "Give a sessionId: only agent, service and admin may read all sessions.")
        return 0

    async def claim(self, reading: Reading) -> None:
        """Makes a user the owner of a session that has none. Raises Forbidden, TooMany, Unavailable."""
        if reading.session_id is not None:
            await self._owners.claim(reading.who, reading.session_id)

    async def assign(self, who: Identity, session_id: str, user_id: str, past: bool) -> None:
        """Gives a session to a user, from now on, or with its `past`. Raises Forbidden, TooMany, Unavailable."""
        if not who.trusted:
            self._rate.spend(who.user_id)
        await self._owners.assign(session_id, user_id, past)

    # Writing

    async def post(self, who: Identity, draft: Draft) -> bytes:
        """Writes a message, with its row for other programs, and returns it as JSON when it is durable.

        Raises BadRequest, TooLarge, Forbidden, TooMany, Unavailable.
        """
        names.message_text(draft.content, self._max_bytes)
        if not who.trusted:
            self._rate.spend(who.user_id)
        await check_unlocked(self._database)
        now = now_ms()
        message = SessionMessage(*draft, created_at=iso(now))

        async def command(tx: Transaction) -> list[Event]:
            owned, claims = await self._owners.admit(tx, who, draft.session_id)
            await add(tx, msgspec.structs.astuple(message), now)
            return [*claims, message.event(owned)]

        event = (await self._log.append((), command))[-1].event
        return self._told(event)

    # Reading

    async def start_of(self, reading: Reading, asked: str, history: int) -> Start:
        """Where a reader starts who asks for the position `asked` ("" for none), or for the last `history` messages.

        Raises Forbidden, Unavailable.
        """
        since = await self.check_read(reading)
        start = within(await start_of(self._log, self._hub, reading.topic, asked), since, self._log.head)
        if history and not start.resumes:
            last = await self._before(reading, since, start.position + 1, history)
            if last:
                start = start._replace(position=last[-1].seq - 1)
        return start

    def open(self, sock: socket.socket, reading: Reading, start: Start, head: bytes) -> None:
        """Makes a socket a stream: `connected`, then what it lacks. `head` is the response head."""
        who = reading.who
        topic = self._hub.topic(reading.topic, partial(self._read, reading) if reading.shared else None)
        stream = Stream(self._hub, sock, topic, start.position)
        stream.user_id, stream.client_id = who.user_id, secrets.token_urlsafe(9)
        stream.session, stream.expires_at = who.session, who.expires_at
        stream.trusted = who.trusted
        if who.role not in READERS_OF_ALL:
            self._readers.setdefault(_place(stream), {})[stream] = None
        id = event_id(self._log.epoch, start.position)
        first = UNNAMED.signal("connected", self._connected(reading, start, stream.client_id), id, _retry())
        self._hub.open(stream, self, head + first)

    def stream_ended(self, stream: Stream, hold: float) -> None:
        readers = self._readers.get(_place(stream), {})
        readers.pop(stream, None)
        if not readers:
            self._readers.pop(_place(stream), None)

    async def poll(self, reading: Reading, start: Start) -> bytes:
        """The JSON answer to a poll: the events of the stream. Raises Forbidden, Unavailable."""
        events, reached = await self._read(reading, start.position, POLL_EVENTS)
        since = await self.check_read(reading)
        events = [event for event in events if event.seq > since]
        connected = msgspec.json.encode({"type": "connected", **self._connected(reading, start, "")})
        return page(self._log, connected, start.position, start.recovered, events, reached, UNNAMED.data)

    async def page(self, reading: Reading, before: str, after: str, limit: int) -> tuple[list[bytes], bool]:
        """Some messages as JSON, oldest first, and whether there are more in the direction asked.

        Raises BadRequest, Forbidden, Unavailable.
        """
        if before and after:
            raise BadRequest("bad-field", "Give before or after, not both.")
        since = await self.check_read(reading)
        if after:
            events, _ = await self._read(reading, max(since, self._position(after)), limit + 1)
        else:
            events = await self._before(reading, since, self._position(before) if before else MAX_SEQ, limit + 1)
        since = await self.check_read(reading)  # by the rights at delivery
        found = [event for event in events if event.seq > since]
        some = found[:limit] if after else found[:limit][::-1]
        return [self._told(event) for event in some], len(found) > limit

    async def _read(self, reading: Reading, after: int, limit: int) -> tuple[Sequence[Event], int]:
        """The next events after a seq, and up to where they are all."""
        found: list[Event] = []
        for _ in range(LOOKS):
            head = self._log.head
            events = await self._log.read(reading.topic, after, limit)
            found = await self._unowned([*found, *events]) if reading.shared else events
            if len(events) < limit and len(found) <= limit:
                return found, head
            if len(found) >= limit:
                return found[:limit], found[limit - 1].seq
            after = events[-1].seq
        return found, after

    async def _before(self, reading: Reading, after: int, before: int, limit: int) -> list[Event]:
        """The events between two seqs, newest first; of those that visitors share as many as LOOKS looks find."""
        before = min(before, self._log.head + 1)
        if not reading.shared:
            return await events_before(self._database, reading.topic, after, before, limit)
        found: list[Event] = []
        for _ in range(LOOKS):
            some = await events_before(self._database, reading.topic, after, before, SOME)
            found = await self._unowned([*found, *some])
            if len(some) < SOME or len(found) >= limit:
                break
            before = some[-1].seq
        return found[:limit]

    async def _unowned(self, events: Sequence[Event]) -> list[Event]:
        """The messages of sessions that have no owner, until the caller's next `await`."""
        sessions = [msgspec.json.decode(event.data, type=SessionMessage).session_id for event in events]
        owners = await self._owners.among(set(sessions))
        return [event for event, session in zip(events, sessions, strict=True) if session not in owners]

    def _position(self, id: str) -> int:
        position = parse_id(id)
        if position is None or position.epoch != self._log.epoch:
            raise BadRequest("bad-id", "before and after must be ids of this server's events.")
        return position.seq

    def _told(self, event: Event) -> bytes:
        return identified(event.data, event_id(self._log.epoch, event.seq))

    def _connected(self, reading: Reading, start: Start, client_id: str) -> dict[str, object]:
        what = "all sessions" if reading.session_id is None else f"session {reading.session_id}"
        return {
            "message": f"You are reading {what}.",
            "timestamp": iso(now_ms()),
            "sessionId": reading.session_id,
            "robotId": reading.robot_id,
            "clientId": client_id,
            "lastEventId": event_id(self._log.epoch, start.position),
            "recovered": start.recovered,
            "missed": start.missed,
            "heartbeat": self._heartbeat,
        }

    def _apply(self, event: Event) -> None:
        """A session has another owner: all others have lost it, and what was said in it."""
        if event.type != CLAIMED:
            return
        claim = msgspec.json.decode(event.data, type=Claim)
        for stream in list(self._readers.get(session_topic(claim.session_id), ())):
            if stream.user_id != claim.owner:
                stream.end("forbidden", False)
        if claim.shared:
            for topic in {stream.topic for stream in self._readers.get(ALL, ())}:
                topic.forget()


def within(start: Start, since: int, head: int) -> Start:
    """A start that tells nothing up to the seq `since`: a position before it is none of the reader's."""
    return start if start.position >= since else Start(head, False, None)


def _retry() -> int:
    return random.randint(*RETRY_MS)


def _place(stream: Stream) -> str:
    """The topic of a stream without its filters: `session:42`, or ALL."""
    return stream.topic.name.partition("/")[0]
