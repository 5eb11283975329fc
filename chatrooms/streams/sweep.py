"""The sweep: brings every stream of a changed topic up to date, a slice at a time.

Streams in step form cohorts: what one of them has yet to get, all have, so one batch goes to all their
sockets in a loop that does nothing else, and one cursor moves. Events that arrive during a sweep ride
along to cohorts that are not served yet: under load batches grow by themselves, and when idle the
latency is one turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from chatrooms.streams.stream import Cohort, Stream
from chatrooms.streams.topic import BEHIND, Batch, Topic

SLICE = 0.002  # seconds of work before the event loop gets its turn
COHORT_STREAMS = 128  # in one cohort: about a millisecond of work


class Readers:
    """The open streams of a topic; those in step are in `cohorts`, none of which is empty."""

    __slots__ = ("cohorts", "streams")

    def __init__(self) -> None:
        self.streams: dict[Stream, None] = {}
        self.cohorts: list[Cohort] = []

    def join(self, stream: Stream) -> None:
        """Takes a live stream into the newest cohort if it fits there, else into one of its own."""
        cohort = self.cohorts[-1] if self.cohorts else None
        if cohort is None or cohort.cursor != stream.cursor or len(cohort.streams) >= COHORT_STREAMS:
            cohort = Cohort(self.cohorts, stream.cursor, stream.position)
        cohort.add(stream)

    def behind(self, end: int) -> bool:
        """Whether a cohort has yet to get something before that cursor."""
        return any(cohort.cursor < end for cohort in self.cohorts)


class Sweep:
    """Sweeps the marked topics in turn.

    `readers` has the streams of each topic; `fall_behind` takes streams that left the tail.
    """

    def __init__(self, readers: Mapping[Topic, Readers], fall_behind: Callable[[Stream], None]) -> None:
        self._readers = readers
        self._fall_behind = fall_behind
        self._loop = asyncio.get_running_loop()
        self._topics: deque[tuple[Topic, Iterator[Cohort]]] = deque()
        self._scheduled = False
        self.deliveries = 0

    def mark(self, topic: Topic) -> None:
        """Schedules a sweep of a topic that has something new."""
        readers = self._readers.get(topic)
        if topic.dirty or readers is None or not readers.cohorts:
            return
        topic.dirty = True
        self._topics.append((topic, iter(list(readers.cohorts))))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._slice)

    def serve(self, stream: Stream) -> None:
        """Brings one live stream further by at most one write; once it has everything, it is in step."""
        try:
            self._serve(stream)
        except Exception as error:
            stream.fail(error)

    def _serve(self, stream: Stream) -> None:
        topic = stream.topic
        if stream.stalled_at or stream.cursor == BEHIND or not stream.open:
            return
        if stream.cursor < topic.valid:
            self._fall_behind(stream)
            return
        if stream.cursor < topic.end:
            batch = topic.batch(stream.cursor)
            stream.deliver(batch)
            self.deliveries += len(batch.entries)
            if stream.stalled_at or not stream.open:
                return
        if stream.cursor < topic.end:  # one write joins only so much; the rest gets a turn of its own
            self._loop.call_soon(self.serve, stream)
        elif stream.cohort is None:
            self._readers[topic].join(stream)

    def _slice(self) -> None:
        """Serves one topic's cohorts for SLICE, then lets the loop and the next topic have a turn."""
        topic, cohorts = self._topics.popleft()
        deadline = self._loop.time() + SLICE
        batches: dict[int, Batch] = {}
        served: Cohort | None = None
        for cohort in cohorts:
            if cohort.cursor >= topic.end or not cohort.streams:
                continue
            if cohort.cursor < topic.valid:
                self._leave_tail(cohort)
                continue
            batch = batches.get(cohort.cursor)
            if batch is None:
                batch = batches[cohort.cursor] = topic.batch(cohort.cursor)
            self._send(cohort, batch)
            if served is None or not _merged(served, cohort):
                served = cohort
            if self._loop.time() > deadline:
                self._topics.append((topic, cohorts))
                break
        else:
            topic.dirty = False
            readers = self._readers.get(topic)
            if readers is not None and readers.behind(topic.end):
                # Cohorts early in the list may have missed what came meanwhile; or one write was not enough.
                self.mark(topic)
        # Serving may have marked topics itself (a leave): one slice at a time is scheduled.
        self._scheduled = bool(self._topics)
        if self._scheduled:
            self._loop.call_soon(self._slice)

    def _send(self, cohort: Cohort, batch: Batch) -> None:
        """Gives a batch to every stream of a cohort and moves its cursor; who took less goes on alone."""
        data, last = batch.data, batch.entries[-1]
        size = len(data)
        streams = tuple(cohort.streams)
        others: list[tuple[Stream, int | Exception]] = []
        for stream in streams:
            try:
                sent = stream.sink.send(data)
            except Exception as error:
                others.append((stream, error))
            else:
                if sent != size or last.final:
                    others.append((stream, sent))
        self.deliveries += len(batch.entries) * len(streams)
        for stream, outcome in others:
            _go_alone(stream, batch, outcome)
        cohort.cursor = batch.cursor
        cohort.position = last.position

    def _leave_tail(self, cohort: Cohort) -> None:
        for stream in tuple(cohort.streams):
            try:
                self._fall_behind(stream)
            except Exception as error:
                stream.fail(error)


def _go_alone(stream: Stream, batch: Batch, outcome: int | Exception) -> None:
    """Takes a stream out of its cohort, and on by what the kernel took of a batch."""
    stream.step_out()
    try:
        if isinstance(outcome, OSError):
            outcome = stream.not_sent(batch.data, outcome)
        if isinstance(outcome, Exception):
            raise outcome
        stream.delivered(batch, outcome)
    except Exception as error:
        stream.fail(error)


def _merged(cohort: Cohort, other: Cohort) -> bool:
    """Makes one cohort of two that are in step, if they fit; an empty one is no cohort any more."""
    fits = 0 < len(cohort.streams) <= COHORT_STREAMS - len(other.streams) and cohort.cursor == other.cursor
    if fits:
        cohort.absorb(other)
    return fits
