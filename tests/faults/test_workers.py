"""Workers that are killed and stopped under load: nothing acknowledged is lost, and readers go on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import UNLIMITED
from tests.faults.test_nodes import Crowd
from tests.helpers.certificate import self_signed
from tests.helpers.chat import eventually, within
from tests.helpers.workers import WorkersProcess

KILLS = 6
POSTS = 100  # acknowledged between two kills


@pytest.fixture
def server(tmp_path: Path, database_url: str | None) -> Iterator[WorkersProcess]:
    """Two workers; a traceback in their log fails the test."""
    options = ["--database-url", database_url] if database_url else []
    with WorkersProcess(tmp_path / "data", "--workers", "2", *UNLIMITED, *options) as made:
        yield made
    assert not made.tracebacks(), "\n".join(made.tracebacks())


@pytest.mark.every_engine
@within(120)
async def test_workers_killed_over_and_over_lose_nothing(server: WorkersProcess) -> None:
    """Now one, now the other; their readers and writers go on with whichever they reach."""
    async with Crowd([server, server], readers=4) as crowd:
        for n in range(KILLS):
            await crowd.acknowledges(POSTS)
            pids = server.pids()
            os.kill(pids[1 + n % 2], signal.SIGKILL)
            await eventually(lambda pids=pids: server.pids() != pids)  # type: ignore[misc]
        await crowd.acknowledges(POSTS)
    await crowd.check()
    assert sum(reader.connections for reader in crowd.readers) > len(crowd.readers)


@within(120)
async def test_all_workers_killed_at_once_lose_nothing(server: WorkersProcess) -> None:
    """As one server that was killed and started again."""
    async with Crowd([server, server], readers=4) as crowd:
        for _ in range(2):
            await crowd.acknowledges(POSTS)
            pids = server.pids()
            for pid in pids.values():
                os.kill(pid, signal.SIGKILL)
            await eventually(lambda pids=pids: not set(server.pids().values()) & set(pids.values()))  # type: ignore[misc]
        await crowd.acknowledges(POSTS)
    await crowd.check()


@within(60)
async def test_worker_told_to_stop_is_replaced(server: WorkersProcess) -> None:
    """SIGTERM for one of them: its streams are told to come back, and the other one takes them."""
    async with Crowd([server, server], readers=4) as crowd:
        await crowd.acknowledges(POSTS)
        pids = server.pids()
        os.kill(pids[1], signal.SIGTERM)
        await eventually(lambda: server.pids() != pids, 30)
        await crowd.acknowledges(POSTS)
    await crowd.check()


@within(60)
async def test_supervisor_gives_up_on_workers_that_cannot_start(tmp_path: Path) -> None:
    """What they need is gone: after some tries one line says so, and the exit status is 1."""
    cert, key = self_signed(tmp_path)
    options = ("--ssl-cert", str(cert), "--ssl-key", str(key))
    with WorkersProcess(tmp_path / "data", "--workers", "2", *options) as server:
        cert.unlink()
        os.kill(server.pids()[1], signal.SIGKILL)
        assert await asyncio.to_thread(server.wait) == 1
        assert [line for line in server.log if "giving up" in line] != []
        assert not server.tracebacks()
