"""A seat: who wants to read a room, and from where on. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Wish(NamedTuple):
    """What a reader asks for, as it was sent: "" for what was not."""

    room_id: str
    username: str
    client_id: str
    user_id: str
    position: str
    history: str


class Seat(NamedTuple):
    """Who wants to read a room, and as whom."""

    room_id: str
    user_id: str
    username: str
    client_id: str
    session: str
    expires_at: float
    trusted: bool = False


class Start(NamedTuple):
    """Where a stream starts: after the event `position`.

    `recovered` is true when there was nothing to resume, or all of it follows; `missed` counts
    what follows, and is None when that cannot be known. `resumes` is true when a position was given
    and is known.
    """

    position: int
    recovered: bool
    missed: int | None
    resumes: bool = False
