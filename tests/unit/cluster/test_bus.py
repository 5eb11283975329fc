"""The bus: what each engine must do for the nodes (bus/base.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.nats_server import Nats
from benchmarks.postgres import Postgres
from chatrooms.cluster.bus import bus_of
from chatrooms.cluster.bus.base import ALL, Bus, Joiner, split
from chatrooms.errors import ConfigError
from tests.helpers.chat import eventually

pytestmark = pytest.mark.gen_test(timeout=30)


class Engine:
    """A bus engine with its real server."""

    def __init__(self, make: Callable[[], Bus], crash: Callable[[], None]) -> None:
        self.make = make
        self.crash = crash


@pytest.fixture(params=["postgres", "nats"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "nats":
        server: Nats = request.getfixturevalue("nats")
        return Engine(lambda: bus_of(server.url, None), server.crash)
    postgres: Postgres = request.getfixturevalue("postgres")
    url = request.getfixturevalue("postgres_url")
    return Engine(lambda: bus_of(None, url), postgres.crash)


class Ear:
    """A node on the bus: what it heard, and how the bus was."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.heard: list[bytes] = []
        self.health: list[bool] = []


@asynccontextmanager
async def ears(engine: Engine, *names: str) -> AsyncIterator[list[Ear]]:
    made = [Ear(engine.make()) for _ in names]
    for ear, name in zip(made, names, strict=True):
        await ear.bus.open(name, ear.heard.append, ear.health.append)
    try:
        yield made
    finally:
        for ear in made:
            await ear.bus.close()


async def test_all_hear_what_is_sent_to_all_and_one_what_is_sent_to_it(engine: Engine) -> None:
    """In the order in which one node sent it."""
    async with ears(engine, "a", "b", "c") as (a, b, c):
        for n in range(100):
            a.bus.send(ALL, b"all %d" % n)
        a.bus.send("b", b"only b")
        await eventually(lambda: len(b.heard) == 101 and len(c.heard) == 100)
        assert c.heard == [b"all %d" % n for n in range(100)]
        assert b.heard[-1] == b"only b"


@pytest.mark.parametrize("size", [0, 1, 7_900, 7_999, 8_000, 16_384, 262_144])
async def test_message_of_any_length_comes_as_it_was(engine: Engine, size: int) -> None:
    """Multi-byte text, too."""
    message = ("é😀x" * size).encode()[:size].decode(errors="ignore").encode()
    async with ears(engine, "a", "b") as (a, b):
        a.bus.send("b", message)
        await eventually(lambda: b.heard == [message])


async def test_same_message_twice_is_heard_twice(engine: Engine) -> None:
    """PostgreSQL would make one of two that are the same."""
    async with ears(engine, "a", "b") as (a, b):
        a.bus.send("b", b"again")
        a.bus.send("b", b"again")
        await eventually(lambda: b.heard == [b"again", b"again"])


async def test_bus_comes_back_by_itself_and_says_so(engine: Engine) -> None:
    """After its server was killed; sending meanwhile neither blocks nor raises."""
    async with ears(engine, "a", "b") as (a, b):
        for times in (1, 2):
            await asyncio.to_thread(engine.crash)
            a.bus.send(ALL, b"may be lost")
            await eventually(lambda times=times: a.health == b.health == [False, True] * times)  # type: ignore[misc]
        a.bus.send("b", b"back")
        await eventually(lambda: b"back" in b.heard)


async def test_listening_backends_that_are_terminated_are_replaced(postgres: Postgres, postgres_url: str) -> None:
    """As an administrator or a proxy does it."""
    engine = Engine(lambda: bus_of(None, postgres_url), postgres.crash)
    terminate = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chatrooms bus'"
    async with ears(engine, "a", "b") as (a, b):
        for times in (1, 2, 3):
            await asyncio.to_thread(postgres.sql, "test", terminate)
            await eventually(lambda times=times: a.health == b.health == [False, True] * times)  # type: ignore[misc]
        a.bus.send("b", b"back")
        await eventually(lambda: b.heard[-1:] == [b"back"])


@pytest.mark.parametrize("url", ["nats://127.0.0.1:1", "nats://localhost:1,nats://127.0.0.1:1"])
async def test_bus_that_is_not_there_stops_the_start(url: str) -> None:
    """With one line."""
    with pytest.raises(ConfigError, match="cannot be reached"):
        await bus_of(url, None).open("a", lambda message: None, lambda healthy: None)


def test_parts_join_in_any_order_and_a_lost_one_costs_only_its_message() -> None:
    """No part is longer than it may be, each is text."""
    message = ("😀" * 5000).encode()
    parts = list(split(message, "id", 1000))
    assert all(len(part) <= 1000 and part.decode() for part in parts)
    joiner = Joiner()
    other = list(split(message, "other", 1000))
    assert [joiner.join(part) for part in other[1:]] == [None] * (len(other) - 1)
    assert [joined for part in reversed(parts) if (joined := joiner.join(part))] == [message]
