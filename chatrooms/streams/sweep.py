"""The sweep: brings every stream of a changed topic up to date, a slice at a time.

Events that arrive during a sweep ride along to streams that are not served yet: under load batches
grow by themselves, and when idle the latency is one turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import BEHIND, Batch, Topic

SLICE = 0.002  # seconds of work before the event loop gets its turn


class Sweep:
    """Sweeps the marked topics in turn.

    `readers` has the open streams of each topic; `fall_behind` takes streams that left the tail.
    """

    def __init__(
        self, readers: Mapping[Topic, Iterable[Stream]], fall_behind: Callable[[Stream], None]
    ) -> None:  # fmt: skip
        self._readers = readers
        self._fall_behind = fall_behind
        self._loop = asyncio.get_running_loop()
        self._topics: deque[tuple[Topic, Iterator[Stream], int]] = deque()
        self._scheduled = False
        self.deliveries = 0

    def mark(self, topic: Topic) -> None:
        """Schedules a sweep of a topic that has something new."""
        readers = self._readers.get(topic)
        if topic.dirty or not readers:
            return
        topic.dirty = True
        self._topics.append((topic, iter(list(readers)), topic.end))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._slice)

    def serve(self, stream: Stream) -> None:
        """Brings one live stream up to date, by at most one write."""
        self._serve(stream, stream.topic, {})

    def _slice(self) -> None:
        """Serves one topic's streams for SLICE, then lets the loop and the next topic have a turn."""
        topic, streams, swept_to = self._topics.popleft()
        deadline = self._loop.time() + SLICE
        batches: dict[int, Batch] = {}
        for stream in streams:
            self._serve(stream, topic, batches)
            if self._loop.time() > deadline:
                self._topics.append((topic, streams, swept_to))
                break
        else:
            topic.dirty = False
            if topic.end > swept_to:
                # Streams early in the list may have missed what came meanwhile.
                self.mark(topic)
        # Serving may have marked topics itself (a leave): one slice at a time is scheduled.
        self._scheduled = bool(self._topics)
        if self._scheduled:
            self._loop.call_soon(self._slice)

    def _serve(self, stream: Stream, topic: Topic, batches: dict[int, Batch]) -> None:
        try:
            self._bring(stream, topic, batches)
        except Exception as error:  # or the slice would end here, and with it all delivery
            stream.fail(error)

    def _bring(self, stream: Stream, topic: Topic, batches: dict[int, Batch]) -> None:
        cursor = stream.cursor
        if stream.stalled_at or cursor == BEHIND or cursor >= topic.end or not stream.open:
            return
        if cursor < topic.valid:
            self._fall_behind(stream)
            return
        batch = batches.get(cursor)
        if batch is None:
            batch = batches[cursor] = topic.batch(cursor)
        stream.deliver(batch)
        self.deliveries += len(batch.entries)
        if batch.cursor < topic.end:  # one write joins only so much; the rest gets a turn of its own
            self._loop.call_soon(self.serve, stream)
