"""The personal stream: one merged topic of all rooms a user joined, kept current while it has readers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chatrooms.clock import now_ms
from chatrooms.errors import BadRequest, Forbidden
from chatrooms.identity import Identity
from chatrooms.log.database import Database
from chatrooms.log.event import Event, identified
from chatrooms.log.log import Log
from chatrooms.logs import described
from chatrooms.rooms.joined import Inbox, Joined, count, read, rooms_of
from chatrooms.rooms.memberships import JOINED, LEFT, Membership, topic_of_user
from chatrooms.rooms.presence import as_guest
from chatrooms.rooms.rooms import Rooms, topic_of
from chatrooms.rooms.rules import RULES_CHANGED, Act
from chatrooms.streams.encoding import NAMED, Encoding
from chatrooms.streams.hub import Hub
from chatrooms.streams.opening import Fields, LogStream
from chatrooms.streams.resume import Start
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Reader, Topic

_Fields = dict[str, msgspec.Raw]


class Unnamed(Encoding):
    """Event blocks without names."""

    named = False

    def data(self, event: Event, id: str) -> bytes:
        """`room-message` becomes `{"type": "new_message", "message": {…}, "chat_id"}`."""
        data = identified(event.data, id)
        fields = msgspec.json.decode(data, type=_Fields)
        told: dict[str, object] = {"type": event.type, **fields}
        if event.type == "room-message":
            told = {"type": "new_message", "message": msgspec.Raw(data), "chat_id": fields["roomId"]}
        return msgspec.json.encode(told)

    def signal_data(self, name: str, data: Mapping[str, object]) -> bytes:
        """`system` becomes `connection_confirmed`, with the names used here; `heartbeat` becomes `ping`."""
        told = {"type": "ping" if name == "heartbeat" else name, **data}
        if name == "system":
            told = _confirmed(data)
        return msgspec.json.encode(told)


UNNAMED = Unnamed()
_FORMS = {"named": NAMED, "unnamed": UNNAMED}


def _confirmed(data: Mapping[str, object]) -> dict[str, object]:
    rooms = data["rooms"]
    assert isinstance(rooms, list)
    told = {"type": "connection_confirmed", "user_id": data["userId"], "timestamp": now_ms()}
    more = {name: value for name, value in data.items() if name != "rooms"}
    return {**told, "connected_chats": [room["roomId"] for room in rooms], **more}


RETRY = 1.0  # seconds until a failed read of sources is retried

log = logging.getLogger(__name__)


class MergedTopic:
    """One user's merged topic in one encoding.

    asked    whose events it carries, as the queries take it
    rooms    the rooms joined, readable or not
    version  grows with every change, so that earlier reads are not used
    """

    def __init__(self, asked: Inbox) -> None:
        self.asked = asked
        self.topic: Topic
        self.rooms: set[str] = set()
        self.version = 0


class Inboxes:
    """Makes merged topics, and keeps their sources current while they have readers."""

    def __init__(self, hub: Hub, log: Log, database: Database) -> None:
        self._hub = hub
        self._log = log
        self._database = database
        self._inboxes: dict[str, dict[str, MergedTopic]] = {}  # by user and name of the topic
        self._unsettled: dict[MergedTopic, None] = {}
        self._settling: asyncio.Task[None] | None = None

    def close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()

    def topic(self, who: Identity, encoding: Encoding) -> Topic:
        """The topic of a user's personal streams in that encoding; a stream must open on it at once."""
        name = name_of(who, encoding)
        mine = self._inboxes.setdefault(who.user_id, {})
        inbox = mine.get(name)
        if inbox is None:
            inbox = mine[name] = MergedTopic(inbox_of(who))
            inbox.topic = self._hub.merged(name, encoding, self._reader(inbox))
            self._settle(inbox)
        return inbox.topic

    def released(self, topic: Topic, user_id: str) -> None:
        """A stream of a topic has ended: the inbox goes with the last one."""
        if self._hub.readers(topic.name):
            return
        mine = self._inboxes.get(user_id, {})
        inbox = mine.pop(topic.name, None)
        if inbox is not None:
            self._unsettled.pop(inbox, None)
        if not mine:
            self._inboxes.pop(user_id, None)

    def _reader(self, inbox: MergedTopic) -> Reader:
        asked = inbox.asked  # not the inbox: its topic would hold itself, with its tail
        return lambda after, limit: read(self._database, asked, after, self._log.head, limit)

    def _settle(self, inbox: MergedTopic) -> None:
        """Schedules reading the sources of a held topic from the database."""
        self._unsettled[inbox] = None
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle_all())

    async def _settle_all(self) -> None:
        """Settles them one after the other: a room with many readers may close for all of them at once."""
        try:
            while self._unsettled:
                await self._settle_next()
        finally:
            self._settling = None

    async def _settle_next(self) -> None:
        inbox = next(iter(self._unsettled))
        try:
            await self._settle_one(inbox)
        except Exception as error:  # the database is away, say: its streams wait
            log.warning("a personal stream waits: %s", described(error))
            if inbox in self._unsettled:  # behind the others
                del self._unsettled[inbox]
                self._unsettled[inbox] = None
            await asyncio.sleep(RETRY)

    async def _settle_one(self, inbox: MergedTopic) -> None:
        version = inbox.version
        rooms = await rooms_of(self._database, inbox.asked.user_id, inbox.asked.trusted)
        if inbox in self._unsettled and inbox.version == version:
            sources = {topic_of(room.room_id) for room in rooms if room.readable}
            inbox.rooms = {room.room_id for room in rooms}
            self._hub.release(inbox.topic, {*sources, inbox.asked.topic})
            self._unsettled.pop(inbox, None)

    def apply(self, event: Event) -> None:
        """Changes the sources of topics when somebody joins or leaves a room, or may no longer read it."""
        if event.type in (JOINED, LEFT):
            self._move(Membership.of(event), event.type == JOINED)
        elif event.type == RULES_CHANGED:
            act = msgspec.json.decode(event.data, type=Act)
            if act.action == "joined" and act.user_id is not None:
                self._ask_anew(list(self._inboxes.get(act.user_id, {}).values()), act.room_id)
            elif act.private is not None and act.user_id is None:
                self._ask_anew([inbox for mine in self._inboxes.values() for inbox in mine.values()], act.room_id)

    def _move(self, membership: Membership, joined: bool) -> None:
        for inbox in self._inboxes.get(membership.user_id, {}).values():
            inbox.version += 1
            if joined:
                inbox.rooms.add(membership.room_id)
                self._hub.add_source(inbox.topic, topic_of(membership.room_id))
            else:
                inbox.rooms.discard(membership.room_id)
                self._hub.remove_source(inbox.topic, topic_of(membership.room_id))

    def _ask_anew(self, inboxes: list[MergedTopic], room_id: str) -> None:
        """The readers of the room have changed: holds the topics that it may be a source of."""
        for inbox in inboxes:
            if room_id in inbox.rooms and not inbox.asked.trusted:
                inbox.version += 1
                inbox.topic.hold()
                self._settle(inbox)


def inbox_of(who: Identity) -> Inbox:
    """Whose events a personal stream carries."""
    return Inbox(who.user_id, who.trusted, topic_of_user(who.user_id))


def name_of(who: Identity, encoding: Encoding) -> str:
    """The name of a user's merged topic; no topic of the log has such a name."""
    form = "unnamed" if encoding is UNNAMED else "named"
    return f"personal-{form}{'-trusted' if who.trusted else ''}:{who.user_id}"


class Personal:
    """The personal streams of this process; learns when one ends."""

    def __init__(self, hub: Hub, log: Log, database: Database, rooms: Rooms) -> None:
        self.hub = hub
        self.log = log
        self.database = database
        self.rooms = rooms
        self.inboxes = Inboxes(hub, log, database)

    def close(self) -> None:
        self.inboxes.close()

    def stream_ended(self, stream: Stream, hold: float) -> None:
        self.inboxes.released(stream.topic, stream.user_id)


class PersonalStream(LogStream):
    """A request to read all that is the reader's own, in the `form` named or unnamed. Raises Forbidden, BadRequest."""

    def __init__(self, personal: Personal, who: Identity, fields: Fields) -> None:
        if fields.get("userId", who.user_id) != who.user_id:
            raise Forbidden("user-mismatch", "userId is not the one of the token.")
        encoding = _FORMS.get(fields.get("form", "named"))
        if encoding is None:
            raise BadRequest("bad-field", f"form must be one of {', '.join(_FORMS)}.")
        super().__init__(personal.hub, personal.log, who, fields, name_of(who, encoding), encoding)
        self._personal = personal
        self._asked = inbox_of(who)
        self._joined: list[Joined] = []

    async def check(self) -> int:
        return 0  # it is the reader's own

    async def start(self, asked: str) -> Start | None:
        start = await super().start(asked)
        rooms = await rooms_of(self._personal.database, self.who.user_id, self.who.trusted)
        self._joined = [room for room in rooms if room.readable]
        return start

    def topic(self) -> Topic:
        return self._personal.inboxes.topic(self.who, self.encoding)

    def enter(self, start: Start, stream: Stream | None) -> Personal:
        return self._personal

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        return await read(self._personal.database, self._asked, after, self._log.head, limit)

    async def count(self, after: int, most: int) -> int:
        return await count(self._personal.database, self._asked, after, self._log.head, most)

    def described(self, start: Start, stream_id: str) -> dict[str, Any]:
        name = self.who.username or self.who.user_id
        return {
            "message": f"Welcome, {name}. You are in {len(self._joined)} rooms.",
            "userId": self.who.user_id,
            "username": name,
            **as_guest(self.who.guest),
            "rooms": [self._described(room) for room in self._joined],
            **super().described(start, stream_id),
        }

    def _described(self, room: Joined) -> dict[str, Any]:
        online = self._personal.rooms.online(room.room_id)
        return {"roomId": room.room_id, "title": room.title, "private": room.private, "onlineCount": online}
