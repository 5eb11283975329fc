"""A membership: a user has joined a room, durably; that they are there is presence. Pure.

It begins with the first stream of the room, by asking for it, or by an invite; it ends by asking for
that, by a kick or a ban. Joining and leaving are events of the user's own topic, and of `control`,
because every node keeps in mind what its personal streams carry.
"""

from __future__ import annotations

import msgspec

from chatrooms.clock import now_ms
from chatrooms.event import CONTROL, Event

JOINED = "room-joined"
LEFT = "room-left"


class Membership(msgspec.Struct, rename="camel", omit_defaults=True):
    """The data of `room-joined` and `room-left`.

    `timestamp` in milliseconds since 1970; `reason` of an end: left, kicked, banned.
    """

    room_id: str
    user_id: str
    timestamp: int
    reason: str | None = None

    @classmethod
    def of(cls, event: Event) -> Membership:
        return msgspec.json.decode(event.data, type=cls)


def joined(user_id: str, room_id: str) -> Event:
    """Tells that a user has joined a room."""
    return _event(JOINED, Membership(room_id, user_id, now_ms()))


def left(user_id: str, room_id: str, reason: str) -> Event:
    """Tells that a user has left a room, or was made to."""
    return _event(LEFT, Membership(room_id, user_id, now_ms(), reason))


def _event(type: str, membership: Membership) -> Event:
    return Event(type, msgspec.json.encode(membership), (topic_of_user(membership.user_id), CONTROL))


def topic_of_user(user_id: str) -> str:
    """The topic of what is a user's alone."""
    return f"user:{user_id}"
