"""The unnamed form of the personal stream, for clients that read it by `onmessage`. Pure.

Every event is one JSON object with its `type` in it. Some have names and shapes of their own here,
which such clients know: `connection_confirmed`, `ping`, `new_message`; all others keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chatrooms import sse
from chatrooms.clock import now_ms
from chatrooms.event import Event, identified

_Fields = dict[str, msgspec.Raw]


class Unnamed:
    """Event blocks without a name."""

    ends: frozenset[str] = frozenset()

    def event(self, event: Event, id: str) -> bytes:
        """`room-message` becomes `{"type": "new_message", "message": {…}, "chat_id"}`."""
        data = identified(event.data, id)
        fields = msgspec.json.decode(data, type=_Fields)
        told: dict[str, object] = {"type": event.type, **fields}
        if event.type == "room-message":
            told = {"type": "new_message", "message": msgspec.Raw(data), "chat_id": fields["roomId"]}
        return sse.encode(msgspec.json.encode(told), None, id)

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        """`system` becomes `connection_confirmed`, by the names used here; `heartbeat` becomes `ping`."""
        told = {"type": "ping" if name == "heartbeat" else name, **data}
        if name == "system":
            told = _confirmed(data)
        return sse.encode(msgspec.json.encode(told), None, id, retry)


UNNAMED = Unnamed()


def _confirmed(data: Mapping[str, object]) -> dict[str, object]:
    rooms = data["rooms"]
    assert isinstance(rooms, list)
    told = {"type": "connection_confirmed", "user_id": data["userId"], "timestamp": now_ms()}
    more = {name: value for name, value in data.items() if name != "rooms"}
    return {**told, "connected_chats": [room["roomId"] for room in rooms], **more}
