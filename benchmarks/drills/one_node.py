"""Drills on one server with SQLite."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from benchmarks.drills.disk import fill, limit_files, small_disk
from benchmarks.drills.load import Connection, Follower, Ledger, Losses, Refusal, gather, losses, until, write
from benchmarks.load import BIN
from benchmarks.memory import kernel_kib
from benchmarks.process import cpu_seconds
from benchmarks.server_process import ROOT, ServerProcess, token

UNLIMITED = ("--message-rate=0", "--max-streams=0", "--max-streams-per-user=0", "--stream-rate=0")
WRITERS = 16
POSTS_PER_KILL = 500
BACK_LIMIT = 10.0  # seconds from a kill until the last reader is back: the start, and twice its `retry:` of up to 1.5 s
STORM_LIMIT = 30.0  # seconds, of thousands
SENDERS = 8
STORM_P99 = 3.0  # seconds that a post may take meanwhile
STALLED_LIMIT = 256  # KiB, resident and kernel, that a reader may cost that never reads
STALLED_RECEIVE = 4096  # bytes
STALLED_SEGMENT = 1460  # bytes, as on a network; over the loopback they are 64 KiB, and the kernel holds that much more
RECOVERY_LIMIT = 5.0  # seconds until posts are acknowledged again, once what was missing is back
DRAIN = 5.0
DRAIN_SLACK = 2.0  # seconds after the drain, for what was under way


class Size(NamedTuple):
    """How large the drills are."""

    kills: int = 20
    storm: int = 5000
    stalled: int = 500
    crashes: int = 3

    @classmethod
    def quick(cls) -> Size:
        return cls(kills=4, storm=1000, stalled=100, crashes=1)


class Finding(NamedTuple):
    """A line of the report."""

    drill: str
    asked: str
    measured: str
    kept: bool


@contextmanager
def a_server(*options: str, folder: Path | None = None) -> Iterator[ServerProcess]:
    """A server with an empty folder, beside this project: /tmp may be in memory, where flushing costs nothing.

    Raises Refusal in the end if it logged a traceback: nothing here is beyond what it must foresee.
    """
    BIN.mkdir(exist_ok=True)
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drill-", dir=BIN)))
        server = stack.enter_context(ServerProcess(folder / "data", *UNLIMITED, *options))
        yield server
    if lines := server.tracebacks():
        raise Refusal("\n".join(["the server logged:", *lines]))


class Scene:
    """Readers of some servers, and as many writers at each that is written to; they stay until the block ends."""

    def __init__(
        self, servers: list[ServerProcess], readers: int, writers: int, size: int = 100, pause: float = 0,
        written: list[ServerProcess] | None = None,
    ) -> None:  # fmt: skip
        self._servers, self._count, self._writers, self._size, self._pause = servers, readers, writers, size, pause
        self._written = servers if written is None else written
        self.ledger = Ledger()
        self.followers: list[Follower] = []

    async def __aenter__(self) -> Scene:
        self.followers = await gather(self._servers, ["lobby"], self._count)
        self._writing = [
            asyncio.create_task(write(server, "lobby", f"writer-{k}-{n}", self.ledger, self._size, self._pause))
            for k, server in enumerate(self._written)
            for n in range(self._writers)
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._writing:
            task.cancel()
        for follower in self.followers:
            follower.leave()

    async def settle(self, server: ServerProcess) -> Losses:
        """Has the writers end; says what was lost."""
        self.ledger.stopped = True
        await asyncio.gather(*self._writing)
        return await losses(server, self.ledger, self.followers)

    async def all_back(self, connections: list[int]) -> float:
        """Returns when each reader was welcomed once more than before; says when the last was."""
        await until(lambda: all(f.connections > n and f.here for f, n in zip(self.followers, connections, strict=True)))
        return max(follower.welcomed_at for follower in self.followers)

    def connections(self) -> list[int]:
        return [follower.connections for follower in self.followers]


class Outcome(NamedTuple):
    """What was lost over some kills, and the longest time in seconds until all readers were back."""

    losses: Losses
    longest: float


async def kill_under_load(server: ServerProcess, kills: int, posts: int, readers: int) -> Outcome:
    """kill -9 at any moment while all write, and a start; over and over, until so many posts were acknowledged."""
    dice, longest = random.Random(9), 0.0
    async with Scene([server], readers, WRITERS) as scene:
        for count in sorted(dice.sample(range(posts // 50, posts - posts // 50), kills)):
            await scene.ledger.reaches(count)
            await asyncio.sleep(dice.uniform(0, 0.01))  # or it would always die just after an answer
            connections, killed = scene.connections(), time.monotonic()
            server.kill()
            await asyncio.to_thread(server.start)
            longest = max(longest, await scene.all_back(connections) - killed)
        await scene.ledger.reaches(posts)
        return Outcome(await scene.settle(server), longest)


async def kill(size: Size) -> list[Finding]:
    with a_server() as server:
        found = await kill_under_load(server, size.kills, size.kills * POSTS_PER_KILL, readers=50)
    asked, drill = "0 lost, 0 doubled, no gap or repeat", f"kill -9 under load, {size.kills} times"
    back = "until the last of 50 readers is back"
    return [
        Finding(f"{drill}, {WRITERS} writers", asked, str(found.losses), found.losses.none),
        Finding(
            "", f"{back}: at most {BACK_LIMIT:.0f} s", f"at most {found.longest:.1f} s", found.longest <= BACK_LIMIT
        ),
    ]


async def storm(size: Size) -> list[Finding]:
    """All come back at once after a kill, while some post."""
    rooms = [f"room-{n}" for n in range(max(1, size.storm // 100))]
    with a_server() as server:
        followers = await gather([server], rooms, size.storm)
        sender = _start_sender(server.port, rooms[0])
        try:
            await asyncio.sleep(1)
            killed = time.monotonic()
            server.kill()
            await asyncio.to_thread(server.start)
            up = time.monotonic()
            await until(lambda: all(follower.connections > 1 and follower.here for follower in followers))
            back, used = max(follower.welcomed_at for follower in followers), cpu_seconds(server.pid)
            output, _ = await asyncio.to_thread(sender.communicate, "", 30)
        finally:
            sender.kill()
            sender.wait()
        posts = json.loads(output)
        ledger = Ledger({key: (rooms[0], id) for _, _, key, id in posts})
        found = await losses(server, ledger, followers)
        for follower in followers:
            follower.leave()
    took = sorted(took for began, took, _, _ in posts if up <= began <= back) or [0.0]
    p99 = took[int(len(took) * 0.99)]
    measured = f"{back - killed:.1f} s, of which {up - killed:.1f} s for the start; {used:.1f} CPU s of the server"
    p99_asked = f"p99 of {SENDERS} senders' posts meanwhile: at most {STORM_P99 * 1000:.0f} ms"
    return [
        Finding(
            f"{size.storm:,} streams reconnect after kill -9", f"all are back within {STORM_LIMIT:.0f} s", measured,
            back - killed <= STORM_LIMIT,
        ),
        Finding("", p99_asked, f"{p99 * 1000:.0f} ms of {len(took)} posts", p99 <= STORM_P99),
        Finding("", "0 lost, 0 doubled, no gap or repeat", str(found), found.none),
    ]  # fmt: skip


def _start_sender(port: int, room: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.drills.sender", str(port), room, str(SENDERS)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def stalled(size: Size) -> list[Finding]:
    """Readers that never read: what they cost, and that another one misses nothing."""
    with a_server("--write-timeout=60", "--heartbeat=0") as server:
        async with Scene([server], readers=1, writers=4, size=8000, pause=0.02) as scene:
            await scene.ledger.grows(50)
            resident, kernel = server.memory(), kernel_kib()
            crowd = [await asyncio.to_thread(_stall, server.port, n) for n in range(size.stalled)]
            await scene.ledger.grows(200)
            found = await scene.settle(server)
            cost = (server.memory() - resident) / 1024 / size.stalled
            after = kernel_kib()
            for sock in crowd:
                sock.close()
    share = None if kernel is None or after is None else (after - kernel) / size.stalled
    told = f"{cost:.0f} KiB resident, " + ("kernel not readable" if share is None else f"{share:.0f} KiB kernel")
    return [
        Finding(
            f"{size.stalled} readers that never read, 1.6 MB sent to each",
            f"each costs at most {STALLED_LIMIT} KiB, resident and kernel", told, cost + (share or 0) <= STALLED_LIMIT,
        ),
        Finding("", "another reader misses nothing", str(found), found.none),
    ]  # fmt: skip


def _stall(port: int, number: int) -> socket.socket:
    """A connection that asked for the room's stream, with small windows, and reads nothing."""
    name = f"stalled-{number}"
    query = urlencode({"roomId": "lobby", "username": name, "clientId": name, "token": token(name)})
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_RECEIVE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, STALLED_SEGMENT)
    sock.connect(("127.0.0.1", port))
    sock.sendall(f"GET /events?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return sock


async def full_disk(size: Size) -> list[Finding]:
    """The disk is full for a while: a small file system of its own where this runs as root, else a limit of files."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk())
        server = stack.enter_context(a_server(folder=disk))
        async with Scene([server], readers=5, writers=WRITERS, size=1000) as scene:
            await scene.ledger.grows(50)
            free_again = fill(disk) if disk else limit_files(server)
            await until(lambda: scene.ledger.refused >= WRITERS)
            reads = (await Connection(server, "reader").call("GET", "/api/rooms/lobby/messages?limit=10")).status
            free_again()
            took = await scene.ledger.grows(1)
            await scene.ledger.grows(200)
            streams = set(scene.connections())
            refused = scene.ledger.refused
            found = await scene.settle(server)
    kind = "a file system of its own" if disk else "RLIMIT_FSIZE"
    told = f"{refused} × 503 unavailable; history {reads}, streams {'open' if streams == {1} else 'CUT'}"
    asked = "posts get 503 and Retry-After, reads go on"
    return [
        Finding(f"full disk ({kind}), {WRITERS} writers", asked, told, reads == 200 and streams == {1}),
        Finding(
            "", f"posts go on within {RECOVERY_LIMIT:.0f} s of free space", f"{took:.2f} s", took <= RECOVERY_LIMIT
        ),
        Finding("", "0 lost, 0 doubled, no gap or repeat", str(found), found.none),
    ]


async def sigterm(size: Size) -> list[Finding]:
    """SIGTERM under load, and a start: everybody is told, and nothing is lost."""
    with a_server(f"--drain={DRAIN}") as server:
        async with Scene([server], readers=200, writers=WRITERS) as scene:
            await scene.ledger.grows(200)
            connections, began = scene.connections(), time.monotonic()
            server.signal(signal.SIGTERM)
            waiting = asyncio.create_task(asyncio.to_thread(server.wait))
            status = await waiting
            took = time.monotonic() - began
            told = sum(follower.told for follower in scene.followers)
            await asyncio.to_thread(server.start)
            await scene.all_back(connections)
            await scene.ledger.grows(200)
            found = await scene.settle(server)
    return [
        Finding(
            f"SIGTERM under load, --drain={DRAIN:.0f}, 200 readers", f"exit 0 within {DRAIN + DRAIN_SLACK:.0f} s",
            f"exit {status} after {took:.1f} s", status == 0 and took <= DRAIN + DRAIN_SLACK,
        ),
        Finding("", "each reader gets `closing`", f"{told} of 200", told == 200),
        Finding("", "0 lost, 0 doubled, no gap or repeat", str(found), found.none),
    ]  # fmt: skip
