"""A server that starts before its database and its bus do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.nats_server import Nats
from benchmarks.postgres import Postgres
from benchmarks.process import CouldNotRun
from benchmarks.server_process import ServerProcess
from tests.helpers.chat import Caller, eventually, within


@pytest.fixture
def database() -> Iterator[Postgres]:
    """A server of PostgreSQL for one test, to be stopped."""
    try:
        server = Postgres()
    except CouldNotRun as reason:
        pytest.skip(str(reason))
    yield server
    server.close()


@within(90)
async def test_start_waits_for_its_database(tmp_path: Path, database: Postgres) -> None:
    """As after a power cut, when all machines come up together; what it waits for is said once a try."""
    url = database.url(database.new_database())
    database.stop()
    server = ServerProcess(tmp_path, "--database-url", url)
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    try:
        await eventually(lambda: _says(server, "trying again"))
        await asyncio.to_thread(database.start)
        await starting
        posted = await Caller(server.url, "ann").send("lobby", "hello")
        assert posted.status == 201
        assert not server.tracebacks()
    finally:
        server.kill()


@within(90)
async def test_start_waits_for_its_bus(tmp_path: Path) -> None:
    """NATS, with nothing left open by the tries before."""
    try:
        bus = Nats()
    except CouldNotRun as reason:
        pytest.skip(str(reason))
    bus.kill()
    server = ServerProcess(tmp_path, "--bus-url", bus.url)
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    try:
        await eventually(lambda: _says(server, "trying again"))
        await asyncio.to_thread(bus.start)
        await starting
        assert not server.tracebacks()
    finally:
        server.kill()
        bus.kill()


async def _says(server: ServerProcess, words: str) -> bool:
    return any(words in line for line in server.log)
