"""Many tasks and their watchers, and the export of a large room.

With CHATROOMS_TEST_FULL=1 in full size, which takes some minutes; `-s` shows the figures.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from tornado.httputil import HTTPHeaders

from benchmarks.postgres import Postgres
from benchmarks.server_process import ServerProcess, token
from chatrooms.log import database_of
from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, parse_head, within
from tests.helpers.reader import POLL, Reader
from tests.helpers.watch import check_seen

FULL = bool(os.environ.get("CHATROOMS_TEST_FULL"))
TASKS = 10_000 if FULL else 100
UPDATES = 20
WORKERS = 16
WATCHERS = 100 if FULL else 20
MESSAGES = 1_000_000 if FULL else 5_000
QUIET = 10.0 if FULL else 0.0  # seconds of the same requests without an export
LOADED_AT_ONCE = 20_000
LIMIT = 1800 if FULL else 90  # seconds for one test


class Watcher(Reader):
    """Reads a task's progress."""

    def __init__(self, url: str, task_id: str) -> None:
        super().__init__(url, f"/api/v1/sse/tasks/{task_id}/progress", {"token": token("watcher", "agent")})

    @property
    def ended(self) -> bool:
        return bool(self.of_type("complete", "error"))


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, serve: Serve) -> ServerProcess:
    """A server on each engine."""
    return serve(*_database(request))


def _database(request: pytest.FixtureRequest) -> tuple[str, ...]:
    if request.param == "sqlite":
        return ()
    postgres: Postgres = request.getfixturevalue("postgres")
    return ("--database-url", postgres.url(postgres.new_database()))


@within(LIMIT)
async def test_watchers_at_random_see_the_state_at_once_and_one_end(server: ServerProcess) -> None:
    """Thousands of tasks change meanwhile; some watchers lose their connection on the way."""
    began = time.monotonic()
    waiting = [f"task-{n}" for n in range(TASKS)]
    watched = random.sample(waiting, WATCHERS)
    made = asyncio.Event()

    async def work(caller: Caller) -> None:
        while waiting:
            task_id = waiting.pop(0)
            for n in range(1, UPDATES + 1):
                body = {"progress": 100 * n / UPDATES} if n < UPDATES else {"state": random.choice(ENDS)}
                answer = await caller.call("PATCH", f"/api/v1/tasks/{task_id}", body)
                assert answer.status == 200, answer
                made.set()

    callers = [Caller(server.url, "robot", role="service") for _ in range(WORKERS)]
    await asyncio.gather(*(_make(caller, waiting[n::WORKERS]) for n, caller in enumerate(callers)))
    watchers = [Watcher(server.url, task_id) for task_id in watched]
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(work(caller))
        await made.wait()
        for watcher in watchers:
            group.create_task(_watch(watcher))
    for caller in callers:
        caller.close()
    for watcher in watchers:
        check_seen(watcher.events)
    spent = time.monotonic() - began
    print(f"{TASKS} tasks of {UPDATES} updates in {spent:.1f} s: {TASKS * UPDATES / spent:.0f} updates/s")


ENDS = ("completed", "failed", "cancelled")


async def _make(caller: Caller, ids: list[str]) -> None:
    for task_id in ids:
        assert (await caller.call("POST", "/api/v1/tasks", {"title": "Work", "task_id": task_id})).status == 201


async def _watch(watcher: Watcher) -> None:
    """Reads to the end; half of the connections are cut after their first event."""
    if random.random() < 0.5:
        await watcher.connect()
        await watcher.collect(lambda reader: bool(reader.events))
        assert watcher.ended or watcher.events[0].type == "progress"
        watcher.cut()
    if not watcher.ended:
        await watcher.follow(lambda _: watcher.ended, LIMIT)
    watcher.cut()


@within(LIMIT)
async def test_large_room_is_exported_in_little_memory(server: ServerProcess) -> None:
    """Whole, in order, resumable; others go on meanwhile."""
    await asyncio.to_thread(server.terminate)
    await _load(server)
    await asyncio.to_thread(server.start)
    caller = Caller(server.url, "alice")
    async with _others(server) as seconds, _memory(server) as grown:
        await asyncio.sleep(QUIET)
        quiet = _p99(seconds)
        seconds.clear()
        began = time.monotonic()
        task_id = (await caller.call("POST", "/api/rooms/lobby/export", {})).data["task_id"]
        watcher = Watcher(server.url, task_id)
        await watcher.follow(lambda _: watcher.ended, LIMIT)
        spent = time.monotonic() - began
    check_seen(watcher.events)
    assert watcher.of_type("complete"), watcher.events[-1]
    steps = len(watcher.of_type("progress"))
    print(
        f"{MESSAGES} messages in {spent:.1f} s, {steps} steps; RSS +{max(grown) / 2**20:.1f} MiB; "
        f"{len(seconds)} other requests, p99 {_p99(seconds):.1f} ms ({quiet:.1f} ms before)"
    )
    assert max(grown) <= 50 << 20
    await _check_download(server, task_id)
    caller.close()


def _p99(seconds: list[float]) -> float:
    """In milliseconds; 0 of none."""
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000 if seconds else 0.0


async def _load(server: ServerProcess) -> None:
    """Messages as the server would have written them, put straight into the log of a stopped one."""
    url = server.options[server.options.index("--database-url") + 1] if "--database-url" in server.options else None
    database = database_of(url, server.data_dir)
    await database.open()
    words = ["".join(random.choices("etaoinshrdlucmfwyp", k=random.randint(2, 9))) for _ in range(2000)]
    for first in range(1, MESSAGES + 1, LOADED_AT_ONCE):
        last = min(first + LOADED_AT_ONCE - 1, MESSAGES)
        numbers = range(first, last + 1)
        async with database.transaction() as tx:
            sql = "insert into events (seq, type, data, created_at) values ($1, 'room-message', $2, 1)"
            await tx.executemany(sql, [(n, _message(n, words)) for n in numbers])
            await tx.executemany(
                "insert into event_topics (topic, seq) values ('room:lobby', $1)", [(n,) for n in numbers]
            )
    await database.close()


def _message(number: int, words: list[str]) -> str:
    text = " ".join(random.choices(words, k=16))
    data = {"roomId": "lobby", "userId": "ada", "username": "Ada", "message": f"m{number} {text}"}
    return json.dumps({**data, "timestamp": 1_700_000_000_000 + number}, separators=(",", ":"))


@asynccontextmanager
async def _others(server: ServerProcess) -> AsyncIterator[list[float]]:
    """What everybody else does in the meantime: writes and reads, and how long each took in seconds."""
    seconds: list[float] = []

    async def go(name: str) -> None:
        caller = Caller(server.url, name)
        while True:
            for method, path, body in (
                ("POST", "/api/rooms/other/messages", {"message": "hello"}),
                ("GET", "/api/rooms/other/messages?limit=50", None),
                ("GET", "/api/rooms/other", None),
            ):
                began = time.monotonic()
                answer = await caller.call(method, path, body)
                assert answer.status in (200, 201), answer
                seconds.append(time.monotonic() - began)
                await asyncio.sleep(POLL)

    going = [asyncio.create_task(go(f"other-{n}")) for n in range(4)]
    while len(seconds) < 100:
        await asyncio.sleep(POLL)
        _check_going(going)
    seconds.clear()
    try:
        yield seconds
        _check_going(going)
    finally:
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)


def _check_going(tasks: list[asyncio.Task[None]]) -> None:
    """Raises what one of them has met."""
    for task in tasks:
        if task.done():
            task.result()


@asynccontextmanager
async def _memory(server: ServerProcess) -> AsyncIterator[list[int]]:
    """By how many bytes the server has grown, looked at over and over."""
    before = server.memory()
    grown = [0]

    async def look() -> None:
        while True:
            grown.append(server.memory() - before)
            await asyncio.sleep(POLL)

    looking = asyncio.create_task(look())
    try:
        yield grown
    finally:
        grown.append(server.memory() - before)
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _check_download(server: ServerProcess, task_id: str) -> None:
    """All of it at once, and in parts that are cut and resumed: the same bytes, the messages in order."""
    path = f"/api/v1/tasks/{task_id}/result"
    whole, headers = await _download(server, path, 0, 1 << 60)
    lines = whole.split(b"\n")
    assert len(lines) == MESSAGES + 1 and lines[-1] == b""
    numbers = [int(json.loads(line)["message"].split()[0][1:]) for line in lines[:-1]]
    assert numbers == list(range(1, MESSAGES + 1))
    parts = b""
    while len(parts) < len(whole):
        most = random.randint(1, len(whole) // 3)
        part, again = await _download(server, path, len(parts), most)
        assert again["etag"] == headers["etag"]
        parts += part
    assert hashlib.sha256(parts).digest() == hashlib.sha256(whole).digest()


async def _download(server: ServerProcess, path: str, start: int, most: int) -> tuple[bytes, HTTPHeaders]:
    """The bytes from a place on; the connection is cut when there are that many."""
    where = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    asked = f"Range: bytes={start}-\r\n" if start else ""
    lines = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token('alice')}\r\n{asked}\r\n"
    writer.write(lines.encode())
    status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
    assert status == (206 if start else 200)
    left = min(most, int(headers["content-length"]))
    taken = bytearray()
    while left > len(taken):
        chunk = await reader.read(min(1 << 20, left - len(taken)))
        assert chunk, "the download was cut"
        taken += chunk
    writer.transport.abort()
    return bytes(taken), headers
