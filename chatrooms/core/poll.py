"""The answer to a poll: the same in every family of streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from chatrooms.event import Event, event_id, identified
from chatrooms.storage.log import Log

POLL_EVENTS = 200  # events in one answer to a poll, its `system` included
POLL_BYTES = 256 << 10  # of their data: who reads it slowly keeps it in memory


def page(
    log: Log, system: bytes, position: int, recovered: bool, events: Sequence[Event], reached: int,
    unnamed: Callable[[Event, str], bytes] | None = None,
) -> bytes:  # fmt: skip
    """The JSON answer to a poll from that position: `system`, then what follows, POLL_EVENTS or POLL_BYTES in all.

    `events` are the next POLL_EVENTS, when there are so many; `reached` is up to where they are all.
    `unnamed` makes the data of each in a family whose events have no names.
    """
    some = _fitting(events[: POLL_EVENTS - 1])
    more = len(events) == POLL_EVENTS or len(some) < len(events)
    events = some
    last = events[-1].seq if more else max(reached, position)
    name = "message" if unnamed else "system"
    first = {"event": name, "id": event_id(log.epoch, position), "data": msgspec.Raw(system)}
    return msgspec.json.encode(
        {
            "events": [first, *(_polled(log, event, unnamed) for event in events)],
            "more": more,
            "lastEventId": event_id(log.epoch, last),
            "recovered": recovered,
        }
    )


def _fitting(events: Sequence[Event]) -> Sequence[Event]:
    """The first events that fit into an answer; one always does."""
    size = 0
    for number, event in enumerate(events):
        size += len(event.data)
        if number and size > POLL_BYTES:
            return events[:number]
    return events


def _polled(log: Log, event: Event, unnamed: Callable[[Event, str], bytes] | None) -> dict[str, object]:
    id = event_id(log.epoch, event.seq)
    if unnamed is not None:
        return {"event": "message", "id": id, "data": msgspec.Raw(unnamed(event, id))}
    return {"event": event.type, "id": id, "data": msgspec.Raw(identified(event.data, id))}
