"""Sessions: whose they are, their messages, and the streams that read them.

A session belongs to the first caller of role `user` who opens or writes it, for ever; so what is known
of owners never gets wrong. One that has no owner is shared by all who come without a token.
"""

from __future__ import annotations

import random
import secrets
import socket
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from chatrooms import names
from chatrooms.clock import iso, now_ms
from chatrooms.core.hub import LONGEST_RETRY, Hub
from chatrooms.core.start import Start, start_of
from chatrooms.core.stream import Stream
from chatrooms.errors import Forbidden, Unavailable
from chatrooms.event import CONTROL, Event, event_id, identified
from chatrooms.identity.quotas import Quotas
from chatrooms.identity.tokens import Identity
from chatrooms.limits import RateLimit
from chatrooms.options import Options
from chatrooms.sessions.encoding import UNNAMED
from chatrooms.sessions.message import ALL, OPEN, SessionMessage, filtered, session_topic
from chatrooms.storage import sessions as queries
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.log import Log

CLAIMED = "session-claimed"
RATE_PERIOD = 10.0  # seconds in which `message-rate` counts
REMEMBERED = 20_000  # owners at hand
RETRY_MS = (500, int(LONGEST_RETRY * 1000))  # reconnection time told to clients, at random between
READERS_OF_ALL = ("agent", "service", "admin")
VISITOR = "visitor"  # the role of who comes without a token


class Claim(msgspec.Struct, rename="camel"):
    """The data of CLAIMED; `shared` when the session had messages that visitors could read."""

    session_id: str
    owner: str
    shared: bool


class Reading(NamedTuple):
    """What somebody wants to read: a session, or all that they may (None); of one robot, or of any."""

    who: Identity
    session_id: str | None
    robot_id: str | None

    @property
    def visits(self) -> bool:
        return self.who.role == VISITOR

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

    def __init__(self, database: Database, log: Log, hub: Hub, quotas: Quotas, options: Options) -> None:
        self._database = database
        self._log = log
        self._hub = hub
        self._quotas = quotas
        self._max_bytes: int = options.max_message_bytes
        self._rate = RateLimit(options.message_rate, RATE_PERIOD)
        self._heartbeat: float = options.heartbeat
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._visitors: dict[str, dict[Stream, None]] = {}
        for family in ("session", "sessions"):
            hub.encode_as(family, UNNAMED)
        hub.listen(CONTROL, self._obey)

    # Whose they are

    async def check_read(self, reading: Reading) -> None:
        """Raises Forbidden for who may not read that. A session without an owner is anybody's to read.

        Until the caller's next `await` the answer stays true.
        """
        who, session_id = reading.who, reading.session_id
        if who.role in READERS_OF_ALL:
            return
        if session_id is None:
            if not reading.visits:
                raise Forbidden("forbidden", "Give a sessionId: all sessions are for agent, service and admin.")
            return
        owner = await self._owner(session_id)
        if owner is not None:
            check_owner(who, owner)

    async def claim(self, reading: Reading) -> None:
        """Makes a user the owner of a session that has none. Raises Forbidden, TooMany, Unavailable."""
        who, session_id = reading.who, reading.session_id
        if who.role == "user" and session_id is not None and self._owners.get(session_id) != who.user_id:

            async def command(tx: Transaction) -> list[Event]:
                return (await self._admit(tx, who, session_id))[1]

            await self._log.append((), command)

    async def owned(self, who: Identity, session_ids: Iterable[str]) -> set[str]:
        """Those of the sessions that somebody may read."""
        ids = set(session_ids)
        if who.role in READERS_OF_ALL:
            return ids
        owners = {id: self._owners[id] for id in ids if id in self._owners}
        owners |= await queries.owners_of(self._database, ids - owners.keys())
        return {id for id in ids if (who.role == VISITOR and id not in owners) or owners.get(id) == who.user_id}

    # Writing

    async def post(self, who: Identity, draft: Draft) -> bytes:
        """Writes a message, with its row for other programs, and returns it as JSON when it is durable.

        Raises BadRequest, TooLarge, Forbidden, TooMany, Unavailable.
        """
        names.message_text(draft.content, self._max_bytes)
        if not who.trusted:
            self._rate.spend(who.user_id)
        if await queries.is_locked(self._database):
            raise Unavailable("unavailable", "Another program has locked the table of messages.", 1)
        now = now_ms()
        message = SessionMessage(*draft, created_at=iso(now))

        async def command(tx: Transaction) -> list[Event]:
            owned, claims = await self._admit(tx, who, draft.session_id)
            await queries.add(tx, msgspec.structs.astuple(message), now)
            return [*claims, message.event(owned)]

        event = (await self._log.append((), command))[-1].event
        return identified(event.data, event_id(self._log.epoch, event.seq))

    # Reading

    async def start_of(self, reading: Reading, asked: str) -> Start:
        """Where a reader starts who asks for the position `asked` ("" for none). Raises Unavailable."""
        return await start_of(self._log, self._hub, reading.topic, asked)

    def open(self, sock: socket.socket, reading: Reading, start: Start, head: bytes) -> None:
        """Makes a socket a stream: `connected`, then what it lacks. `head` is the response head."""
        who = reading.who
        stream = Stream(self._hub, sock, self._hub.topic(reading.topic), start.position)
        stream.user_id, stream.client_id = who.user_id, secrets.token_urlsafe(9)
        stream.session, stream.expires_at = who.session, who.expires_at
        stream.trusted = who.trusted
        if reading.visits:
            self._visitors.setdefault(_place(stream), {})[stream] = None
        first = self._connected(reading, start, stream.client_id)
        self._hub.open(stream, self, head + first)

    def stream_ended(self, stream: Stream, hold: float) -> None:
        visitors = self._visitors.get(_place(stream), {})
        visitors.pop(stream, None)
        if not visitors:
            self._visitors.pop(_place(stream), None)

    def _connected(self, reading: Reading, start: Start, client_id: str) -> bytes:
        what = "all sessions" if reading.session_id is None else f"session {reading.session_id}"
        id = event_id(self._log.epoch, start.position)
        data = {
            "message": f"You read {what}.",
            "timestamp": now_ms(),
            "sessionId": reading.session_id,
            "robotId": reading.robot_id,
            "clientId": client_id,
            "lastEventId": id,
            "recovered": start.recovered,
            "missed": start.missed,
            "heartbeat": self._heartbeat,
        }
        return UNNAMED.signal("connected", data, id, random.randint(*RETRY_MS))

    async def _owner(self, session_id: str) -> str | None:
        if session_id not in self._owners:
            owner = await queries.owner_of(self._database, session_id)
            if owner is not None:
                self._remember(session_id, owner)
        return self._owners.get(session_id)  # asked again: it may have been claimed meanwhile

    async def _admit(self, tx: Transaction, who: Identity, session_id: str) -> tuple[bool, list[Event]]:
        """Under the lock of the log: whether the session has an owner, and the claim of a user who finds none.

        Raises Forbidden, TooMany.
        """
        owner = self._owners.get(session_id) or await queries.owner_of(tx, session_id)
        if owner is not None and who.role not in READERS_OF_ALL:
            check_owner(who, owner)
        if owner is not None or who.role != "user":
            return owner is not None, []
        self._quotas.make_room(who)
        topic = session_topic(session_id)
        await queries.claim(tx, session_id, who.user_id, now_ms())
        shared = await queries.has_events(tx, topic)
        if shared:
            await queries.take_out(tx, topic, OPEN)
        return True, [Event(CLAIMED, msgspec.json.encode(Claim(session_id, who.user_id, shared)), (CONTROL,))]

    def _obey(self, event: Event) -> None:
        """A session has an owner now: those who shared it have lost it, and what was said in it."""
        if event.type != CLAIMED:
            return
        claim = msgspec.json.decode(event.data, type=Claim)
        self._remember(claim.session_id, claim.owner)
        for stream in list(self._visitors.get(session_topic(claim.session_id), ())):
            stream.end("forbidden", False)
        if claim.shared:
            for topic in {stream.topic for stream in self._visitors.get(ALL, ())}:
                topic.forget()

    def forget(self) -> None:
        """The database is not what it was: whose the sessions are is asked anew."""
        self._owners.clear()

    def _remember(self, session_id: str, owner: str) -> None:
        self._owners[session_id] = owner
        if len(self._owners) > REMEMBERED:
            self._owners.popitem(last=False)


def visitor(address: str) -> Identity:
    """Who comes without a token, as limits see it: by address. No userId has a NUL."""
    return Identity(f"\0{address}", None, VISITOR, 0.0, "")


def check_owner(who: Identity, owner: str) -> None:
    """Raises Forbidden for anybody else."""
    if who.user_id != owner:
        raise Forbidden("forbidden", "This session belongs to somebody else.")


def _place(stream: Stream) -> str:
    """The topic of a stream without its filters: `session:42`, or ALL."""
    return stream.topic.name.partition("/")[0]
