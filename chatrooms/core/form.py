"""A form: how the events of a topic look on the wire, and which of them is its last. Pure."""

from __future__ import annotations

from collections.abc import Callable

from chatrooms import sse
from chatrooms.event import Event, identified


class Form:
    """Shared by all topics of one family; compared by identity.

    frame   makes the bytes of a durable event, given its id
    beat    makes a heartbeat, given the time in milliseconds since 1970
    ends    the types of the events after which a topic has nothing more: a stream that has written
            one is over, however late it came to it
    """

    __slots__ = ("beat", "ends", "frame")

    def __init__(
        self, frame: Callable[[Event, str], bytes], beat: Callable[[int], bytes], ends: frozenset[str] = frozenset()
    ) -> None:
        self.frame = frame
        self.beat = beat
        self.ends = ends


def _named(event: Event, id: str) -> bytes:
    return sse.encode(identified(event.data, id), event.type, id)


def _beat(now: int) -> bytes:
    return sse.encode(b'{"timestamp":%d}' % now, "heartbeat")


NAMED = Form(_named, _beat)  # of rooms
