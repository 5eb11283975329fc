"""An attendee: who wants to read a room. Pure."""

from __future__ import annotations

from typing import NamedTuple


class JoinRequest(NamedTuple):
    """What a reader asks for, as it was sent: "" for what was not."""

    room_id: str
    username: str
    client_id: str
    user_id: str
    position: str
    history: str


class Attendee(NamedTuple):
    """Who wants to read a room, and as whom."""

    room_id: str
    user_id: str
    username: str
    client_id: str
    session: str
    expires_at: float
    trusted: bool = False
    guest: bool = False
