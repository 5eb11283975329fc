"""The encoding of the message sessions: unnamed events, times in ISO 8601. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chatrooms import sse
from chatrooms.clock import iso, now_ms
from chatrooms.event import Event, identified

_TIMES = ("timestamp", "expiresAt")


class _Created(msgspec.Struct, rename="camel"):
    created_at: str


class Unnamed:
    """Each event is JSON with its `type`, for clients that read by `onmessage`."""

    ends: frozenset[str] = frozenset()

    def event(self, event: Event, id: str) -> bytes:
        """`{"type": "message", "data": {…}, "timestamp"}`."""
        return sse.encode(self.data(event, id), None, id)

    def data(self, event: Event, id: str) -> bytes:
        """The same, as JSON alone."""
        created = msgspec.json.decode(event.data, type=_Created).created_at
        return b'{"type":"message","data":%b,"timestamp":"%b"}' % (identified(event.data, id), created.encode())

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        """`closing` becomes an `error`, which every client of this family knows; all else keeps its name."""
        told = {"timestamp": now_ms(), **data}
        for key in _TIMES:
            if isinstance(time := told.get(key), int):
                told[key] = iso(time)
        if name == "closing":
            reason, reconnect = told.pop("reason"), told.pop("reconnect")
            sentence = f"This stream has ended: {reason}."
            told = {"error": sentence, "code": reason, "reconnect": reconnect, **told}
            name = "error"
        return sse.encode(msgspec.json.encode({"type": name, **told}), None, id, retry)


UNNAMED = Unnamed()
