"""Several workers on one port: real processes, on both engines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.server_process import ROOT, SECRET, ServerProcess
from tests.helpers.chat import eventually, within
from tests.helpers.reader import Reader, data
from tests.helpers.workers import WorkerCaller, WorkersProcess, alive, opened

TEXTS = [f"text {n}" for n in range(40)]


@pytest.fixture
def server(tmp_path: Path, database_url: str | None) -> Iterator[WorkersProcess]:
    """Two workers; a traceback in their log fails the test."""
    options = ["--database-url", database_url] if database_url else []
    with WorkersProcess(
        tmp_path / "data", "--workers", "2", "--message-rate", "0", "--leave-grace", "4", *options
    ) as made:
        yield made
    assert not made.tracebacks(), "\n".join(made.tracebacks())


@pytest.mark.every_engine
@within(60)
async def test_both_workers_read_one_sequence(server: WorkersProcess) -> None:
    """What is posted to either is read on both, in one order, with the same ids."""
    readers = [await opened(server, number, f"reader-{number}") for number in (1, 2)]
    halves = await asyncio.gather(_say_all(server, 1, TEXTS[::2]), _say_all(server, 2, TEXTS[1::2]))
    for reader in readers:
        await reader.collect(lambda r: len(r.posts) == len(TEXTS))
    assert [m["id"] for m in readers[0].posts] == [m["id"] for m in readers[1].posts]
    assert {m["id"]: m["message"] for m in readers[0].posts} == {m["id"]: m["message"] for half in halves for m in half}


@pytest.mark.every_engine
@within(60)
async def test_reader_resumes_on_the_other_worker(server: WorkersProcess) -> None:
    """With no gap and no repeat, over and over."""
    reader = await opened(server, 1, "reader")
    callers = [WorkerCaller(server, number) for number in (1, 2)]
    for n, text in enumerate(TEXTS):
        await callers[n % 2].say("lobby", text)
        if n % 10 == 9:
            await reader.collect(lambda r, n=n: len(r.posts) > n - 5)  # type: ignore[misc]
            reader.turn(2 if reader._number == 1 else 1)
            await reader.connect()
    await reader.collect(lambda r: len(r.posts) == len(TEXTS))
    assert [m["message"] for m in reader.posts] == TEXTS
    assert reader.connections == 5


@pytest.mark.every_engine
@within(60)
async def test_client_message_id_counts_across_workers(server: WorkersProcess) -> None:
    """Sent to both at once, it is stored once."""
    callers = [WorkerCaller(server, number) for number in (1, 2)]
    for n in range(10):
        answers = await asyncio.gather(*(caller.send("lobby", "once", clientMessageId=f"m{n}") for caller in callers))
        assert sorted(answer.status for answer in answers) == [200, 201]
        assert answers[0].data["id"] == answers[1].data["id"]


@pytest.mark.every_engine
@within(60)
async def test_ban_on_one_worker_ends_streams_on_the_other(server: WorkersProcess) -> None:
    readers = [await opened(server, number, "tom") for number in (1, 2)]
    caller = WorkerCaller(server, 1, "boss", role="admin")
    assert (await caller.call("PUT", "/api/rooms/lobby/bans/tom", {})).status in (200, 201, 204)
    for reader in readers:
        assert data(await reader.until(lambda event: event.type == "closing"))["reason"] == "banned"
    refused = await WorkerCaller(server, 2, "tom").send("lobby", "hello")
    assert (refused.status, refused.code) == (403, "banned")


@pytest.mark.every_engine
@within(60)
async def test_presence_is_one_list(server: WorkersProcess) -> None:
    """Whichever worker is asked; and metrics and counts are sums."""
    readers = [await opened(server, number, f"reader-{number}") for number in (1, 2)]
    callers = [WorkerCaller(server, number, role="admin") for number in (1, 2)]

    async def agree() -> bool:
        pages = [(await caller.get("/api/rooms/lobby/members")).data["members"] for caller in callers]
        return all([m["userId"] for m in page] == ["reader-1", "reader-2"] for page in pages)

    await eventually(agree)
    for caller in callers:
        await eventually(lambda caller=caller: _shows(caller, "chatrooms_streams", 2.0))  # type: ignore[misc]
        assert await caller.metric("chatrooms_rooms") == 1.0
        stats = (await caller.get("/api/sse/stats")).data["data"]
        assert stats == {"totalConnections": 2, "channels": {"room:lobby": 2}}
    readers[1].cut()
    assert (await readers[0].event("user-left"))["username"] == "reader-2"


@pytest.mark.every_engine
@within(60)
async def test_worker_that_dies_is_replaced(server: WorkersProcess) -> None:
    """Its readers go on with the other, its members who do not come back leave without waiting for its lease."""
    stays, moves, lost = [await opened(server, n, name) for n, name in ((1, "stays"), (2, "moves"), (2, "lost"))]
    caller = WorkerCaller(server, 1)
    await caller.say("lobby", "before")
    await moves.collect(lambda r: len(r.posts) == 1)
    before = server.pids()
    await eventually(lambda: _shows(caller, "chatrooms_streams", 3.0))
    delivered = await caller.metric("chatrooms_deliveries_total")
    os.kill(before[2], signal.SIGKILL)
    await caller.say("lobby", "after")
    moves.turn(1)
    await moves.follow(lambda r: len(r.posts) == 2)
    left = await stays.event("user-left")
    assert left["username"] == "lost"
    assert [data(e)["username"] for e in stays.of_type("user-left")] == ["lost"]
    await eventually(lambda: server.pids() != before)
    assert server.pids()[1] == before[1]
    assert await caller.metric("chatrooms_deliveries_total") >= delivered, "what the dead one counted is gone"
    newcomer = await opened(server, 2, "newcomer")
    await WorkerCaller(server, 1).say("lobby", "to the new one")
    await newcomer.message("to the new one")
    lost.cut()


@pytest.mark.every_engine
@within(60)
async def test_sigterm_drains_all_workers(server: WorkersProcess) -> None:
    """Every stream is told to come back; the exit status is 0, and nobody can connect meanwhile."""
    readers = [await opened(server, number, f"reader-{number}") for number in (1, 2)]
    server.signal(signal.SIGTERM)
    for reader in readers:
        assert data(await reader.until(lambda event: event.type == "closing"))["reason"] == "draining"
    assert await asyncio.to_thread(server.wait) == 0
    with pytest.raises(OSError):
        await Reader.of_room(server.url, "lobby", "late").connect()


@pytest.mark.every_engine
@within(60)
async def test_workers_end_with_their_supervisor(server: WorkersProcess) -> None:
    """Even when it is killed: nobody is left who holds the port or the folder."""
    pids = server.pids()
    reader = await opened(server, 1, "reader")
    await asyncio.to_thread(server.kill)
    for pid in pids.values():
        await eventually(lambda pid=pid: _gone(pid))  # type: ignore[misc]
    assert (await reader.rest())[-1].type == "closing"
    await asyncio.to_thread(server.start)
    assert (await WorkerCaller(server, 1).send("lobby", "again")).status == 201


@within(60)
async def test_folder_is_held_until_the_last_worker_has_ended(server: WorkersProcess) -> None:
    """Also when the supervisor was killed: a server that starts then would not know what they still write."""
    pids = server.pids().values()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        os.kill(server.pid, signal.SIGKILL)
        await eventually(lambda: _gone(server.pid))
        ended = await asyncio.to_thread(_run, "--port", "0", "--data-dir", str(server.data_dir))
        assert (ended.returncode, "is in use by another process" in ended.stderr) == (2, True)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@within(60)
async def test_message_sent_over_and_over_is_posted_once_while_workers_die(server: WorkersProcess) -> None:
    """A supervisor never gives up on workers that had served."""
    for n in range(6):
        pids = server.pids()
        os.kill(pids[1 + n % 2], signal.SIGKILL)
        await eventually(lambda pids=pids: server.pids() != pids)  # type: ignore[misc]
        assert (await WorkerCaller(server, 1 + n % 2).send("lobby", f"text {n}")).status == 201
    assert len(await WorkerCaller(server, 1).log_of("lobby")) == 6


@within(60)
async def test_row_of_another_program_reaches_both_workers(server: WorkersProcess) -> None:
    """Once, whichever worker takes it."""
    sql = "insert into session_messages (session_id, content) values ('s', 'from outside')"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import sqlite3; c = sqlite3.connect({str(server.data_dir / 'chatrooms.db')!r}); "
        f"c.execute({sql!r}); c.commit()",
    )  # fmt: skip
    assert await process.wait() == 0
    callers = [WorkerCaller(server, number, role="admin") for number in (1, 2)]

    async def taken(caller: WorkerCaller) -> bool:
        page = await caller.get("/api/messages?sessionId=s")
        assert page.status == 200, page
        return [message["content"] for message in page.data["data"]["messages"]] == ["from outside"]

    for caller in callers:
        await eventually(lambda caller=caller: taken(caller))  # type: ignore[misc]


@within(60)
async def test_what_cannot_start_says_so_once(server: WorkersProcess, tmp_path: Path) -> None:
    """The port of workers, their folder, a port of somebody else: one line and the usual status."""
    port, folder = str(server.port), str(tmp_path / "data")
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        for options, status, words in (
            (("--port", port, "--data-dir", str(tmp_path / "b")), 1, "Address already in use"),
            (("--port", port, "--data-dir", str(tmp_path / "b"), "--workers", "2"), 1, "Address already in use"),
            (("--port", taken, "--data-dir", str(tmp_path / "b"), "--workers", "2"), 1, "Address already in use"),
            (("--port", "0", "--data-dir", folder), 2, "is in use by another process"),
            (("--port", "0", "--data-dir", folder, "--workers", "3"), 2, "is in use by another process"),
            (("--port", "0", "--workers", "0"), 2, "not a whole number from 1"),
            (("--port", "0", "--data-dir", str(tmp_path / "c"), "--workers", "2", "--secret", "x", "--address",
              "0.0.0.0"), 2, "--secret is shorter"),
        ):  # fmt: skip
            ended = await asyncio.to_thread(_run, *options)
            assert ended.returncode == status, (options, ended.stderr)
            assert [line for line in ended.stderr.splitlines() if words in line] == ended.stderr.splitlines()[-1:]


@within(60)
async def test_json_lines_name_the_worker(tmp_path: Path) -> None:
    with WorkersProcess(tmp_path, "--workers", "2", "--log-format", "json") as server:
        lines = [json.loads(line) for line in list(server.log)]
    assert {line.get("worker") for line in lines} == {None, 1, 2}


async def _say_all(server: WorkersProcess, number: int, texts: list[str]) -> list[Any]:
    caller = WorkerCaller(server, number, f"writer-{number}")
    return [await caller.say("lobby", text) for text in texts]


def _run(*options: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "CHATROOMS_SECRET": SECRET}
    command = [sys.executable, ServerProcess.script, "--address", "127.0.0.1", *options]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30)


async def _shows(caller: WorkerCaller, metric: str, value: float) -> bool:
    return await caller.metric(metric) == value


async def _gone(pid: int) -> bool:
    return not await alive(pid)
