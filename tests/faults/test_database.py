"""The database is locked, or its disk is full: nothing is acknowledged that is not kept."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
from contextlib import closing

import pytest

from benchmarks.server_process import ServerProcess
from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import POLL, Reader

WRITERS = 8
ROOM_TO_GROW = 100_000  # bytes that the database's files may still grow before the disk is "full"


class Posting:
    """Writers whose every message is new and said once: each answer is noted, none is tried again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.stop = False
        self._may_go = asyncio.Event()
        self._may_go.set()
        self._waiting = 0

    async def write(self, number: int, size: int = 100) -> None:
        caller, count = Caller(self._url, f"writer-{number}"), 0
        while not self.stop:
            self._waiting += 1
            await self._may_go.wait()
            self._waiting -= 1
            key = f"{number}-{count}"
            try:
                answer = await caller.send("lobby", key.ljust(size, "."), clientMessageId=key)
            except (OSError, EOFError):  # the connection did not survive a restart; it is not known if it was kept
                continue
            finally:
                count += 1
            if answer.status == 201:
                self.acknowledged.add(key)
            else:
                assert answer.status == 503, answer
                assert answer.data["code"] == "unavailable"
                assert int(answer.headers["retry-after"]) > 0
                self.refused += 1
                await asyncio.sleep(POLL)
        caller.close()

    async def pause(self) -> None:
        """Returns when no post is under way."""
        self._may_go.clear()
        await eventually(lambda: _true(self._waiting == WRITERS))

    def resume(self) -> None:
        self._may_go.set()

    async def acknowledges(self, more: int) -> None:
        """Returns when that many more posts were acknowledged."""
        count = len(self.acknowledged) + more
        await eventually(lambda: _true(len(self.acknowledged) >= count))

    async def is_refused(self) -> None:
        count = self.refused + WRITERS
        await eventually(lambda: _true(self.refused >= count))


@within(60)
async def test_a_locked_database_refuses_or_keeps_but_never_pretends(serve: Serve) -> None:
    """While another program holds the write lock, posts get 503 or wait, streams stay open; then all goes on."""
    server = serve("--heartbeat", "0.5")
    reader = Reader.of_room(server.url, "lobby", "reader")
    await reader.connect()
    posting = Posting(server.url)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(reader.collect(lambda r: posting.stop and _has_all(r, posting)))
        for number in range(WRITERS):
            group.create_task(posting.write(number))
        await posting.acknowledges(100)
        with closing(_locked(server)) as lock:
            await posting.is_refused()
            await _reads_go_on(server, reader)
            lock.rollback()
        await posting.acknowledges(100)
        posting.stop = True
        await Caller(server.url, "last").send("lobby", "the end")
    assert following.done()
    assert reader.connections == 1, "the stream should have stayed open"
    await _kept(server, reader, posting)


@within(60)
async def test_while_the_database_is_locked_a_guest_is_asked_to_come_back(serve: Serve) -> None:
    """A sign-in that cannot be written is 503 with Retry-After, not an error of the server."""
    server = serve()
    caller = Caller(server.url, "caller")
    with closing(_locked(server)):
        answer = await caller.call("POST", "/api/auth/guest", {"username": "guest"})
    assert answer.status == 503
    assert answer.data["code"] == "unavailable"
    assert int(answer.headers["retry-after"]) > 0
    answer = await caller.call("POST", "/api/auth/guest", {"username": "guest"})
    assert answer.status == 201


@within(60)
async def test_a_start_on_a_locked_database_ends_with_one_line(serve: Serve) -> None:
    """A server that cannot have its database now says so and exits with status 1: it may be tried again."""
    server = serve()
    server.kill()
    with closing(_locked(server)), pytest.raises(RuntimeError):
        await asyncio.to_thread(server.start)
    assert server.log[-1] == "chatrooms: cannot start: database is locked"
    assert server.status == 1


@within(60)
async def test_a_stop_with_a_locked_database_is_orderly(serve: Serve) -> None:
    """SIGTERM while posts wait for the lock: each gets an answer, streams are told, the status is 0."""
    server = serve("--drain", "0.2")
    reader = Reader.of_room(server.url, "lobby", "reader")
    await reader.connect()
    callers = [Caller(server.url, f"writer-{n}") for n in range(WRITERS)]
    for caller in callers:
        assert (await caller.send("lobby", "before")).status == 201
    with closing(_locked(server)):
        posts = [asyncio.create_task(caller.send("lobby", "while locked")) for caller in callers]
        await asyncio.sleep(0)  # all have written their request
        server.signal(signal.SIGTERM)
        answers = await asyncio.gather(*posts)
        assert {answer.status for answer in answers} == {503}
        assert await asyncio.to_thread(server.wait) == 0
    await reader.collect(lambda r: bool(r.of_type("closing")))


@pytest.mark.parametrize("restart", [False, True], ids=["space is back", "restart"])
@within(60)
async def test_a_full_disk_loses_nothing_acknowledged(serve: Serve, restart: bool) -> None:
    """Posts get 503 while there is no space; all that was acknowledged is there when it is back."""
    server = serve("--heartbeat", "0.5")
    reader = Reader.of_room(server.url, "lobby", "reader")
    await reader.connect()
    posting = Posting(server.url)
    async with asyncio.TaskGroup() as group:
        group.create_task(reader.follow(lambda r: posting.stop and _has_all(r, posting)))
        for number in range(WRITERS):
            group.create_task(posting.write(number, size=1000))
        await posting.acknowledges(20)
        _allow_files_of(server, _largest_file(server) + ROOM_TO_GROW)
        await posting.is_refused()
        await _reads_go_on(server, reader)
        if restart:
            await posting.pause()
            server.kill()
            await asyncio.to_thread(server.start)
            posting.resume()
        else:
            _allow_files_of(server, resource.RLIM_INFINITY)
        await posting.acknowledges(100)
        posting.stop = True
        await Caller(server.url, "last").send("lobby", "the end")
    assert reader.connections == (2 if restart else 1)
    await _kept(server, reader, posting)


async def _reads_go_on(server: ServerProcess, reader: Reader) -> None:
    """The history is answered, and streams are alive."""
    page = await Caller(server.url, "caller").call("GET", "/api/rooms/lobby/messages?limit=10")
    assert page.status == 200
    assert page.data["messages"]
    beats = len(reader.of_type("heartbeat"))
    await eventually(lambda: _true(len(reader.of_type("heartbeat")) > beats))


async def _kept(server: ServerProcess, reader: Reader, posting: Posting) -> None:
    """All that was acknowledged is in the log, once, and the reader saw just the log."""
    log = await Caller(server.url, "auditor").log_of("lobby")
    keys = [m.get("clientMessageId") for m in log]
    assert posting.acknowledged <= set(keys)
    assert len(keys) == len(set(keys)), "a message stands in the log twice"
    seen = [m["id"] for m in reader.posts]
    assert seen == [m["id"] for m in log][: len(seen)]


def _has_all(reader: Reader, posting: Posting) -> bool:
    return posting.acknowledged <= {m.get("clientMessageId") for m in reader.posts}


def _locked(server: ServerProcess) -> sqlite3.Connection:
    """Another program with the write lock on the database."""
    connection = sqlite3.connect(server.data_dir / "chatrooms.db", isolation_level=None, timeout=10)
    connection.execute("begin exclusive")
    return connection


def _largest_file(server: ServerProcess) -> int:
    return max(path.stat().st_size for path in server.data_dir.glob("chatrooms.db*"))


def _allow_files_of(server: ServerProcess, size: int) -> None:
    """Lets the server's files grow to that many bytes, and no further."""
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def _true(holds: bool) -> bool:
    return holds
