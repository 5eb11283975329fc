"""Encodings: how what a stream says becomes bytes. Pure.

A topic has one encoding, chosen by its family, so that each frame is made once and shared by all
readers. Most families name their events; some clients read everything by `onmessage` instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chatrooms import sse
from chatrooms.log.event import Event, event_id, identified


class Encoding:
    """Makes whole event blocks, each with its name and its data as they are; families override what differs.

    One object for all topics of a family.

    named  whether events go by their names, or all as `message`
    ends   the types of the events after which a topic has nothing more: a stream that has written one
           is over, however late it came to it
    """

    named = True
    ends: frozenset[str] = frozenset()

    def id(self, epoch: str, position: int) -> str:
        """A position as clients get it."""
        return event_id(epoch, position)

    def data(self, event: Event, id: str) -> bytes:
        """The data of a durable event, as JSON."""
        return identified(event.data, id)

    def signal_data(self, name: str, data: Mapping[str, object]) -> bytes:
        """The data of what a stream says of itself (`system`, `heartbeat`, `closing`, …), as JSON."""
        return msgspec.json.encode(data)

    def block(self, name: str, data: bytes, id: str | None = None, retry: int | None = None) -> bytes:
        """An event block of data that are encoded already; `retry` in milliseconds."""
        return sse.encode(data, name if self.named else None, id, retry)

    def event(self, event: Event, id: str) -> bytes:
        """A durable event under its id."""
        return self.block(event.type, self.data(event, id), id)

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        """What a stream says of itself; `retry` and times in milliseconds."""
        return self.block(name, self.signal_data(name, data), id, retry)

    def last(self, data: Mapping[str, object], id: str | None, retry: int | None) -> bytes:
        """What a stream with a connection of its own ends with: its `closing`."""
        return self.signal("closing", data, id, retry)


NAMED = Encoding()
