"""Sessions: their messages, and the streams that read them.

Who may read what is asked of `Owners`, first and again in the step in which something is told: a session may
change hands at any moment, also by way of another node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from chatrooms import names
from chatrooms.clock import iso, now_ms
from chatrooms.errors import BadRequest, Forbidden
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.database import Database, Transaction
from chatrooms.log.event import MAX_SEQ, Event, event_id, identified, parse_id
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
from chatrooms.streams.hub import Hub
from chatrooms.streams.opening import Fields, LogStream, history_of
from chatrooms.streams.resume import First, Start, start_of
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic

SOME = 500  # events looked through at once for those that visitors may read
LOOKS = 20  # how often, for one answer


class SessionScope(NamedTuple):
    """What somebody may want to read: a session, or all that they may (None); of one robot, or of any."""

    who: Identity
    session_id: str | None
    robot_id: str | None

    @classmethod
    def of(cls, who: Identity, fields: Fields) -> SessionScope:
        """That of a request with `sessionId` and `robotId`, if it has them. Raises BadRequest."""
        session_id, robot_id = fields.get("sessionId"), fields.get("robotId")
        return cls(
            who,
            None if session_id is None else names.session_id(session_id),
            None if robot_id is None else names.robot_id(robot_id),
        )

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


class SessionDraft(NamedTuple):
    """What a client wants to say in a session."""

    session_id: str
    content: str
    is_from_bot: bool = False
    is_human: bool = False
    intent: str | None = None
    robot_id: str | None = None


class Sessions:
    """All sessions of this process; the owner of their streams."""

    def __init__(
        self, database: Database, log: Log, hub: Hub, owners: Owners, quotas: Quotas, options: Options
    ) -> None:
        self._database = database
        self._log = log
        self._hub = hub
        self._owners = owners
        self._max_bytes: int = options.max_message_bytes
        self._quotas = quotas
        self._readers: dict[str, dict[Stream, None]] = {}  # by session, or ALL: those who may lose it

    # Whose they are

    async def check_read(self, scope: SessionScope) -> int:
        """After which seq somebody may read that. Raises Forbidden.

        Until the caller's next `await` the answer stays true.
        """
        if scope.session_id is not None:
            return await self._owners.check(scope.who, scope.session_id)
        if scope.who.role not in (*READERS_OF_ALL, VISITOR):
            raise Forbidden("forbidden", "Give a sessionId: only agent, service and admin may read all sessions.")
        return 0

    async def claim(self, scope: SessionScope) -> None:
        """Makes a user the owner of a session that has none. Raises Forbidden, TooMany, Unavailable."""
        if scope.session_id is not None:
            await self._owners.claim(scope.who, scope.session_id)

    async def assign(self, who: Identity, session_id: str, user_id: str, past: bool) -> None:
        """Gives a session to a user, from now on, or with its `past`. Raises Forbidden, TooMany, Unavailable."""
        self._quotas.write(who)
        await self._owners.assign(session_id, user_id, past)

    # Writing

    async def post(self, who: Identity, draft: SessionDraft) -> bytes:
        """Writes a message, with its row for other programs, and returns it as JSON when it is durable.

        Raises BadRequest, TooLarge, Forbidden, TooMany, Unavailable.
        """
        names.message_text(draft.content, self._max_bytes)
        self._quotas.write(who)
        await check_unlocked(self._database)
        now = now_ms()
        message = SessionMessage(*draft, created_at=iso(now))

        async def command(tx: Transaction) -> list[Event]:
            owned, claims = await self._owners.admit(tx, who, draft.session_id)
            await add(tx, msgspec.structs.astuple(message), now)
            return [*claims, message.event(owned)]

        event = (await self._log.append((), command))[-1].event
        return self._data_of(event)

    # Reading

    async def history(self, scope: SessionScope, since: int, until: int, count: int) -> int | None:
        """The position before the last `count` messages after one seq, up to another; None when there are none."""
        last = await self._before(scope, since, until + 1, count)
        return last[-1].seq - 1 if last else None

    def opened(self, stream: Stream, who: Identity) -> None:
        """A stream is about to open: it ends when its reader loses the session."""
        if who.role not in READERS_OF_ALL:
            self._readers.setdefault(_place(stream), {})[stream] = None

    def stream_ended(self, stream: Stream, hold: float) -> None:
        readers = self._readers.get(_place(stream), {})
        readers.pop(stream, None)
        if not readers:
            self._readers.pop(_place(stream), None)

    async def page(self, scope: SessionScope, before: str, after: str, limit: int) -> tuple[list[bytes], bool]:
        """Some messages as JSON, oldest first, and whether there are more in the direction asked.

        Raises BadRequest, Forbidden, Unavailable.
        """
        if before and after:
            raise BadRequest("bad-field", "Give before or after, not both.")
        since = await self.check_read(scope)
        if after:
            events, _ = await self.read(scope, max(since, self._position(after)), limit + 1)
        else:
            events = await self._before(scope, since, self._position(before) if before else MAX_SEQ, limit + 1)
        since = await self.check_read(scope)  # by the rights at delivery
        found = [event for event in events if event.seq > since]
        some = found[:limit] if after else found[:limit][::-1]
        return [self._data_of(event) for event in some], len(found) > limit

    async def read(self, scope: SessionScope, after: int, limit: int) -> tuple[Sequence[Event], int]:
        """The next events after a seq, and up to where they are all."""
        found: list[Event] = []
        for _ in range(LOOKS):
            head = self._log.head
            events = await self._log.read(scope.topic, after, limit)
            found = await self._unowned([*found, *events]) if scope.shared else events
            if len(events) < limit and len(found) <= limit:
                return found, head
            if len(found) >= limit:
                return found[:limit], found[limit - 1].seq
            after = events[-1].seq
        return found, after

    async def _before(self, scope: SessionScope, after: int, before: int, limit: int) -> list[Event]:
        """The events between two seqs, newest first; of those that visitors share as many as LOOKS looks find."""
        before = min(before, self._log.head + 1)
        if not scope.shared:
            return await events_before(self._database, scope.topic, after, before, limit)
        found: list[Event] = []
        for _ in range(LOOKS):
            some = await events_before(self._database, scope.topic, after, before, SOME)
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

    def _data_of(self, event: Event) -> bytes:
        return identified(event.data, event_id(self._log.epoch, event.seq))

    def apply(self, event: Event) -> None:
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


def _place(stream: Stream) -> str:
    """The topic of a stream without its filters: `session:42`, or ALL."""
    return stream.topic.name.partition("/")[0]


class SessionStream(LogStream):
    """A wish to read a session, or all. Raises BadRequest."""

    def __init__(self, sessions: Sessions, hub: Hub, log: Log, who: Identity, fields: Fields) -> None:
        self._scope = SessionScope.of(who, fields)
        super().__init__(hub, log, who, fields, self._scope.topic, UNNAMED)
        self._fields = fields
        self._sessions = sessions

    async def check(self) -> int:
        since = await self._sessions.check_read(self._scope)
        self._history = history_of(self._fields)
        return since

    async def start(self, asked: str) -> Start | None:
        """The session is the caller's from here on, if it may be."""
        await self._sessions.claim(self._scope)
        since = await self.check()
        start = (await start_of(self._log, self._hub, self.name, asked)).within(since, self._log.head)
        if self._history and not start.resumes:
            first = await self._sessions.history(self._scope, since, start.position, self._history)
            start = start if first is None else start._replace(position=first)
        return start

    def topic(self) -> Topic:
        return self._hub.topic(self.name, UNNAMED, self.read if self._scope.shared else None)

    def enter(self, start: Start, stream: Stream | None) -> Sessions:
        if stream is not None:
            self._sessions.opened(stream, self.who)
        return self._sessions

    def first(self, start: Start, stream_id: str) -> First:
        scope = self._scope
        what = "all sessions" if scope.session_id is None else f"session {scope.session_id}"
        told = {"message": f"You are reading {what}.", "sessionId": scope.session_id, "robotId": scope.robot_id}
        return First("connected", UNNAMED.signal_data("connected", {**told, **self.described(start, stream_id)}))

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        return await self._sessions.read(self._scope, after, limit)
