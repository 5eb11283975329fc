"""Several nodes on one database, and what can go wrong between them: nothing acknowledged is lost.

With CHATROOMS_TEST_FULL=1 in full size, which takes some minutes; `-s` shows the figures.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest

from benchmarks.nats_server import Nats
from benchmarks.nodes import load
from benchmarks.postgres import Postgres
from benchmarks.server_process import ServerProcess
from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, within
from tests.helpers.reader import POLL, Reader, texts

FULL = bool(os.environ.get("CHATROOMS_TEST_FULL"))
WRITERS = 4  # on each node
CRASHES = 10 if FULL else 3
TERMINATIONS = 50 if FULL else 10
KILLS = 20 if FULL else 5
STOPS = (20.0, 20.0) if FULL else (1.0, 3.0)  # seconds
STREAMS, MEMBERS, LOST = (3000, 100, 30) if FULL else (60, 30, 3)  # over three nodes; of one room; forever
MESSAGES = 20  # in each room, before a node is killed, and again afterwards
READERS, RATE, SECONDS = (2000, 500, 60) if FULL else (60, 500, 2)
LIMIT = 600 if FULL else 90  # seconds for one test

Start = Callable[[int], list[ServerProcess]]


class Crowd:
    """Writers and readers of one room, spread over nodes.

    A post that got no answer, or 503, is said again under its id; what was acknowledged is in `posted`.
    """

    def __init__(self, nodes: list[ServerProcess], readers: int = 1) -> None:
        self.nodes = nodes
        places = [(node.url, f"reader-{k}-{n}") for k, node in enumerate(nodes) for n in range(readers)]
        self.readers = [Reader.of_room(url, "lobby", name) for url, name in places]
        self.posted: dict[str, str] = {}
        self.stop = False
        self.pause = 0.0

    async def __aenter__(self) -> Crowd:
        for reader in self.readers:
            await reader.connect()
            await reader.collect(lambda r: bool(r.of_type("system")))
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
            await Caller(self.nodes[0].url, "last").send("lobby", "the end", clientMessageId="end")
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

    async def catches_up(self) -> float:
        """Returns when the readers of all nodes have what is written now; says after how many seconds."""
        began, caller = time.monotonic(), Caller(self.nodes[0].url, "marker")
        key = f"mark-{len(self.posted)}"
        while (answer := await caller.send("lobby", key, clientMessageId=key)).status == 503:  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        self.posted[key] = answer.data["id"]
        while not all(any(m["id"] == self.posted[key] for m in r.posts[-500:]) for r in self.readers):  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        return time.monotonic() - began

    async def check(self) -> None:
        """All that was acknowledged is in the log once, and every reader saw just the log, in its order."""
        log = await Caller(self.nodes[0].url, "auditor").log_of("lobby")
        keys = [message["clientMessageId"] for message in log]
        assert len(keys) == len(set(keys)), "a message stands in the log twice"
        assert self.posted.items() <= {m["clientMessageId"]: m["id"] for m in log}.items()
        for reader in self.readers:
            assert [m["id"] for m in reader.posts] == [m["id"] for m in log][: len(reader.posts)]
            assert reader.posts[-1]["message"] == "the end"

    def _has_all(self, reader: Reader) -> bool:
        return bool(self.stop and reader.posts and reader.posts[-1]["message"] == "the end")

    async def _write(self, name: str, node: ServerProcess) -> None:
        caller, count = Caller(node.url, f"writer-{name}"), 0
        while not self.stop:
            key = f"{name}-{count}"
            try:
                answer = await caller.send("lobby", f"message {key}", clientMessageId=key)
            except (OSError, EOFError, TimeoutError):
                await asyncio.sleep(POLL)
                continue
            if answer.status == 503:
                assert int(answer.headers["retry-after"]) > 0
                await asyncio.sleep(POLL)
                continue
            assert answer.status in (200, 201), answer
            self.posted[key] = answer.data["id"]
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
        crowd.pause, longest = 0.02, 0.0
        for n in range(TERMINATIONS):
            await crowd.acknowledges(20)
            which = "application_name = 'chatrooms bus'" if n % 2 else "application_name like 'chatrooms%'"
            sql = f"select count(pg_terminate_backend(pid)) from pg_stat_activity where {which}"
            await asyncio.to_thread(postgres.sql, "postgres", sql)
            longest = max(longest, await crowd.catches_up())
        print(f"{TERMINATIONS} terminations: what the other node wrote was read within {longest:.2f} s")
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
    caller = Caller(nodes[0].url, "caller", role="service")
    readers = [
        Reader.of_room(nodes[n % 3].url, f"room-{k}", f"reader-{k}-{n}")
        for k in range(STREAMS // MEMBERS)
        for n in range(MEMBERS)
    ]
    for reader in readers:
        await reader.connect()
    for k in range(STREAMS // MEMBERS):
        await caller.fill(f"room-{k}", 0, MESSAGES)
    # Once it was told of all, and all have heard so, nobody is missing from what the others know.
    await asyncio.gather(*(reader.collect(all_there) for reader in readers))
    of_dead = [reader for reader in readers if reader.url == nodes[2].url]
    lost, movers = of_dead[:LOST], of_dead[LOST:]
    stayers = [reader for reader in readers if reader.url != nodes[2].url]
    nodes[2].kill()
    for reader in of_dead:
        reader.cut()
    for k in range(STREAMS // MEMBERS):
        await caller.fill(f"room-{k}", MESSAGES, 2 * MESSAGES)
    began = time.monotonic()
    for n, reader in enumerate(movers):
        reader.move(nodes[n % 2].url)
    await asyncio.gather(*(reader.follow(lambda r: len(r.posts) >= 2 * MESSAGES, 60) for reader in movers))
    print(f"{len(movers)} of {STREAMS} readers had resumed elsewhere within {time.monotonic() - began:.2f} s")
    whole = [f"m{n}" for n in range(2 * MESSAGES)]
    await asyncio.gather(*(reader.collect(lambda r: len(r.posts) >= 2 * MESSAGES, 60) for reader in stayers))
    assert all(texts(reader.posts) == whole for reader in (*movers, *stayers))
    gone = {reader.user_id for reader in lost}
    for reader in stayers:
        expected = {name for name in gone if name.split("-")[1] == reader.user_id.split("-")[1]}
        await reader.collect(lambda r, expected=expected: expected <= names(r, "user-left"))  # type: ignore[misc]
        assert names(reader, "user-left") == expected
        assert len(reader.of_type("user-left")) == len(expected)
    caller.close()


def all_there(reader: Reader) -> bool:
    """Whether a reader has all messages so far, and was told of the last member to come."""
    told = reader.of_type("system", "user-joined")
    return len(reader.posts) >= MESSAGES and data(told[-1])["onlineCount"] == MEMBERS


@within(LIMIT)
async def test_many_readers_of_two_nodes_get_one_sequence(start: Start) -> None:
    """At a fixed rate; compared by a reader in C, which needs a compiler."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler for benchmarks/load.c")
    nodes = await asyncio.to_thread(start, 2)
    options = {"streams": READERS, "messages": RATE * SECONDS, "rate": RATE, "publishers": 64}
    figures = await asyncio.to_thread(partial(load, nodes, **options))
    print(figures)
    assert figures["complete"], figures
    (sequence,) = figures["sequences"]
    assert (sequence["streams"], sequence["ids"], sequence["disordered"]) == (READERS, RATE * SECONDS, 0)


def names(reader: Reader, type: str) -> set[str]:
    """Whom these events are about."""
    return {data(event)["username"] for event in reader.of_type(type)}


def data(event: Any) -> Any:
    return msgspec.json.decode(event.data)
