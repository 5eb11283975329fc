"""Drills on two nodes that share a PostgreSQL database, and NATS as their bus in one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from benchmarks.drills.load import until
from benchmarks.drills.one_node import BACK_LIMIT, RECOVERY_LIMIT, Finding, Scene, Size, a_server
from benchmarks.nats_server import Nats
from benchmarks.postgres import Postgres
from benchmarks.server_process import ServerProcess

READERS = 100  # half of them on each node
WRITERS = 4  # on each node that is written to
PAUSE = 0.01  # seconds that a writer waits after each message
AWAY = 3.0  # seconds that the bus is away
LATE_LIMIT = 2.0  # seconds that a message may take to the other node meanwhile

Cluster = tuple[list[ServerProcess], Scene, Postgres, Nats | None]


@asynccontextmanager
async def cluster(bus: bool = False) -> AsyncIterator[Cluster]:
    """Two nodes with readers on both."""
    with ExitStack() as stack:
        postgres = await asyncio.to_thread(Postgres, durable=True)
        stack.callback(postgres.close)
        nats = Nats() if bus else None
        if nats is not None:
            stack.callback(nats.kill)
        options = [f"--database-url={postgres.url(postgres.new_database())}"]
        options += [f"--bus-url={nats.url}"] if nats is not None else []
        nodes = [stack.enter_context(a_server(*options)) for _ in range(2)]
        # Over a bus only one node is written to: a node that writes itself reads what it missed before that.
        async with Scene(nodes, READERS, WRITERS, pause=PAUSE, written=nodes[:1] if bus else nodes) as scene:
            yield nodes, scene, postgres, nats


async def kill_node(size: Size) -> list[Finding]:
    """One of two nodes: its readers resume on the other one, its writers wait for it."""
    async with cluster() as (nodes, scene, _, _):
        await scene.ledger.grows(200)
        moving = scene.followers[1::2]  # each begins on the server of its turn
        connections, killed = [follower.connections for follower in moving], time.monotonic()
        nodes[1].kill()
        scene.ledger.longest_gap = 0.0
        await until(lambda: all(f.connections > n for f, n in zip(moving, connections, strict=True)))
        back = max(follower.welcomed_at for follower in moving) - killed
        await scene.ledger.grows(100)
        gap = scene.ledger.longest_gap
        await asyncio.to_thread(nodes[1].start)
        await scene.ledger.grows(100)
        found = await scene.settle(nodes[0])
    return [
        Finding(
            "PostgreSQL, two nodes: one is killed", f"its readers are on the other within {BACK_LIMIT:.0f} s",
            f"{back:.1f} s, {len(moving)} readers", back <= BACK_LIMIT,
        ),
        Finding("", f"posts pause at most {RECOVERY_LIMIT:.0f} s", f"{gap:.2f} s", gap <= RECOVERY_LIMIT),
        Finding("", "0 lost, 0 doubled, no gap or repeat", str(found), found.none),
    ]  # fmt: skip


async def kill_database(size: Size) -> list[Finding]:
    """PostgreSQL goes down at once, in its immediate mode, and comes back, some times."""
    longest = 0.0
    async with cluster() as (nodes, scene, postgres, _):
        for _ in range(size.crashes):
            await scene.ledger.grows(200)
            await asyncio.to_thread(postgres.crash)
            longest = max(longest, await scene.ledger.grows(1))
        await scene.ledger.grows(200)
        streams = set(scene.connections())
        found = await scene.settle(nodes[0])
    times = f"{size.crashes} time{'s' if size.crashes > 1 else ''}"
    return [
        Finding(
            f"PostgreSQL, two nodes: the database is killed, {times}",
            f"posts go on within {RECOVERY_LIMIT:.0f} s of its return", f"{longest:.2f} s", longest <= RECOVERY_LIMIT,
        ),
        Finding("", "streams stay open", "yes" if streams == {1} else "some were cut", streams == {1}),
        Finding("", "0 lost, 0 doubled, no gap or repeat", str(found), found.none),
    ]  # fmt: skip


async def kill_bus(size: Size) -> list[Finding]:
    """NATS is away for a while: readers of the other node get messages from the database."""
    async with cluster(bus=True) as (nodes, scene, _, nats):
        assert nats is not None
        await scene.ledger.grows(200)
        await asyncio.to_thread(nats.kill)
        late = await _latest(scene, AWAY)
        await asyncio.to_thread(nats.start)
        await scene.ledger.grows(200)
        streams = set(scene.connections())
        found = await scene.settle(nodes[0])
    return [
        Finding(
            f"NATS as the bus of two nodes: killed, away for {AWAY:.0f} s",
            f"what the other node took comes within {LATE_LIMIT:.0f} s", f"{late:.2f} s", late <= LATE_LIMIT,
        ),
        Finding("", "streams stay open", "yes" if streams == {1} else "some were cut", streams == {1}),
        Finding("", "0 lost, 0 doubled, no gap or repeat", str(found), found.none),
    ]  # fmt: skip


async def _latest(scene: Scene, seconds: float) -> float:
    """How long it took at most, in that time, until what was acknowledged had come to all readers."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        last = max((id for _, id in scene.ledger.acknowledged.values()), key=_place)
        began = time.monotonic()
        while any(not follower.ids or _place(follower.ids[-1]) < _place(last) for follower in scene.followers):
            if time.monotonic() - began > 10 * seconds:
                return time.monotonic() - began
            await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - began)
        await asyncio.sleep(0.05)
    return longest


def _place(id: str) -> int:
    return int(id.partition("-")[2])
