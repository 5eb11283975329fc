"""An act: something that somebody did to a room's rules, its people or their messages. Pure.

Acts are events of the log. Its topic `audit:<roomId>` is the record of a room; those that change
what others may do are in the topic `control` too, which every node obeys (`orders.py`).
"""

from __future__ import annotations

import msgspec

from chatrooms.event import CONTROL, Event

RULES_CHANGED = "room-rules-changed"
RECORDED = "room-act-recorded"

# Acts that end the streams of whom they are about, with this reason.
_ENDS = ("kicked", "banned", "left")


class Act(msgspec.Struct, rename="camel", omit_defaults=True):
    """Who did what to whom, when, in which room; the rest are details of some acts.

    `timestamp` and `until` (absent: for ever) are in milliseconds since 1970. The settings are
    those that changed; who left a private room left it with `private`.
    """

    room_id: str
    action: str
    actor_id: str
    timestamp: int
    user_id: str | None = None
    until: int | None = None
    private: bool | None = None
    title: str | None = None
    slow_mode: float | None = None
    invite_id: str | None = None
    message_id: str | None = None

    @property
    def ends(self) -> str | None:
        """The reason with which the streams of `user_id` in the room end, or None."""
        if self.action == "left" and not self.private:
            return None  # who is no member may read a public room all the same
        return self.action if self.action in _ENDS else None

    def order(self) -> Event:
        """The event that records it and that every node obeys."""
        return Event(RULES_CHANGED, msgspec.json.encode(self), (CONTROL, audit_topic(self.room_id)))

    def record(self) -> Event:
        """The event that only records it."""
        return Event(RECORDED, msgspec.json.encode(self), (audit_topic(self.room_id),))


def audit_topic(room_id: str) -> str:
    """The topic of what was done to a room."""
    return f"audit:{room_id}"
