"""The log that several nodes append to: one order, nothing skipped (storage/log.py, storage/postgres.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from benchmarks.postgres import Postgres
from chatrooms.errors import Unavailable
from chatrooms.log import log as logs
from chatrooms.log import postgres as engine
from chatrooms.log.database import migrations
from chatrooms.log.event import Event, Position
from chatrooms.log.log import Log
from chatrooms.log.postgres import LOG_LOCK, PostgreSQL
from tests.helpers.chat import eventually

pytestmark = pytest.mark.gen_test(timeout=60)

TOPIC = "room:lobby"


class Node:
    """One node's log, and what its listener was told."""

    def __init__(self, url: str) -> None:
        self.database = PostgreSQL(url)
        self.heard: list[Event] = []
        self.log = Log(self.database, self._hear)

    def _hear(self, events: object) -> None:
        assert isinstance(events, list)
        self.heard += events
        assert self.log.head == self.heard[-1].seq, "the head and the listener must move together"

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.heard]

    async def say(self, text: str, key: str | None = None) -> int:
        (done,) = await self.log.append([Event("room-message", b'{"message":"%s"}' % text.encode(), (TOPIC,), key)])
        return done.event.seq


@asynccontextmanager
async def nodes(url: str, count: int = 2) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        made = [Node(url) for _ in range(count)]
        for node in made:
            await node.database.open()
            stack.push_async_callback(node.database.close)
            await node.log.open()
            stack.push_async_callback(node.log.close)
        yield made


async def test_all_nodes_hear_all_in_one_order(postgres_url: str) -> None:
    """Whoever appended it, each once; those of others come before the own ones that follow them."""
    async with nodes(postgres_url, 3) as made:
        await asyncio.gather(*(made[n % 3].say(str(n)) for n in range(300)))
        for node in made:
            node.log.ring(300)
        await eventually(lambda: all(len(node.heard) == 300 for node in made))
        for node in made:
            assert node.seqs == list(range(1, 301))
            assert [e.data for e in node.heard] == [e.data for e in made[0].heard]
            assert {e.topics for e in node.heard} == {(TOPIC,)}


async def test_lost_wake_up_costs_a_second_and_nothing_else(postgres_url: str) -> None:
    """Nobody rings: the nodes look by themselves."""
    async with nodes(postgres_url) as (one, other):
        assert await one.say("a") == 1
        await eventually(lambda: other.seqs == [1])
        assert await other.say("b") == 2


async def test_key_is_known_to_every_node(postgres_url: str) -> None:
    """The same message posted to two nodes at once is in the log once."""
    async with nodes(postgres_url) as (one, other):
        seqs = await asyncio.gather(*(node.say("a", "key") for node in (one, other) for _ in range(5)))
        assert set(seqs) == {1}


async def test_position_of_another_node_is_reached(postgres_url: str) -> None:
    """A reader that resumes here may have been told more there."""
    async with nodes(postgres_url) as (one, other):
        for n in range(5):
            await one.say(str(n))
        position = Position(one.log.epoch, one.log.head)
        assert not other.log.knows(position)
        await other.log.reach(position)
        assert other.log.knows(position) and other.seqs == [1, 2, 3, 4, 5]
        await other.log.reach(Position(one.log.epoch, 999))
        assert not other.log.knows(Position(one.log.epoch, 999))


async def test_node_that_is_far_behind_takes_it_in_pages(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock, so that the others go on; then it appends."""
    monkeypatch.setattr(logs, "PAGE", 10)
    async with nodes(postgres_url) as (one, other):
        await asyncio.gather(*(one.say(str(n)) for n in range(95)))
        assert await other.say("last") == 96
        assert other.seqs == list(range(1, 97))


async def test_erased_text_is_not_handed_on(postgres_url: str) -> None:
    """A message that was deleted before another node took it is only a number there."""
    async with nodes(postgres_url) as (one, other):
        await one.say("a")
        await one.say("b")
        async with one.database.transaction() as tx:
            await tx.execute("update events set type = 'erased', data = '{}' where seq = 2")
        await one.say("c")
        await other.log.reach(Position(one.log.epoch, 3))
        assert other.seqs == [1, 3] and other.log.head == 3


async def test_removal_of_the_last_event_is_no_loss(postgres_url: str) -> None:
    """It begins no new epoch; its number is not given again on any node, old or new."""
    async with nodes(postgres_url) as (one, other):
        for text in ("a", "b"):
            await one.say(text)
        epoch = one.log.epoch
        await other.log.reach(Position(epoch, 2))
        async with one.database.appending() as tx:
            await tx.execute("delete from event_topics where seq = 2")
            await tx.execute("delete from events where seq = 2")
        async with nodes(postgres_url, 1) as (new,):
            assert new.log.head == 2
            assert [await node.say("c") for node in (new, other, one)] == [3, 4, 5]
            assert {node.log.epoch for node in (one, other, new)} == {epoch}
            assert (one.seqs, other.seqs, new.seqs) == ([1, 2, 3, 4, 5], [1, 2, 3, 4], [3])


async def test_fault_of_a_listener_loses_nothing_of_what_others_wrote(postgres_url: str) -> None:
    """What it was told once it is not told again; what follows it is told."""
    async with nodes(postgres_url) as (one, other):
        hear = other._hear

        def fail(events: object) -> None:
            hear(events)
            raise ValueError

        other.log._listener = fail
        for n in range(3):
            await one.say(str(n))
        await other.log.reach(Position(one.log.epoch, 2))
        assert await other.say("last") == 4
        assert await other.say("more") == 5
        assert other.seqs == [1, 2, 3, 4, 5]


async def test_node_that_stops_in_an_append_stops_nobody(postgres_url: str) -> None:
    """Its transaction is ended for it within IDLE_TIMEOUT, and the number it would have had is given to another."""
    async with nodes(postgres_url) as (one, other):
        assert await one.say("a") == 1
        paused = await asyncpg.connect(postgres_url, **engine._settings())
        await paused.execute(f"begin; select pg_advisory_xact_lock({LOG_LOCK})")
        await paused.execute("insert into events values (2, 'room-message', '{}', null, null, 0)")
        async with asyncio.timeout(engine.IDLE_TIMEOUT + 3):
            while True:
                try:
                    assert await other.say("b") == 2
                    break
                except Unavailable:  # waited longer than LOCK_TIMEOUT
                    await asyncio.sleep(0.1)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await paused.execute("commit")
        paused.terminate()


async def test_restarted_database_loses_nothing_acknowledged(postgres: Postgres) -> None:
    """Stopped as by a crash in the middle of appends: those are refused, and it goes on by itself."""
    url = postgres.url(postgres.new_database())
    async with nodes(url) as (one, other):
        acknowledged: set[int] = set()
        stop = asyncio.Event()

        async def write(node: Node) -> None:
            while not stop.is_set():
                try:
                    acknowledged.add(await node.say("x"))
                except Unavailable:
                    await asyncio.sleep(0.01)

        writers = [asyncio.create_task(write(node)) for node in (one, other) for _ in range(4)]
        for _ in range(3):
            count = len(acknowledged)
            await eventually(lambda count=count: len(acknowledged) > count + 50)  # type: ignore[misc]
            await asyncio.to_thread(postgres.crash)
            assert not one.log._closing
        count = len(acknowledged)
        await eventually(lambda: len(acknowledged) > count + 50)
        stop.set()
        await asyncio.gather(*writers)
        for node in (one, other):
            await node.log.reach(Position(node.log.epoch, max(acknowledged)))
            assert node.seqs == list(range(1, node.log.head + 1))
            assert acknowledged <= set(node.seqs)


async def test_upgrade_may_take_longer_than_a_query(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes of large tables do, and other nodes wait for them; else no start would ever get past it."""
    monkeypatch.setattr(engine, "COMMAND_TIMEOUT", 0.5)
    slow = [*migrations("postgres"), (9999, "select pg_sleep(1)")]
    monkeypatch.setattr(engine, "migrations", lambda _: slow)
    databases = [PostgreSQL(postgres_url) for _ in range(2)]
    await asyncio.gather(*(database.open() for database in databases))
    for database in databases:
        assert await database.fetch("select count(*) from migrations where number = 9999") == [(1,)]
        await database.close()
