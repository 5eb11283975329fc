"""Encodings turn what a stream sends into bytes. Pure.

A topic has one encoding, chosen by its family, so that each frame is encoded once and shared by all
readers. Most families name their events; some clients read everything by `onmessage` instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chatrooms import sse
from chatrooms.log.event import Event, event_id, identified


class Encoding:
    """Encodes whole event blocks, name and data as they are; families override what differs.

    One object serves all topics of a family.

    named  whether events carry their names, or are all `message`
    ends   the event types after which a topic has nothing more: a stream that has written one is over,
           however late it came to it
    """

    named = True
    ends: frozenset[str] = frozenset()

    def id(self, epoch: str, position: int) -> str:
        """A position as clients see it."""
        return event_id(epoch, position)

    def data(self, event: Event, id: str) -> bytes:
        """The data of a durable event, as JSON."""
        return identified(event.data, id)

    def signal_data(self, name: str, data: Mapping[str, object]) -> bytes:
        """The data of a stream's own event (`system`, `heartbeat`, `closing`, …), as JSON."""
        return msgspec.json.encode(data)

    def block(self, name: str, data: bytes, id: str | None = None, retry: int | None = None) -> bytes:
        """An event block of data that is already encoded; `retry` in milliseconds."""
        return sse.encode(data, name if self.named else None, id, retry)

    def event(self, event: Event, id: str) -> bytes:
        """A durable event under its id."""
        return self.block(event.type, self.data(event, id), id)

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        """A stream's own event; `retry` and times in milliseconds."""
        return self.block(name, self.signal_data(name, data), id, retry)

    def last(self, data: Mapping[str, object], id: str | None, retry: int | None) -> bytes:
        """The `closing` that ends a stream with a connection of its own."""
        return self.signal("closing", data, id, retry)


NAMED = Encoding()
