"""Rooms: their members, and the streams that read them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from chatrooms import sse
from chatrooms.identity import Identity
from chatrooms.limits import RateLimit
from chatrooms.log.log import Log
from chatrooms.options import Options
from chatrooms.rooms.message import MessageQueries
from chatrooms.rooms.presence import Key, Member, Names, Presence, as_guest
from chatrooms.streams.hub import Hub, closing
from chatrooms.streams.opening import RETRY_MS
from chatrooms.streams.resume import Start, start_of
from chatrooms.streams.stream import Stream

TYPING_INTERVAL = 2.0  # seconds between two `typing` events of one user
SETTLING = 10.0  # seconds after the start in which a resuming reader counts as having been here before


class RoomListeners(NamedTuple):
    """Callbacks for what happens in rooms; `state` returns whole events that show a newcomer what is going on."""

    state: Callable[[str], bytes] = lambda room_id: b""
    # The room, the member, and whether it arrived on this node (True) or left it.
    on_presence: Callable[[str, Key, bool], None] = lambda room_id, key, here: None
    # A stream has opened: the user, the room, and whether the user is exempt from its rules.
    on_joined: Callable[[str, str, bool], None] = lambda user_id, room_id, trusted: None
    # The room, user and client of a new stream whose user is also on other nodes.
    on_replaced: Callable[[str, str, str], None] = lambda room_id, user_id, client_id: None
    # An ephemeral for readers on other nodes: the nodes, the topic, the frame.
    on_ephemeral: Callable[[Sequence[str], str, bytes], None] = lambda nodes, topic, frame: None


class Room:
    """A room with members."""

    def __init__(self, rooms: Rooms, room_id: str) -> None:
        self._rooms = rooms
        self.room_id = room_id
        self.presence = Presence(
            room_id, rooms.presence_limit, self.announce, self._emptied, self._report, rooms.elsewhere, rooms.names.note
        )

    def announce(self, frame: bytes) -> None:
        """Sends an ephemeral frame to the open streams."""
        self._rooms.hub.send_ephemeral(topic_of(self.room_id), frame)

    def snapshot(self) -> bytes:
        """The present state, for readers that may have missed ephemerals."""
        return self.presence.snapshot() + self._rooms.ephemeral_state(self.room_id)

    def stream_ended(self, stream: Stream, hold: float) -> None:
        assert isinstance(stream.member, Member)
        if self._rooms.hub.draining:
            return  # they reconnect to another process: nobody is told that they left
        self.presence.release(stream.member, hold + self._rooms.leave_grace)

    def _report(self, key: Key, here: bool) -> None:
        self._rooms.on_presence(self.room_id, key, here)

    def _emptied(self) -> None:
        self._rooms.drop(self)


class Rooms:
    """All rooms of this process."""

    def __init__(
        self, hub: Hub, log: Log, messages: MessageQueries, options: Options, listeners: RoomListeners
    ) -> None:
        self.hub = hub
        self.leave_grace: float = options.leave_grace
        self.presence_limit: int = options.presence_limit
        self.elsewhere: Counter[str] = Counter()  # by user: in how many rooms, on how many other nodes
        self.ephemeral_state, self.on_presence, self.on_joined, self.on_replaced, self.on_ephemeral = listeners
        self.log = log
        self._first_head = log.head
        self._settled = time.monotonic() + SETTLING
        self._messages = messages
        self._live: dict[str, Room] = {}
        self._typing = RateLimit(1, TYPING_INTERVAL)
        self.names = Names()

    # Reading

    @property
    def retry_ms(self) -> tuple[int, int]:
        """How long readers are told to wait before they reconnect: within the grace, so that nobody seems to leave."""
        low, high = RETRY_MS
        grace = self.leave_grace * 1000
        return (int(grace / 4), int(grace * 3 / 4)) if 0 < grace <= high else (low, high)

    def returns(self, start: Start) -> bool:
        """Whether a reader that starts there was here before this process, which has only just started."""
        return start.resumes and 0 < start.position <= self._first_head and time.monotonic() < self._settled

    async def start_of(self, room_id: str, asked: str, history: int) -> Start:
        """Where a reader starts: without a position to resume from, before the last `history` messages."""
        start = await start_of(self.log, self.hub, topic_of(room_id), asked)
        if history and not start.resumes:
            first = await self._messages.nth_last(topic_of(room_id), history)
            if first is not None:
                start = start._replace(position=min(start.position, first - 1))
        return start

    # Presence

    def leave(self, room_id: str, user_id: str, client_id: str) -> None:
        """Ends that client's streams in a room; its member leaves at once if it has no other."""
        room = self._live.get(room_id)
        if room is None:
            return
        stream = self.hub.stream_of(topic_of(room_id), user_id, client_id)
        if stream is not None:
            stream.finish(closing("left", False))
        for member in room.presence.find(user_id):
            room.presence.end_poll(member)
            room.presence.leave(member)

    def expel(self, room_id: str, user_ids: Iterable[str], last: bytes) -> None:
        """Ends the streams of those users with that last event, and their presence at once.

        Trusted readers stay: the rules of rooms do not apply to them.
        """
        for user_id in user_ids:
            for stream in self.hub.streams_of(user_id):
                if stream.topic.name == topic_of(room_id) and not stream.trusted:
                    stream.finish(last)
            presence = self.find_presence(room_id)  # the room goes with its last member
            if presence is not None:
                presence.expel(user_id)

    def users_in(self, room_id: str) -> set[str]:
        """The users in a room, on any node."""
        presence = self.find_presence(room_id)
        return presence.users() if presence else set()

    def typing(self, room_id: str, who: Identity, username: str) -> None:
        """Tells a room that a user is typing. Raises TooMany within 2 s of the last time."""
        self._typing.spend(f"{room_id}/{who.user_id}")
        data = {"roomId": room_id, "userId": who.user_id, "username": username, **as_guest(who.guest)}
        self.send_ephemeral(room_id, sse.encode(msgspec.json.encode(data), "typing"))

    def send_ephemeral(self, room_id: str, frame: bytes) -> None:
        """Sends an ephemeral frame to the readers of a room, on any node."""
        room = self._live.get(room_id)
        if room is not None:
            room.announce(frame)
            self.on_ephemeral(list(room.presence.nodes), topic_of(room_id), frame)

    def extend(self, who: Identity, client_id: str) -> int:
        """Extends the streams of a user's client to the expiry of its new token; returns how many there are."""
        streams = [s for s in self.hub.streams_of(who.user_id) if s.client_id == client_id]
        for stream in streams:
            stream.session = who.session
            self.hub.extend(stream, who.expires_at)
            room = self.hub.streams[stream]
            if isinstance(room, Room) and who.username is not None and not who.guest:
                room.presence.end_guest((who.user_id, who.username))
        return len(streams)

    def username_of(self, user_id: str, client_id: str) -> str | None:
        """The name that a client uses in its stream, if it has one."""
        for stream in self.hub.streams_of(user_id):
            if stream.client_id == client_id and isinstance(stream.member, Member):
                return stream.member.key[1]
        return None

    def online(self, room_id: str) -> int:
        room = self._live.get(room_id)
        return room.presence.count if room else 0

    def members(self, room_id: str, after: Key | None, limit: int) -> list[Key]:
        """A page of a room's members, in the order of (userId, username)."""
        room = self._live.get(room_id)
        return room.presence.page(after, limit) if room else []

    def described(self, room_id: str, members: Sequence[Key]) -> list[dict[str, object]]:
        """Members of a room as sent to clients."""
        room = self._live.get(room_id)
        return room.presence.described(members) if room else []

    def live(self, after: str = "") -> list[str]:
        """The ids of rooms with members, in order, after one."""
        return sorted(room_id for room_id in self._live if room_id > after)

    def is_live(self, room_id: str) -> bool:
        """Whether a room has members."""
        return room_id in self._live

    def held_by_others(self, room_id: str, user_id: str) -> bool:
        """Whether anybody but that user is in a room."""
        room = self._live.get(room_id)
        return room is not None and room.presence.count > len(room.presence.find(user_id))

    def presences(self) -> list[tuple[str, Presence]]:
        """The rooms with members on any node, and their presence."""
        return [(room_id, room.presence) for room_id, room in self._live.items()]

    def presence_of(self, room_id: str) -> Presence:
        """The presence of a room, for a member that enters it in the same step."""
        return self.room(room_id).presence

    def find_presence(self, room_id: str) -> Presence | None:
        """The presence of a room; None for one without members."""
        room = self._live.get(room_id)
        return room.presence if room else None

    def is_elsewhere(self, user_id: str, room_id: str = "") -> bool:
        """Whether a user is in a room, or in any, on another node."""
        if not room_id:
            return user_id in self.elsewhere
        presence = self.find_presence(room_id)
        return presence is not None and presence.is_elsewhere(user_id)

    def drop(self, room: Room) -> None:
        """Drops a room that has no members any more."""
        self._live.pop(room.room_id, None)

    def room(self, room_id: str) -> Room:
        """A room, for a member that enters it in the same step: an empty one would stay."""
        room = self._live.get(room_id)
        if room is None:
            room = self._live[room_id] = Room(self, room_id)
        return room


def topic_of(room_id: str) -> str:
    """The topic of a room's events."""
    return f"room:{room_id}"
