"""kill -9: what was acknowledged is there, once, in one order."""

from __future__ import annotations

import asyncio
import random
from functools import partial

from benchmarks.server_process import ServerProcess
from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import POLL, Reader

POSTS = 20_000
WRITERS = 16
KILLS = 20


class Progress:
    """How many posts were acknowledged."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.changed = asyncio.Condition()

    async def acknowledge(self, client_message_id: str, id: str) -> None:
        async with self.changed:
            self.ids[client_message_id] = id
            self.changed.notify_all()

    async def reach(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.ids) >= count)


@within(150)
async def test_killed_twenty_times_it_loses_and_repeats_nothing(serve: Serve) -> None:
    """All acknowledged posts are in the log once, and a reader that resumes sees just the log."""
    server = serve()
    progress = Progress()
    reader = Reader.of_room(server.url, "lobby", "reader")
    await reader.connect()
    await reader.collect(lambda r: bool(r.of_type("system")))
    async with asyncio.TaskGroup() as group:
        group.create_task(reader.follow(lambda r: len(r.posts) >= POSTS and r.connections > KILLS, 140))
        group.create_task(_kill_at_random(server, progress, reader))
        for number in range(WRITERS):
            group.create_task(_write(server.url, number, progress))
    log = await Caller(server.url, "auditor").log_of("lobby")

    assert len(progress.ids) == POSTS
    assert {m["clientMessageId"]: m["id"] for m in log} == progress.ids
    assert len(log) == POSTS, "a message stands in the log twice"
    assert [m["id"] for m in reader.posts] == [m["id"] for m in log]


async def _write(url: str, number: int, progress: Progress) -> None:
    """Posts until each message is acknowledged; what got no answer is sent again under its id."""
    caller = Caller(url, f"writer-{number}")
    for count in range(POSTS // WRITERS):
        key = f"{number}-{count}"
        while True:
            try:
                answer = await caller.send("lobby", f"message {key}", clientMessageId=key)
            except (OSError, EOFError):
                await asyncio.sleep(POLL)
                continue
            assert answer.status in (200, 201), answer
            await progress.acknowledge(key, answer.data["id"])
            break
    caller.close()


async def _kill_at_random(server: ServerProcess, progress: Progress, reader: Reader) -> None:
    """Each time after the reader has come back: two kills in a row would cut one connection only."""
    dice = random.Random(9)
    for kills, count in enumerate(sorted(dice.sample(range(POSTS // 50, POSTS - POSTS // 50), KILLS))):
        await progress.reach(count)
        await eventually(partial(_connected, reader, kills))
        await asyncio.sleep(dice.uniform(0, 0.01))  # or it would always die just after an answer
        server.kill()
        await asyncio.to_thread(server.start)


async def _connected(reader: Reader, times: int) -> bool:
    return reader.connections > times
