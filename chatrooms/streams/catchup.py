"""Catching up: streams positioned before their topic's tail get pages of the log.

A few pages at a time, outside the sweep, shared by streams at the same position. A stream joins the
tail without an `await`, so there is neither a gap nor a repeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.streams.encoding import Encoding
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import BATCH_BYTES, BEHIND, Batch, Entry, Topic

READERS = 4  # pages read at the same time
PAGE_EVENTS = 200
RETRY = 1.0  # seconds until a failed read of a page is retried

log = logging.getLogger(__name__)


class CatchUp:
    """Brings streams that are BEHIND to the end of their topic; there, `on_live` takes them."""

    def __init__(
        self, log: Log, frame: Callable[[Event, Encoding], bytes], on_live: Callable[[Stream], None]
    ) -> None:  # fmt: skip
        self._log = log
        self._frame = frame
        self._on_live = on_live
        self._queue: deque[Stream] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._pages: dict[tuple[Topic, int, int], asyncio.Task[Batch]] = {}

    def add(self, stream: Stream) -> None:
        """Takes a stream that goes by its position; it is live once it has everything."""
        stream.cursor = BEHIND
        if stream.queued or stream.stalled_at or not stream.open:
            return
        stream.queued = True
        self._queue.append(stream)
        if len(self._workers) < READERS:
            self._workers.add(asyncio.create_task(self._work()))

    def join(self, stream: Stream) -> None:
        """Gives a stream whose position the tail covers the next part of it; at the end it is live."""
        topic = stream.topic
        batch = topic.durable_after(stream.position)
        if batch.entries:
            stream.deliver(batch)
        else:
            stream.cursor = batch.cursor
        missed = stream.ephemeral_count != topic.ephemeral_count
        if stream.cursor == BEHIND or (missed and stream.stalled_at):
            self.add(stream)  # a stalled stream comes back here when it resumes
        else:
            if missed:
                stream.ephemeral_count = topic.ephemeral_count
                if topic.snapshot is not None:
                    stream.write(topic.snapshot())
            self._on_live(stream)

    async def _work(self) -> None:
        me = asyncio.current_task()
        assert me is not None
        try:
            while self._queue:
                stream = self._queue.popleft()
                stream.queued = False
                if stream.open and not stream.stalled_at:
                    await self._try_to_step(stream)
        finally:
            # In the same step that found the queue empty: a stream added right after needs another worker.
            self._workers.discard(me)

    async def _try_to_step(self, stream: Stream) -> None:
        """Steps one stream; one that fails is ended, and the others never notice."""
        try:
            await self._step(stream)
        except Exception as error:
            stream.fail(error)

    async def _step(self, stream: Stream) -> None:
        topic = stream.topic
        if topic.held:
            return  # resumed when the topic is released
        if not topic.covers(stream.position):
            version, position = topic.version, stream.position
            try:
                page = await self._page(stream)
            except Exception as error:  # the database is away: the stream keeps its place
                log.warning("catch-up waits: %s", error)
                asyncio.get_running_loop().call_later(RETRY, self.add, stream)
                return
            # It may have stalled and resumed meanwhile, and got this page from another worker.
            same = (topic.version, stream.position) == (version, position)
            if same and stream.open and not stream.stalled_at:
                stream.deliver(page)
            if stream.open:
                self.add(stream)
        else:
            self.join(stream)
            await asyncio.sleep(0)

    async def _page(self, stream: Stream) -> Batch:
        # The topic, not its name: a topic that began anew counts versions anew, and may have lost text meanwhile.
        key = (stream.topic, stream.position, stream.topic.version)
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = asyncio.create_task(self._read(stream.topic, stream.position))
            page.add_done_callback(lambda _: self._pages.pop(key, None))
        return await page

    async def _read(self, topic: Topic, position: int) -> Batch:
        events, reached = await self._page_of(topic, position)
        entries: list[Entry] = []
        size = 0
        for event in events:
            frame = self._frame(event, topic.encoding)
            size += len(frame)
            if size > BATCH_BYTES and entries:
                break
            entries.append(Entry(frame, event.seq, True, event.type in topic.encoding.ends))
        if len(entries) == len(events) and not (entries and entries[-1].final):
            # Nothing else lies before `reached`: an empty frame moves the reader there.
            entries.append(Entry(b"", reached, True))
        return Batch(b"".join([e.frame for e in entries]), entries, BEHIND, BEHIND)

    async def _page_of(self, topic: Topic, position: int) -> tuple[Sequence[Event], int]:
        """The next events, and the seq up to which they are complete."""
        if topic.read is not None:
            return await topic.read(position, PAGE_EVENTS)
        head = self._log.head
        events = await self._log.read(topic.name, position, PAGE_EVENTS)
        return events, head if len(events) < PAGE_EVENTS else events[-1].seq
