"""A message of a session, and the topics in which it stands. Pure."""

from __future__ import annotations

import msgspec

from chatrooms.event import Event

MESSAGE = "session-message"

ALL = "sessions"  # every session
OPEN = "sessions/open"  # those that have no owner


class SessionMessage(msgspec.Struct, rename="camel"):
    """The data of a message, without its id; `created_at` in ISO 8601, UTC."""

    session_id: str
    content: str
    is_from_bot: bool
    is_human: bool
    intent: str | None
    robot_id: str | None
    created_at: str

    def event(self, owned: bool) -> Event:
        """The event of this message in a session that has an owner, or has none."""
        wide = [session_topic(self.session_id), ALL] + ([] if owned else [OPEN])
        narrow = [filtered(topic, self.robot_id) for topic in wide] if self.robot_id is not None else []
        return Event(MESSAGE, msgspec.json.encode(self), (*wide, *narrow))


def session_topic(session_id: str) -> str:
    """The topic of a session's messages."""
    return f"session:{session_id}"


def filtered(topic: str, robot_id: str | None) -> str:
    """The topic of those messages that are of one robot. No id has a slash."""
    return topic if robot_id is None else f"{topic}/robot:{robot_id}"
