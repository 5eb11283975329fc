"""SIGTERM: streams are told to come back, posts are answered, and nobody seems to leave."""

from __future__ import annotations

import asyncio
import json
import signal

from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, within
from tests.helpers.reader import POLL, Reader

READERS = 40
WRITERS = 8
POSTS = 200  # before the signal


@within(60)
async def test_a_drain_and_restart_loses_nothing_and_nobody_seems_to_leave(serve: Serve) -> None:
    """Every stream is told to come back at its own time; after the restart all go on where they were."""
    server = serve("--drain", "4", "--leave-grace", "0.2")
    readers = [Reader.of_room(server.url, "lobby", f"reader-{n}") for n in range(READERS)]
    for reader in readers:
        await reader.connect()
        await reader.collect(lambda r: bool(r.of_type("system")))
    for reader in readers:  # all have seen all come
        await reader.collect(lambda r: _members(r) == READERS)
    seen = [len(reader.events) for reader in readers]
    posting = Posting(server.url)
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(posting.write(number))
        closed = [group.create_task(_closing(reader)) for reader in readers]
        await posting.reach(POSTS)
        server.signal(signal.SIGTERM)
        status = await asyncio.to_thread(server.wait)
        retries = {task.result() for task in [await _done(task) for task in closed]}
        assert status == 0
        assert len(retries) > READERS // 2, f"they would all come back at once: {retries}"

        await asyncio.to_thread(server.start)
        count = len(posting.acknowledged)
        await asyncio.gather(*(reader.connect() for reader in readers))
        await posting.reach(count + POSTS)
        posting.stop = True
    log = await Caller(server.url, "auditor").log_of("lobby")
    assert {m["clientMessageId"] for m in log} == posting.acknowledged
    for reader, before in zip(readers, seen, strict=True):
        await reader.collect(lambda r: len(r.posts) >= len(log))
        assert [m["id"] for m in reader.posts] == [m["id"] for m in log]
        assert not [e for e in reader.events[before:] if e.type in ("user-left", "user-joined")]
        await reader.collect(lambda r: _members(r) == READERS)


@within(60)
async def test_posts_in_flight_are_answered_before_the_end(serve: Serve) -> None:
    """With no stream to wait for, what was sent before the signal still gets its answer."""
    for _ in range(3):
        server = serve()
        callers = [Caller(server.url, f"writer-{n}") for n in range(WRITERS)]
        for caller in callers:
            assert (await caller.send("lobby", "first")).status == 201
        answers = [asyncio.create_task(caller.send("lobby", "last")) for caller in callers]
        await asyncio.sleep(0)  # all have written their request
        server.signal(signal.SIGTERM)
        assert {answer.status for answer in await asyncio.gather(*answers)} <= {201, 503}
        assert await asyncio.to_thread(server.wait) == 0


class Posting:
    """Writers that post until they are stopped, each message until it is acknowledged."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._changed = asyncio.Condition()
        self.acknowledged: set[str] = set()
        self.stop = False

    async def write(self, number: int) -> None:
        caller = Caller(self._url, f"writer-{number}")
        count = 0
        while not self.stop:
            key = f"{number}-{count}"
            try:
                answer = await caller.send("lobby", f"message {key}", clientMessageId=key)
            except (OSError, EOFError):
                await asyncio.sleep(POLL)
                continue
            if answer.status == 503:
                assert int(answer.headers["retry-after"]) > 0
                await asyncio.sleep(POLL)
                continue
            assert answer.status in (200, 201), answer
            async with self._changed:
                self.acknowledged.add(key)
                self._changed.notify_all()
            count += 1
        caller.close()

    async def reach(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.acknowledged) >= count)


async def _closing(reader: Reader) -> int | None:
    """Reads to the end, which must be `closing: draining`; returns the retry that it was told."""
    await reader.collect(lambda r: bool(r.of_type("closing")))
    last = reader.events[-1]
    assert last.type == "closing"
    assert json.loads(last.data) == {"reason": "draining", "reconnect": True}
    assert not await reader.read(), "something came after `closing`"
    return reader.retry


async def _done(task: asyncio.Task[int | None]) -> asyncio.Task[int | None]:
    await task
    return task


def _members(reader: Reader) -> int:
    """How many members the reader knows of, by the last event that told it."""
    told = reader.of_type("system", "presence", "user-joined", "user-left")
    count: int = json.loads(told[-1].data)["onlineCount"]
    return count
