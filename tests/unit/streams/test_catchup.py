"""Catching up: nobody is forgotten, nobody gets a page twice, and one failure is one stream's (catchup.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.streams.catchup import READERS, CatchUp
from chatrooms.streams.encoding import Encoding
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import BEHIND, Batch, Topic
from tests.helpers.chat import eventually

pytestmark = pytest.mark.gen_test(timeout=30)


class Behind:
    """As much of a stream as catching up touches; it keeps what it is given."""

    def __init__(self, topic: Topic, fails: bool = False) -> None:
        self.topic = topic
        self.fails = fails
        self.position = 0
        self.cursor = BEHIND
        self.ephemeral_count = 0
        self.queued = False
        self.stalled_at = 0.0
        self.open = True
        self.got: list[int] = []
        self.failures: list[Exception] = []

    def fail(self, error: Exception) -> None:
        self.failures.append(error)
        self.close()

    def deliver(self, batch: Batch) -> None:
        if self.fails:
            raise RuntimeError("failed")
        self.got += [entry.position for entry in batch.entries if entry.frame]
        self.position, self.cursor = batch.entries[-1].position, batch.cursor

    def close(self) -> None:
        self.open = False


def frame(event: Event, encoding: Encoding) -> bytes:
    return b"data: %d\n\n" % event.seq


def catching_up() -> CatchUp:
    """One whose topics bring their own readers of the log."""
    return CatchUp(cast(Log, None), frame, lambda _: None)


def stream(behind: Behind) -> Stream:
    return cast(Stream, behind)


async def test_stream_that_comes_when_all_workers_are_just_done_is_served() -> None:
    """In the very turn of the event loop in which they found nothing more to do."""
    topic, catchup = Topic("t", 0), catching_up()
    topic.append(b"data: 1\n\n", 1)
    first, late = [Behind(topic) for _ in range(READERS)], Behind(topic)
    for behind in first:
        catchup.add(stream(behind))
    await asyncio.sleep(0)  # they are given what there is
    await asyncio.sleep(0)  # and find the queue empty
    assert [behind.got for behind in first] == [[1]] * READERS
    catchup.add(stream(late))
    await eventually(lambda: late.got == [1])
    await eventually(lambda: not catchup._workers)


async def test_page_is_given_once_though_its_stream_stalled_meanwhile() -> None:
    """A heartbeat that the kernel cuts while the page is read, and the stream is there twice."""
    asked = asyncio.Event()
    there = asyncio.Event()

    async def read(after: int, limit: int) -> tuple[Sequence[Event], int]:
        asked.set()
        await there.wait()
        return [Event("room-message", b"{}", (), seq=seq) for seq in range(after + 1, 4)], 3

    topic, catchup = Topic("t", 3, read=read), catching_up()
    behind = Behind(topic)
    catchup.add(stream(behind))
    await asked.wait()
    behind.stalled_at = 1.0
    behind.stalled_at = 0.0
    catchup.add(stream(behind))  # as the hub does when it is resumed
    await asyncio.sleep(0)
    there.set()
    await eventually(lambda: behind.cursor == topic.end)
    await eventually(lambda: not catchup._workers)
    assert behind.got == [1, 2, 3]


async def test_page_of_a_topic_that_ended_is_not_that_of_the_next_of_its_name() -> None:
    """What was deleted in between is in the page that is still being read."""
    there = asyncio.Event()

    async def old(after: int, limit: int) -> tuple[Sequence[Event], int]:
        await there.wait()
        return [Event("room-message", b"{}", (), seq=seq) for seq in (1, 2)], 3

    async def new(after: int, limit: int) -> tuple[Sequence[Event], int]:
        return [Event("room-message", b"{}", (), seq=2)], 3

    catchup = catching_up()
    first, second = Behind(Topic("t", 3, read=old)), Behind(Topic("t", 3, read=new))
    catchup.add(stream(first))
    await eventually(lambda: len(catchup._pages) == 1)
    first.close()
    catchup.add(stream(second))
    there.set()
    await eventually(lambda: second.cursor == second.topic.end)
    assert (first.got, second.got) == ([], [2])


async def test_stream_that_fails_to_catch_up_ends_alone() -> None:
    """Those that wait behind it are served."""
    topic, catchup = Topic("t", 0), catching_up()
    topic.append(b"data: 1\n\n", 1)
    streams = [Behind(topic, fails=number < 2 * READERS) for number in range(3 * READERS)]
    for behind in streams:
        catchup.add(stream(behind))
    await eventually(lambda: all(behind.got == [1] for behind in streams[2 * READERS :]))
    assert [behind.open for behind in streams] == [False] * 2 * READERS + [True] * READERS
    assert [len(behind.failures) for behind in streams] == [1] * 2 * READERS + [0] * READERS


async def test_stream_that_has_ended_is_not_kept_in_the_queue() -> None:
    """Not even one whose page is asked for again a second later, because the database was away."""
    topic, catchup = Topic("t", 0), catching_up()
    behind = Behind(topic)
    behind.close()
    catchup.add(stream(behind))
    assert not catchup._queue and not catchup._workers


async def test_snapshot_that_finds_its_stream_stalled_is_told_later() -> None:
    """TLS takes all of a page and then nothing: who may have missed something hears of it all the same."""
    topic, catchup = Topic("t", 0), catching_up()
    topic.append(b"data: 1\n\n", 1)
    topic.append_ephemeral(b"data: joined\n\n")
    behind = Behind(topic)

    class Stalling(Behind):
        def deliver(self, batch: Batch) -> None:
            super().deliver(batch)
            self.stalled_at = 1.0

    behind = Stalling(topic)
    catchup.join(stream(behind))
    assert (behind.got, behind.cursor, behind.ephemeral_count) == ([1], BEHIND, 0)
