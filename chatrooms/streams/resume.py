"""When a stream may open, where it starts in its topic, and the answer to a poll from there."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import msgspec

from chatrooms.errors import Conflict, Unavailable
from chatrooms.log.event import Event, parse_id
from chatrooms.log.log import Log
from chatrooms.streams.encoding import Encoding
from chatrooms.streams.hub import RETRY_AFTER, Hub

MAX_MISSED = 1000  # the most that `missed` counts: a reader that was away for long must not delay others


class First(NamedTuple):
    """The first event of a stream; its data is JSON, encoded for its family."""

    name: str
    data: bytes


class Start(NamedTuple):
    """Where a stream starts: after the event `position`.

    `recovered` is true when there was nothing to resume, or all of it follows; `missed` counts
    what follows, up to MAX_MISSED, and is None if unknown. `resumes` is true when a known position
    was given; `over` when nothing follows the stream's first event.
    """

    position: int
    recovered: bool
    missed: int | None
    resumes: bool = False
    over: bool = False

    def within(self, since: int, head: int) -> Start:
        """The same for a reader that may only read after the seq `since`: an earlier position is not theirs."""
        return self if self.position >= since else Start(head, False, None)


async def start_of(
    log: Log, hub: Hub, topic: str, asked: str, count: Callable[[int, int], Awaitable[int]] | None = None
) -> Start:
    """Where a reader that asks for the position `asked` starts in a topic; at the head for "".

    A position that is unknown, from another epoch, in the future or past retention counts as none,
    and `recovered` says so. `count` counts events after a seq, up to a maximum, where that is not
    the log's topic of that name. Raises Unavailable.
    """
    wanted = parse_id(asked) if asked else None
    if wanted is not None:
        await log.reach(wanted)  # another node may have got further
    if wanted is not None and log.knows(wanted):
        tail = hub.find_topic(topic)
        if tail is not None and tail.covers(wanted.seq):
            missed = tail.count_after(wanted.seq)
        else:
            missed = await (count(wanted.seq, MAX_MISSED) if count else _count(log, hub, topic, wanted.seq))
        return Start(wanted.seq, True, min(missed, MAX_MISSED), True)
    return Start(log.head, not asked, None if asked else 0)


async def _count(log: Log, hub: Hub, name: str, position: int) -> int:
    """Counts a topic's events after a position; after a restart, one answer does for all readers of a quiet room."""
    head = log.head
    missed = await log.count(name, position, MAX_MISSED)
    topic = hub.find_topic(name)
    if not missed and topic is not None:
        topic.note_quiet(position, head)
    return missed


POLL_EVENTS = 200  # events in one answer to a poll, its `system` included
POLL_BYTES = 256 << 10  # of their data: a slow reader keeps it in memory


def page(
    encoding: Encoding, epoch: str, first: First | None, start: Start, events: Sequence[Event], reached: int
) -> bytes:
    """The JSON answer to a poll from a start: its first event, then what follows, POLL_EVENTS or POLL_BYTES in all.

    `events` are the next POLL_EVENTS, if there are that many; `reached` is the seq up to which they are complete.
    """
    some = _fitting(events[: POLL_EVENTS - 1])
    more = len(events) == POLL_EVENTS or len(some) < len(events)
    last = some[-1].seq if more else max(reached, start.position)

    def told(name: str, seq: int, data: Callable[[str], bytes]) -> dict[str, object]:
        id = encoding.id(epoch, seq)
        return {"event": name if encoding.named else "message", "id": id, "data": msgspec.Raw(data(id))}

    told_first = [] if first is None else [told(first.name, start.position, lambda _: first.data)]
    follow = [told(event.type, event.seq, partial(encoding.data, event)) for event in some]
    last_id = encoding.id(epoch, last)
    return msgspec.json.encode(
        {"events": told_first + follow, "more": more, "lastEventId": last_id, "recovered": start.recovered}
    )


def _fitting(events: Sequence[Event]) -> Sequence[Event]:
    """The first events that fit into an answer, at least one."""
    size = 0
    for number, event in enumerate(events):
        size += len(event.data)
        if number and size > POLL_BYTES:
            return events[:number]
    return events


REPLACEMENTS = 10  # per stream in REPLACEMENT_PERIOD
REPLACEMENT_PERIOD = 60.0  # seconds
REMEMBERED = 1000  # streams


class Replacements:
    """Counts replacements by topic, user and client."""

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


OPENING_SLICE = 0.002  # seconds of opening streams before the event loop gets its turn
MAX_ADMITTED = 32  # streams in one slice, however quick: those that wait for the database come back later
FIRST_COST, LEAST_COST = 0.001, 0.000001  # seconds to open a stream, until it has been measured, and at least
MAX_OPENING = 10_000  # streams that wait to be opened; more are refused for now
CROWD = 50  # of them, beyond which the front door accepts connections one by one

Place = asyncio.Future[bool]  # whether it is the reader's turn, or it has left


class Admission:
    """Opens streams in the order in which they came, a slice at a time.

    When thousands come back at once, everything else has its turn between two slices: posts, commits, sweeps.
    """

    def __init__(self) -> None:
        self._waiting: dict[Place, None] = {}
        self._cost = FIRST_COST  # seconds that one took, in the last slice
        self._began = 0.0
        self._running = False

    @property
    def waiting(self) -> int:
        """The number of streams that wait to be opened."""
        return len(self._waiting)

    @property
    def crowded(self) -> bool:
        """Whether so many wait that no more should be asked in."""
        return len(self._waiting) > CROWD

    def place(self) -> Place:
        """A place in the queue, to await; false once the reader has left it. Raises Unavailable `full`."""
        if len(self._waiting) >= MAX_OPENING:
            raise Unavailable("full", "Too many streams are being opened.", RETRY_AFTER)
        loop = asyncio.get_running_loop()
        place: Place = loop.create_future()
        if self._running:
            self._waiting[place] = None
        else:  # nobody waits: at once
            self._running = True
            place.set_result(True)
            loop.call_soon(self._admit)
        return place

    def leave(self, place: Place) -> None:
        """Gives up a place; harmless when its turn has come."""
        self._waiting.pop(place, None)
        if not place.done():
            place.set_result(False)

    def _admit(self) -> None:
        """Admits a slice; asyncio wakes their tasks in this order, between the two calls that take the time."""
        places = list(islice(self._waiting, max(1, min(int(OPENING_SLICE / self._cost), MAX_ADMITTED))))
        self._running = bool(places)
        if self._running:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._begin)
            for place in places:
                del self._waiting[place]
                if not place.done():
                    place.set_result(True)
            loop.call_soon(self._end, len(places))

    def _begin(self) -> None:
        self._began = asyncio.get_running_loop().time()

    def _end(self, count: int) -> None:
        self._cost = max(LEAST_COST, (asyncio.get_running_loop().time() - self._began) / count)
        self._admit()
