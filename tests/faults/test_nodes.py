"""Several nodes on one database, and what can go wrong between them: nothing acknowledged is lost.

With CHATROOMS_TEST_FULL=1 in full size, which takes some minutes; `-s` shows the figures.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.faults.conftest import Serve
from tests.helpers.nats import Nats
from tests.helpers.postgres import Postgres
from tests.process import ServerProcess
from tests.wire import POLL, Caller, Reader, within

FULL = bool(os.environ.get("CHATROOMS_TEST_FULL"))
WRITERS = 4  # on each node
CRASHES = 10 if FULL else 3
TERMINATIONS = 50 if FULL else 10
KILLS = 20 if FULL else 5
STOPS = (20.0, 20.0) if FULL else (1.0, 3.0)  # seconds
MOVERS = 980 if FULL else 20  # readers of the node that is killed
LIMIT = 600 if FULL else 90  # seconds for one test

Start = Callable[[int], list[ServerProcess]]


class Crowd:
    """Writers and readers of one room, spread over nodes.

    A post that got no answer, or 503, is said again under its id; what was acknowledged is in `posted`.
    """

    def __init__(self, nodes: list[ServerProcess], readers: int = 1) -> None:
        self.nodes = nodes
        places = [(node.url, f"reader-{k}-{n}") for k, node in enumerate(nodes) for n in range(readers)]
        self.readers = [Reader(url, "lobby", name) for url, name in places]
        self.posted: dict[str, str] = {}
        self.stop = False
        self.pause = 0.0

    async def __aenter__(self) -> Crowd:
        for reader in self.readers:
            await reader.connect()
            await reader.until(lambda r: bool(r.of_type("system")))
        self._writing = [
            asyncio.create_task(self._write(f"{n}-{k}", node))
            for n, node in enumerate(self.nodes) for k in range(WRITERS)
        ]  # fmt: skip
        self._reading = [asyncio.create_task(reader.follow(self._has_all, LIMIT)) for reader in self.readers]
        return self

    async def __aexit__(self, *error: object) -> None:
        self.stop = True
        if error[0] is None:
            await asyncio.gather(*self._writing)
            await Caller(self.nodes[0].url, "last").post("lobby", "the end", "end")
            await asyncio.gather(*self._reading)
        for task in (*self._writing, *self._reading):
            task.cancel()

    async def acknowledges(self, more: int, limit: float = 30.0) -> float:
        """Returns when that many more posts were acknowledged; says after how many seconds."""
        began, count = time.monotonic(), len(self.posted) + more
        async with asyncio.timeout(limit):
            while len(self.posted) < count:  # noqa: ASYNC110 - many tasks add to it
                await asyncio.sleep(POLL)
        return time.monotonic() - began

    async def check(self) -> None:
        """All that was acknowledged is in the log once, and every reader saw just the log, in its order."""
        log = await Caller(self.nodes[0].url, "auditor").log_of("lobby")
        keys = [message["clientMessageId"] for message in log]
        assert len(keys) == len(set(keys)), "a message stands in the log twice"
        assert self.posted.items() <= {m["clientMessageId"]: m["id"] for m in log}.items()
        for reader in self.readers:
            assert [m["id"] for m in reader.messages] == [m["id"] for m in log][: len(reader.messages)]
            assert reader.messages[-1]["message"] == "the end"

    def _has_all(self, reader: Reader) -> bool:
        return bool(self.stop and reader.messages and reader.messages[-1]["message"] == "the end")

    async def _write(self, name: str, node: ServerProcess) -> None:
        caller, count = Caller(node.url, f"writer-{name}"), 0
        while not self.stop:
            key = f"{name}-{count}"
            try:
                answer = await caller.post("lobby", f"message {key}", key)
            except (OSError, EOFError, TimeoutError):
                await asyncio.sleep(POLL)
                continue
            if answer.status == 503:
                assert int(answer.headers["retry-after"]) > 0
                await asyncio.sleep(POLL)
                continue
            assert answer.status in (200, 201), answer
            self.posted[key] = answer.body["id"]
            count += 1
            await asyncio.sleep(self.pause)


@pytest.fixture(params=["postgres", "nats"])
def start(request: pytest.FixtureRequest, serve: Serve, postgres: Postgres) -> Iterator[Start]:
    """Starts so many nodes on one database of their own."""
    url = postgres.url(postgres.new_database())
    bus = ["--bus-url", request.getfixturevalue("nats").url] if request.param == "nats" else []
    options = ("--database-url", url, "--presence-limit", "0", *bus)
    yield lambda count: [serve(*options) for _ in range(count)]


@within(LIMIT)
async def test_two_nodes_give_all_readers_one_sequence(start: Start) -> None:
    """Written on both at once."""
    async with Crowd(await asyncio.to_thread(start, 2), readers=20) as crowd:
        await crowd.acknowledges(1000)
    await crowd.check()


@within(LIMIT)
async def test_database_that_crashes_loses_nothing_acknowledged(start: Start, postgres: Postgres) -> None:
    """It is restarted in the immediate mode under load; posts go on within 3 s, streams stay open."""
    async with Crowd(await asyncio.to_thread(start, 2)) as crowd:
        crowd.pause = 0.02
        longest = 0.0
        for _ in range(CRASHES):
            await crowd.acknowledges(100)
            await asyncio.to_thread(postgres.crash)
            longest = max(longest, await crowd.acknowledges(1))
        print(f"{CRASHES} crashes: posts went on within {longest:.2f} s of the database's return")
        assert longest < 3
        await crowd.acknowledges(100)
    await crowd.check()
    assert [reader.connections for reader in crowd.readers] == [1, 1]


@within(LIMIT)
async def test_listeners_that_are_terminated_lose_nothing(start: Start, postgres: Postgres) -> None:
    """The connections of the bus, and all others, over and over."""
    async with Crowd(await asyncio.to_thread(start, 2)) as crowd:
        crowd.pause = 0.02
        for n in range(TERMINATIONS):
            await crowd.acknowledges(20)
            which = "application_name = 'chatrooms bus'" if n % 2 else "application_name like 'chatrooms%'"
            sql = f"select count(pg_terminate_backend(pid)) from pg_stat_activity where {which}"
            await asyncio.to_thread(postgres.sql, "postgres", sql)
    await crowd.check()


@within(LIMIT)
async def test_bus_that_is_killed_loses_nothing(serve: Serve, postgres: Postgres, nats: Nats) -> None:
    """NATS, kill -9 and back: while it is away, what others write comes up to a second late."""
    url = postgres.url(postgres.new_database())
    options = ("--database-url", url, "--bus-url", nats.url)
    nodes = [await asyncio.to_thread(serve, *options) for _ in range(2)]
    async with Crowd(nodes) as crowd:
        crowd.pause = 0.02
        for _ in range(KILLS):
            await crowd.acknowledges(20)
            await asyncio.to_thread(nats.kill)
            await crowd.acknowledges(20)
            await asyncio.to_thread(nats.start)
    await crowd.check()


@within(LIMIT)
async def test_node_that_is_stopped_in_mid_append_stops_nobody(start: Start) -> None:
    """SIGSTOP under load: the others go on within 3 s; woken up, it catches up."""
    nodes = await asyncio.to_thread(start, 2)
    async with Crowd(nodes) as crowd:
        longest = 0.0
        for seconds in STOPS:
            await crowd.acknowledges(200)
            nodes[1].signal(signal.SIGSTOP)
            try:
                # Those that the stopped node had taken may be among the first to be answered.
                longest = max(longest, await crowd.acknowledges(2 * WRITERS + 1))
                await asyncio.sleep(seconds)
            finally:
                nodes[1].signal(signal.SIGCONT)
        print(f"the others went on within {longest:.2f} s")
        assert longest < 3.5
        await crowd.acknowledges(200)
    await crowd.check()


@within(LIMIT)
async def test_readers_of_a_killed_node_resume_on_the_others(start: Start) -> None:
    """Nothing is lost, and only those who do not come back have left."""
    nodes = await asyncio.to_thread(start, 3)
    watcher = Reader(nodes[0].url, "lobby", "watcher")
    await watcher.connect()
    movers = [Reader(nodes[2].url, "lobby", f"mover-{n}") for n in range(MOVERS)]
    lost = [Reader(nodes[2].url, "lobby", f"lost-{n}") for n in range(3)]
    for reader in (*movers, *lost):
        await reader.connect()
    everybody = {reader.user_id for reader in (*movers, *lost)}
    await watcher.until(lambda r: everybody <= names(r, "user-joined"))
    caller = Caller(nodes[1].url, "caller")
    for n in range(50):
        assert (await caller.post("lobby", f"before {n}")).status == 201
    for reader in movers:
        await reader.until(lambda r: bool(r.messages))
    nodes[2].kill()
    for n in range(50):
        assert (await caller.post("lobby", f"after {n}")).status == 201
    for n, reader in enumerate(movers):
        reader.cut()
        reader.move(nodes[n % 2].url)
    began = time.monotonic()
    await asyncio.gather(*(reader.follow(lambda r: len(r.messages) >= 100, 10) for reader in movers))
    print(f"{MOVERS} readers had resumed elsewhere within {time.monotonic() - began:.2f} s")
    log = [m["id"] for m in await caller.log_of("lobby")]
    assert all([m["id"] for m in reader.messages] == log for reader in movers)
    await watcher.until(lambda r: {"lost-0", "lost-1", "lost-2"} <= names(r, "user-left"))
    assert [event for event in watcher.of_type("user-left") if "mover" in event.data] == []
    assert len(watcher.of_type("user-left")) == 3
    caller.close()


def names(reader: Reader, type: str) -> set[str]:
    """Whom these events are about."""
    return {data(event)["username"] for event in reader.of_type(type)}


def data(event: Any) -> Any:
    return msgspec.json.decode(event.data)
