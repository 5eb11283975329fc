"""Encodings: how what a stream says becomes bytes. Pure.

A topic has one encoding, chosen by its family, so that each frame is made once and shared by all
readers. Most families name their events; some clients read everything by `onmessage` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from chatrooms import sse
from chatrooms.log.event import Event, identified


class Encoding(Protocol):
    """Makes whole event blocks. The same object for all topics of a family.

    ends  the types of the events after which a topic has nothing more: a stream that has written one
          is over, however late it came to it
    """

    ends: frozenset[str]

    def event(self, event: Event, id: str) -> bytes:
        """A durable event under its id."""

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        """What a stream says of itself: `heartbeat`, `closing`, …; `retry` and times in milliseconds."""


class Named:
    """Each event by its name: `event: room-message`, and its data as they are."""

    ends: frozenset[str] = frozenset()

    def event(self, event: Event, id: str) -> bytes:
        return sse.encode(identified(event.data, id), event.type, id)

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        return sse.encode(msgspec.json.encode(data), name, id, retry)


NAMED = Named()
