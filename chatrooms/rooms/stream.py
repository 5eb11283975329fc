"""The stream of a room: who may open it, as whom, and what its reader is told first."""

from __future__ import annotations

import msgspec

from chatrooms import names
from chatrooms.errors import Conflict, Forbidden
from chatrooms.identity import Identity
from chatrooms.names import is_spoken
from chatrooms.rooms.policy import Policy
from chatrooms.rooms.presence import as_guest
from chatrooms.rooms.rooms import Room, Rooms, topic_of
from chatrooms.streams.opening import Fields, LogStream, history_of
from chatrooms.streams.resume import First, Start
from chatrooms.streams.stream import Stream


def check_free(who: Identity, username: str) -> None:
    """Raises Conflict `name-taken` for the server's own name, where no token gives one.

    Other reserved names are the business of the program that made the token.
    """
    if not who.trusted and username != who.user_id and is_spoken(username):
        raise Conflict("name-taken", "That name is reserved.")


class RoomStream(LogStream):
    """A wish to read `roomId`, and to be in it as `username`. Raises Forbidden, then BadRequest, then Conflict."""

    def __init__(self, rooms: Rooms, policy: Policy, who: Identity, fields: Fields) -> None:
        if fields.get("userId", who.user_id) != who.user_id:
            raise Forbidden("user-mismatch", "userId is not the one of the token.")
        given = fields.get("username")
        if who.username is not None and given is not None and not names.same_name(given, who.username):
            raise Forbidden("username-mismatch", "username is not the one of the token.")
        self._room_id = names.room_id(fields.get("roomId", ""))
        username = names.username(given)
        if who.username is None:
            check_free(who, username)
        super().__init__(rooms.hub, rooms.log, who, fields, topic_of(self._room_id))
        self.retry_ms = rooms.retry_ms
        self._username = who.username or username
        self._fields = fields
        self._rooms = rooms
        self._policy = policy

    async def check(self) -> int:
        await self._policy.readable(self.who, self._room_id)
        self._history = history_of(self._fields)
        return 0

    async def start(self, asked: str) -> Start:
        return await self._rooms.start_of(self._room_id, asked, self._history)

    def enter(self, start: Start, stream: Stream | None) -> Room:
        """Announces the member, unless it is there already."""
        room, user_id, guest = self._rooms.room(self._room_id), self.who.user_id, self.who.guest
        if stream is None:
            room.presence.poll(user_id, self._username, guest)
        else:
            member = room.presence.enter(user_id, self._username, self._rooms.returns(start), guest)
            if member.nodes:
                self._rooms.on_replaced(self._room_id, user_id, self.client_id)
            stream.member = member
            stream.topic.snapshot = room.snapshot
        self._rooms.on_joined(user_id, self._room_id, self.who.trusted)
        return room

    def first(self, start: Start, stream_id: str) -> First:
        presence = self._rooms.presence_of(self._room_id)
        data = {
            "message": f"Welcome, {self._username}. You are in {self._room_id}.",
            "roomId": self._room_id,
            "userId": self.who.user_id,
            "username": self._username,
            **as_guest(self.who.guest),
            "onlineCount": presence.count,
            **self.described(start, stream_id),
        }
        return First("system", msgspec.json.encode(data)[:-1] + b"," + presence.listed() + b"}")

    def snapshot(self) -> bytes:
        return self._rooms.ephemeral_state(self._room_id)
