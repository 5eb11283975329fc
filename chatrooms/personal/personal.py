"""The personal stream: every durable event of each room joined, since its joining, and what is the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatrooms.core.encoding import Encoding
from chatrooms.core.stream import Stream
from chatrooms.core.topic import Topic
from chatrooms.event import Event
from chatrooms.identity.tokens import Identity
from chatrooms.personal.inboxes import Inboxes, inbox_of, name_of
from chatrooms.personal.reading import Common, Reading
from chatrooms.rooms.presence import as_guest
from chatrooms.rooms.rooms import Rooms
from chatrooms.storage import memberships as stored
from chatrooms.storage.database import Database
from chatrooms.storage.memberships import Joined


class Personal:
    """Begins readings of personal streams."""

    def __init__(self, common: Common, database: Database, rooms: Rooms) -> None:
        self.common = common
        self.database = database
        self.rooms = rooms
        self.inboxes = Inboxes(common.hub, common.log, database)

    def close(self) -> None:
        self.inboxes.close()

    def reading(self, who: Identity, client_id: str, encoding: Encoding) -> PersonalReading:
        return PersonalReading(self, who, client_id, encoding)


class PersonalReading(Reading):
    """One user's wish to read all that is theirs."""

    def __init__(self, personal: Personal, who: Identity, client_id: str, encoding: Encoding) -> None:
        super().__init__(personal.common, who, client_id, name_of(who, encoding), encoding)
        self._personal = personal
        self._asked = inbox_of(who)
        self._joined: list[Joined] = []

    async def begin(self, asked: str) -> None:
        await super().begin(asked)
        rooms = await stored.rooms_of(self._personal.database, self.who.user_id, self.who.trusted)
        self._joined = [room for room in rooms if room.readable]

    def topic(self) -> Topic:
        return self._personal.inboxes.topic(self.who, self.encoding)

    def stream_ended(self, stream: Stream, hold: float) -> None:
        self._personal.inboxes.released(stream.topic, self.who.user_id)

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        return await stored.read(self._personal.database, self._asked, after, self._log.head, limit)

    async def count(self, after: int, most: int) -> int:
        return await stored.count(self._personal.database, self._asked, after, self._log.head, most)

    def described(self) -> dict[str, Any]:
        name = self.who.username or self.who.user_id
        return {
            "message": f"Welcome, {name}. You are in {len(self._joined)} rooms.",
            "userId": self.who.user_id,
            "username": name,
            **as_guest(self.who.guest),
            "rooms": [self._described(room) for room in self._joined],
        }

    def _described(self, room: Joined) -> dict[str, Any]:
        online = self._personal.rooms.online(room.room_id)
        return {"roomId": room.room_id, "title": room.title, "private": room.private, "onlineCount": online}
