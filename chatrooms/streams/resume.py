"""Where a stream starts in its topic."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from chatrooms.errors import Conflict
from chatrooms.log.event import Event, event_id, identified, parse_id
from chatrooms.log.log import Log
from chatrooms.streams.hub import Hub

MAX_MISSED = 1000  # counted for `missed`: a reader that was away for long must not keep those of others waiting


class Start(NamedTuple):
    """Where a stream starts: after the event `position`.

    `recovered` is true when there was nothing to resume, or all of it follows; `missed` counts
    what follows, up to MAX_MISSED, and is None when that cannot be known. `resumes` is true when a position was given
    and is known.
    """

    position: int
    recovered: bool
    missed: int | None
    resumes: bool = False


async def start_of(
    log: Log, hub: Hub, topic: str, asked: str, count: Callable[[int, int], Awaitable[int]] | None = None
) -> Start:
    """Where a reader of a topic starts who asks for the position `asked`; at the head for "".

    A position that is unknown, from another epoch, in the future or past retention counts as none,
    and `recovered` says so. `count` counts what follows a seq, so many at most, where that is not the
    log's topic of that name. Raises Unavailable.
    """
    wanted = parse_id(asked) if asked else None
    if wanted is not None:
        await log.reach(wanted)  # another node may have gone further
    if wanted is not None and log.knows(wanted):
        missed = hub.count_in_tail(topic, wanted.seq)
        if missed is None:
            missed = await (count(wanted.seq, MAX_MISSED) if count else log.count(topic, wanted.seq, MAX_MISSED))
        return Start(wanted.seq, True, min(missed, MAX_MISSED), True)
    return Start(log.head, not asked, None if asked else 0)


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


REPLACEMENTS = 10  # of one stream in REPLACEMENT_PERIOD
REPLACEMENT_PERIOD = 60.0  # seconds
REMEMBERED = 1000  # streams


class Replacements:
    """Counts by topic, user and client."""

    def __init__(self) -> None:
        self._times: OrderedDict[tuple[str, str, str], deque[float]] = OrderedDict()

    def count(self, topic: str, user_id: str, client_id: str) -> None:
        """Counts one. Raises Conflict `replaced-too-often`."""
        key = (topic, user_id, client_id)
        times = self._times.setdefault(key, deque(maxlen=REPLACEMENTS))
        self._times.move_to_end(key)
        if len(self._times) > REMEMBERED:
            self._times.popitem(last=False)
        now = time.monotonic()
        if len(times) == REPLACEMENTS and now - times[0] < REPLACEMENT_PERIOD:
            raise Conflict("replaced-too-often", "Another page keeps taking over this clientId.")
        times.append(now)
