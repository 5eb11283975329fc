"""The unnamed form of the personal stream, for clients that read it by `onmessage`. Pure.

Every event is one JSON object with its `type` in it. Some have names and shapes of their own here,
which such clients know: `connection_confirmed`, `ping`, `new_message`; all others keep theirs.
"""

from __future__ import annotations

import msgspec

from chatrooms import sse
from chatrooms.clock import now_ms

_Fields = dict[str, msgspec.Raw]


def encode(data: bytes, event: str | None = None, id: str | None = None, retry: int | None = None) -> bytes:
    """One event block without a name."""
    fields = msgspec.json.decode(data, type=_Fields)
    return sse.encode(msgspec.json.encode(_told(data, event or "message", fields)), None, id, retry)


def _told(data: bytes, event: str, fields: _Fields) -> dict[str, object]:
    if event == "room-message":
        return {"type": "new_message", "message": msgspec.Raw(data), "chat_id": fields["roomId"]}
    if event == "heartbeat":
        return {"type": "ping", **fields}
    if event == "system":
        return _confirmed(fields)
    return {"type": event, **fields}


def _confirmed(fields: _Fields) -> dict[str, object]:
    """`system`, by the names that are used here; what else it tells stays."""
    rooms = msgspec.json.decode(fields.pop("rooms"), type=list[dict[str, msgspec.Raw]])
    told = {"type": "connection_confirmed", "user_id": fields["userId"], "timestamp": now_ms()}
    return {**told, "connected_chats": [room["roomId"] for room in rooms], **fields}
