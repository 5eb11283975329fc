"""The answer to a poll: the same in every family of streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from chatrooms.event import Event, event_id, identified
from chatrooms.storage.log import Log

POLL_EVENTS = 200  # events in one answer to a poll, its `system` included


def page(
    log: Log, system: bytes, position: int, recovered: bool, events: Sequence[Event], reached: int,
    unnamed: Callable[[Event, str], bytes] | None = None,
) -> bytes:  # fmt: skip
    """The JSON answer to a poll from that position: `system`, then what follows, POLL_EVENTS in all.

    `events` are the next POLL_EVENTS, when there are so many; `reached` is up to where they are all.
    `unnamed` makes the data of each in a family whose events have no names.
    """
    more = len(events) == POLL_EVENTS
    events = events[: POLL_EVENTS - 1]
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


def _polled(log: Log, event: Event, unnamed: Callable[[Event, str], bytes] | None) -> dict[str, object]:
    id = event_id(log.epoch, event.seq)
    if unnamed is not None:
        return {"event": "message", "id": id, "data": msgspec.Raw(unnamed(event, id))}
    return {"event": event.type, "id": id, "data": msgspec.Raw(identified(event.data, id))}
