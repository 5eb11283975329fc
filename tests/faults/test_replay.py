"""Long replays: joined to what arrives meanwhile, and cut anywhere."""

from __future__ import annotations

import asyncio
import random

from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, within
from tests.helpers.reader import Reader, texts

OLD = 10_000
NEW = 1_000
PACE = 0.005  # seconds between two new messages: 200 a second
CUTS = 100


@within(60)
async def test_a_replay_joins_what_arrives_meanwhile_without_gap_or_repeat(serve: Serve) -> None:
    """Readers of 10,000 old events get them and the new ones, 200 a second, each once and in order."""
    server = serve()
    caller = Caller(server.url, "writer")
    first = await caller.send("lobby", "before the first")
    await caller.fill("lobby", 0, OLD)

    readers = [Reader.of_room(server.url, "lobby", f"reader-{n}") for n in range(4)]
    async with asyncio.TaskGroup() as group:
        posting = group.create_task(_post_steadily(caller))
        for reader in readers:
            reader.position = first.data["id"]
            await reader.connect()
            group.create_task(reader.collect(lambda r: len(r.posts) >= OLD + NEW, 50))
    assert posting.done()
    for reader in readers:
        assert texts(reader.posts) == [f"m{n}" for n in range(OLD + NEW)]
        reader.cut()


async def _post_steadily(caller: Caller) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for n in range(NEW):
        await asyncio.sleep(begin + n * PACE - loop.time())  # the pace is what is tested
        assert (await caller.send("lobby", f"m{OLD + n}")).status == 201


@within(60)
async def test_a_replay_cut_anywhere_resumes_with_every_event_once(serve: Serve) -> None:
    """Cut a hundred times after a random number of bytes and resumed by its last id, a replay is complete."""
    server = serve()
    caller = Caller(server.url, "writer")
    first = await caller.send("lobby", "before the first")
    await caller.fill("lobby", 0, 6_000)

    reader = Reader.of_room(server.url, "lobby", "reader")
    reader.position = first.data["id"]
    dice = random.Random(4)
    for _ in range(CUTS):
        await reader.connect()
        await _read_bytes(reader, dice.randrange(1, 20_000))
        reader.cut()
    assert len(reader.posts) < 6_000, "the cuts should fall within the replay"
    await reader.connect()
    await reader.collect(lambda r: len(r.posts) >= 6_000)
    await caller.send("lobby", "m6000")
    await reader.collect(lambda r: len(r.posts) > 6_000)
    assert texts(reader.posts) == [f"m{n}" for n in range(6_001)]


async def _read_bytes(reader: Reader, count: int) -> None:
    """Takes exactly that many bytes of the body, and not one more."""
    while count:
        before = len(reader.body)
        assert await reader.read(min(count, 1 << 14))
        count -= len(reader.body) - before
