"""The encoding of tasks: named events without ids in their data, times in ISO 8601. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from chatrooms import sse
from chatrooms.clock import iso
from chatrooms.core.encoding import Named
from chatrooms.event import Event


class TaskEncoding(Named):
    """Each event carries the whole task; after the last of it nothing more comes."""

    ends = frozenset({"complete", "error"})

    def event(self, event: Event, id: str) -> bytes:
        return sse.encode(event.data, event.type, id)

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        times = {key: iso(value) for key, value in data.items() if key in TIMES and isinstance(value, int)}
        return super().signal(name, {**data, **times}, id, retry)


TIMES = ("timestamp", "expiresAt")

TASK = TaskEncoding()
