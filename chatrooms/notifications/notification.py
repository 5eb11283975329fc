"""A notification: what a program tells one user or several. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from chatrooms import names
from chatrooms.clock import now_ms
from chatrooms.errors import BadRequest, TooLarge
from chatrooms.event import Event
from chatrooms.personal.membership import topic_of_user

MAX_USERS = 1000  # told by one notification

_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")

# Names that mean something in a stream already; `erased` events are in no stream at all.
RESERVED = frozenset(
    {
        "system", "user-joined", "user-left", "room-message", "message-edited", "message-deleted", "typing",
        "bot-chunk", "presence", "heartbeat", "status", "token-expiring", "closing", "room-joined", "room-left",
        "refused", "connection_confirmed", "ping", "new_message", "erased",
    }
)  # fmt: skip


class Notification(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """What is told, as readers get it but for its `id`.

    `data` is any JSON; `source_client_id` names the client whose change it tells of, which may ignore
    the echo; `timestamp` in milliseconds since 1970.
    """

    type: str
    data: msgspec.Raw
    session_id: str | None = None
    source_client_id: str | None = None
    timestamp: int


def notification_event(
    user_ids: Sequence[str], type: str, data: object, session_id: str | int | None, source_client_id: str | None,
    max_bytes: int = 0,
) -> Event:  # fmt: skip
    """The event of a notification to these users.

    Raises BadRequest for what may not be; TooLarge for data of more than `max_bytes` of JSON (0: any).
    """
    if not _TYPE.match(type) or type in RESERVED:
        raise BadRequest("bad-field", "type must be a-z, 0-9, _ and -, begin with a letter, and be no event of ours.")
    if not 1 <= len(user_ids) <= MAX_USERS:
        raise BadRequest("bad-field", f"There must be 1 to {MAX_USERS} userIds.")
    told = Notification(
        type=type,
        data=_encoded(data, max_bytes),
        session_id=None if session_id is None else names.session_id(session_id),
        source_client_id=None if source_client_id is None else names.client_id(source_client_id),
        timestamp=now_ms(),
    )
    topics: dict[str, None] = {}
    for user_id in map(names.user_id, user_ids):
        topics[topic_of_user(user_id)] = topics[topic_of_notifications(user_id, None)] = None
        if told.session_id is not None:
            topics[topic_of_notifications(user_id, told.session_id)] = None
    return Event(type, msgspec.json.encode(told), tuple(topics))


def topic_of_notifications(user_id: str, session_id: str | None) -> str:
    """The topic of a user's notifications, or of those of one session. No session id has a slash."""
    return f"notify:{user_id}" if session_id is None else f"notify-session:{session_id}/{user_id}"


def _encoded(data: object, max_bytes: int) -> msgspec.Raw:
    encoded = msgspec.json.encode(data)
    if max_bytes and len(encoded) > max_bytes:
        raise TooLarge("too-large", f"data is longer than {max_bytes} bytes.")
    return msgspec.Raw(encoded)
