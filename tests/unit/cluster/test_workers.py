"""What workers of one machine share: the bus between them, memory for their metrics, and an SQLite file."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chatrooms.cluster.bus.base import ALL, COUNTS_SIZE, METRICS_SIZE, SharedMemory, Worker, WorkerBus, node_name, pair
from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.log.sqlite import SQLite
from tests.helpers.chat import eventually

pytestmark = pytest.mark.gen_test(timeout=30)

MANY = 5000  # messages, more than the kernel holds for one worker


def made(count: int) -> list[Worker]:
    """Workers as the supervisor makes them, in one process."""
    numbers = range(1, count + 1)
    sockets = {number: pair() for number in numbers}
    memory = [SharedMemory(count + 1, METRICS_SIZE), SharedMemory(count + 1, COUNTS_SIZE)]
    return [
        Worker(n, node_name(n), False, (), 0, socket.socket(), sockets[n][0],
               {other: sockets[other][1] for other in numbers if other != n}, *memory)
        for n in numbers
    ]  # fmt: skip


@asynccontextmanager
async def buses(*workers: Worker) -> AsyncIterator[list[tuple[WorkerBus, list[bytes]]]]:
    opened = []
    for worker in workers:
        got: list[bytes] = []
        bus = WorkerBus(worker)
        await bus.open(worker.name, got.append, lambda healthy: None)
        opened.append((bus, got))
    try:
        yield opened
    finally:
        for bus, _ in opened:
            await bus.close()


async def test_message_reaches_all_others_or_one() -> None:
    workers = made(3)
    async with buses(*workers) as ((first, mine), (_, second), (_, third)):
        first.send(ALL, b"to all")
        first.send(workers[2].name, b"to the third")
        await eventually(lambda: (second, third) == ([b"to all"], [b"to all", b"to the third"]))
        assert mine == []


async def test_long_message_arrives_whole() -> None:
    async with buses(*made(2)) as ((first, _), (_, got)):
        long = b"x" * (1 << 20)
        first.send(ALL, long)
        await eventually(lambda: got == [long])


async def test_sending_never_blocks_and_order_stays() -> None:
    """The other worker does not read meanwhile."""
    async with buses(*made(2)) as ((first, _), (_, got)):
        sent = [b"message %d" % n for n in range(MANY)]
        for message in sent:
            first.send(ALL, message)
        assert got == []
        await eventually(lambda: len(got) == MANY)
        assert got == sent


async def test_successor_gets_nothing_that_was_meant_for_a_worker_before_it() -> None:
    workers = made(2)
    async with buses(workers[0]) as ((first, _),):
        first.send(ALL, b"before")
        async with buses(workers[1]) as ((_, got),):
            first.send(ALL, b"after")
            await eventually(lambda: got == [b"after"])


def test_slots_of_shared_memory_are_apart() -> None:
    memory = SharedMemory(3, METRICS_SIZE)
    assert memory.read(1) == b""
    for n in range(5):
        memory.write(1, b"%d" % n * 1000)
        memory.write(2, b"two")
        assert (memory.read(0), memory.read(1), memory.read(2)) == (b"", b"%d" % n * 1000, b"two")
    memory.write(2, b"x" * METRICS_SIZE)
    assert memory.read(2) == b"two", "what is too large is left out"


@asynccontextmanager
async def log_of(path: Path) -> AsyncIterator[tuple[Log, list[Event]]]:
    """One worker's log, and what its listener got."""
    database = SQLite(path, shared=True)
    got: list[Event] = []
    await database.open()
    log = Log(database, got.extend)
    await log.open()
    try:
        yield log, got
    finally:
        await log.close()
        await database.close()


async def test_logs_on_one_file_are_one_sequence(tmp_path: Path) -> None:
    """Written by all at once; keys count once over all of them."""
    path = tmp_path / "chatrooms.db"
    async with log_of(path) as (one, seen), log_of(path) as (two, also_seen):
        await asyncio.gather(
            *(log.append([Event("e", b"{}", ("t",), key=f"k{n}")]) for n in range(200) for log in (one, two))
        )
        await eventually(lambda: len(seen) == len(also_seen) == 200)
        assert [event.seq for event in seen] == [event.seq for event in also_seen] == list(range(1, 201))
        assert one.head == two.head == 200


async def test_received_events_are_taken_once_and_in_order(tmp_path: Path) -> None:
    """Those that come next at once; what is late, early, twice or of another epoch is read from the log."""
    path = tmp_path / "chatrooms.db"
    async with log_of(path) as (one, seen), log_of(path) as (two, got):
        for n in range(3):
            await one.append([Event("e", b'{"n":%d}' % n, ("t",))])
        two.receive(one.epoch, seen[:1])
        assert two.head == 1
        two.receive(one.epoch, seen[:1])
        two.receive(one.epoch, seen[2:])
        two.receive("another", seen[1:2])
        assert two.head == 1
        await eventually(lambda: two.head == 3)
        assert [(event.seq, event.data) for event in got] == [(event.seq, event.data) for event in seen]
