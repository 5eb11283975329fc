"""A soak: thousands of streams that come and go for a while, and what the server keeps of them.

`python -m tests.faults.soak --minutes 15` starts a server, keeps `--streams` open of all kinds, each for
LIFE seconds, by tokens that last 20 days, while people write, ask the assistant and run tasks. Then it
lets everything go and prints how fast memory grew and what the gauges say; its exit status is 1 when
memory grew faster than MOST, or a gauge is not back at 0.

The resident set is what counts, as an operator sees it: so it has the allocator's fragmentation in it,
too. What fills up by design is filled before, or by the time of SETTLING: SQLite's page caches by a log
that is larger than they are, what the server remembers of users and rooms (bounded) by drawing them
from a pool, the allocator's arenas by the churn itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import jwt

from benchmarks.server_process import SECRET, ServerProcess
from tests.helpers.chat import Caller, eventually

MOST = 1.0  # MiB an hour that memory may grow by
SETTLING = 1 / 3  # of the time is not looked at
LIFE = 30.0  # seconds that a stream is open: so that rooms are empty now and then, and their tails go
STEP = 0.25  # seconds between two lots of streams that come and go
SHARED = 5  # subscriptions of a shared connection
USERS, ROOMS, SESSIONS = 1500, 1500, 300
VISITED = 300  # rooms at a time; others follow them, and after ROUND seconds the first ones again
ROUND = 90.0
FILLED = 60_000  # events before the soak begins
TWENTY_DAYS = 20 * 86400
GONE = 60.0  # seconds until all is gone: a poll counts as presence for 30, a reply may still be written

GAUGES = (
    "chatrooms_streams", "chatrooms_topics", "chatrooms_rooms", "chatrooms_shared_connections",
    "chatrooms_replies_running", "chatrooms_replies_waiting", "chatrooms_reply_readers",
)  # fmt: skip


class Outcome(NamedTuple):
    """What a soak found: (seconds, MiB of resident set), MiB an hour, and the gauges after all had gone.

    `failed` streams were refused or ended by the server, or were posts without an answer; `slowest` is how
    long one took, in seconds.
    """

    memory: Sequence[tuple[float, float]]
    slope: float
    gauges: dict[str, float]
    opened: int
    failed: int
    slowest: float


class Listener(asyncio.Protocol):
    """A connection that asks for one thing and forgets what it gets; `weight` is its number of streams."""

    def __init__(self, request: bytes, weight: int = 1) -> None:
        self._request = request
        self._transport: asyncio.Transport | None = None
        self.weight = weight
        self.status = b""
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.status = self.status or data[9:12]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Soak:
    """The load on one server, from one event loop."""

    def __init__(self, url: str, port: int, streams: int, chance: random.Random) -> None:
        self._url = url
        self._port = port
        self._streams = streams
        self._chance = chance
        self._open: deque[Listener] = deque()
        self._brief: deque[Listener] = deque()  # replies and tasks, which end by themselves
        self._tokens: dict[str, str] = {}
        self._began = time.monotonic()
        self.opened = 0
        self.failed = 0
        self.slowest = 0.0

    async def fill(self, events: int) -> None:
        """Makes the log larger than all page caches, and has it read from everywhere."""
        caller = self._caller("filler")
        await caller.fill("history", 0, events, 300)
        ids = [message["id"] for message in (await caller.call("GET", _HISTORY)).data["messages"]]
        epoch, _, last = ids[-1].partition("-")
        for _ in range(events // 150):
            place = self._chance.randrange(1, int(last))
            await caller.call("GET", f"{_HISTORY}&after={epoch}-{place}")
        caller.close()

    async def acquaint(self) -> None:
        """Has the server remember all that it may: each user in each of their rooms, and whose each session is."""
        wishes = [(room, user) for number in range(ROOMS) for room, user in self._places(number)]
        asked = [(f"/events?{urlencode({'roomId': r, 'username': u, 'poll': 1})}", u) for r, u in wishes]
        asked += [(f"/api/sse/messages?sessionId={number}&poll=1", f"owner-{number}") for number in range(SESSIONS)]
        rest = iter(asked)

        async def ask() -> None:
            for path, user in rest:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(self._request("GET", path, user))
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
                writer.close()

        await asyncio.gather(*(ask() for _ in range(8)))

    async def run(self, seconds: float, polls: bool) -> None:
        """All that goes on, for that long."""
        works = [self._come_and_go, self._write, self._ask, self._work, *([self._poll] if polls else [])]
        tasks = [asyncio.create_task(work()) for work in works]
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    def leave(self) -> None:
        """Everybody hangs up."""
        for listener in (*self._open, *self._brief):
            listener.leave()

    # What goes on

    async def _come_and_go(self) -> None:
        """Keeps so many streams open, the oldest of which give way to others."""
        kinds: list[Callable[[], Listener]] = [self._room] * 5 + [self._shared, self._personal, self._session]
        lot = self._streams * STEP / LIFE
        due = 0.0
        while True:
            due += lot
            count = sum(listener.weight for listener in self._open)
            full = count > self._streams - SHARED
            while full and due > 0 and self._open:
                listener = self._open.popleft()
                self.failed += listener.status != b"200" or listener.closed
                listener.leave()
                count -= listener.weight
                due -= listener.weight
            for _ in range(100):  # at once
                if count > self._streams - SHARED:
                    break
                self._open.append(listener := self._chance.choice(kinds)())
                await self._connect(listener)
                count += listener.weight
            due = min(due, lot) if full else 0.0
            await asyncio.sleep(STEP)

    async def _write(self) -> None:
        """20 messages a second, some of them for the assistant."""
        caller = self._caller("writer")
        while True:
            text = "@ai tell me something" if self._chance.random() < 0.05 else "x" * self._chance.randrange(20, 1000)
            began = time.monotonic()
            try:
                await caller.send(self._place()[0], text)
            except TimeoutError:  # on a machine that has too much to do: told, and no end of the soak
                self.failed += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(0.05)

    async def _ask(self) -> None:
        """A private reply each second; half of their readers do not wait for its end."""
        while True:
            body = json.dumps({"message": "What is a soak?"}).encode()
            await self._begin(Listener(self._request("POST", "/api/chat/stream", self._user(), body)))
            await asyncio.sleep(1)

    async def _work(self) -> None:
        """A task each second, which somebody follows to its end, or not quite."""
        caller = self._caller("worker")
        while True:
            user = self._user()
            made = await caller.call("POST", "/api/v1/tasks", {"title": "Soaking", "user_id": user})
            task = made.data["task_id"]
            await self._begin(Listener(self._request("GET", f"/api/v1/sse/tasks/{task}/progress", user)))
            for change in ({"state": "running"}, {"progress": 50}, {"state": "completed"}):
                await asyncio.sleep(0.3)
                await caller.call("PATCH", f"/api/v1/tasks/{task}", change)

    async def _poll(self) -> None:
        while True:
            room, user = self._place()
            path = f"/events?{urlencode({'roomId': room, 'username': user, 'poll': 1})}"
            await self._begin(Listener(self._request("GET", path, user)))
            await asyncio.sleep(1)

    async def _begin(self, listener: Listener) -> None:
        await self._connect(listener)
        self._brief.append(listener)
        while len(self._brief) > 30:
            self._brief.popleft().leave()

    async def _connect(self, listener: Listener) -> None:
        await asyncio.get_running_loop().create_connection(lambda: listener, "127.0.0.1", self._port)
        self.opened += listener.weight

    # Kinds of streams

    def _room(self) -> Listener:
        room, user = self._place()
        return Listener(self._request("GET", f"/events?{urlencode(self._wish(room, user))}", user))

    def _shared(self) -> Listener:
        wishes = []
        for key in range(SHARED):
            room, user = self._place()
            wishes.append({"key": f"k{key}", "token": self._token(user), **self._wish(room, user)})
        body = json.dumps({"subscriptions": wishes}).encode()
        return Listener(self._request("POST", "/events", self._user(), body), SHARED)

    def _personal(self) -> Listener:
        return Listener(self._request("GET", "/events", self._user()))

    def _session(self) -> Listener:
        session = self._chance.randrange(SESSIONS)
        return Listener(self._request("GET", f"/api/sse/messages?sessionId={session}", f"owner-{session}"))

    def _place(self) -> tuple[str, str]:
        """A room that is visited at this time, and one of its few users: each is left by all now and then."""
        first = int((time.monotonic() - self._began) / ROUND * ROOMS)
        return self._chance.choice(self._places(first + self._chance.randrange(VISITED)))

    def _places(self, number: int) -> list[tuple[str, str]]:
        """A room with each of its users."""
        return [(f"room-{number % ROOMS}", f"user-{(number + other) % USERS}") for other in range(3)]

    def _wish(self, room: str, user: str) -> dict[str, str]:
        return {"roomId": room, "username": user, "clientId": f"{user}-{self.opened}"}

    def _user(self) -> str:
        return f"user-{self._chance.randrange(USERS)}"

    def _token(self, user: str) -> str:
        if user not in self._tokens:
            claims = {"userId": user, "username": user, "role": "user", "exp": int(time.time()) + TWENTY_DAYS}
            self._tokens[user] = jwt.encode(claims, SECRET, algorithm="HS256")
        return self._tokens[user]

    def _request(self, method: str, path: str, user: str, body: bytes = b"") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self._token(user)}"]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def _caller(self, name: str) -> Caller:
        return Caller(self._url, name, role="service")


_HISTORY = "/api/rooms/history/messages?limit=200"


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The rise of the line that fits best (least squares)."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return over / sum((x - mean_x) ** 2 for x in xs)


async def gauges(url: str) -> dict[str, float]:
    """The gauges that are 0 when nobody is there."""
    caller = Caller(url, "observer")
    found = {name: await caller.metric(name) for name in GAUGES}
    caller.close()
    return found


async def soak(
    server: ServerProcess, seconds: float, streams: int, fill: int = FILLED, polls: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:  # fmt: skip
    """Soaks a server and returns when all that came has gone."""
    load = Soak(server.url, server.port, streams, random.Random(10))
    await load.fill(fill)
    if polls:
        await load.acquaint()
    memory: list[tuple[float, float]] = []
    watching = asyncio.create_task(_watch(server, memory, tell))
    await load.run(seconds, polls)
    watching.cancel()
    load.leave()
    last: dict[str, float] = {}

    async def all_gone() -> bool:
        last.update(await gauges(server.url))
        return not any(last.values())

    await _whether(eventually(all_gone, GONE))
    looked_at = [point for point in memory if point[0] >= SETTLING * seconds]
    return Outcome(memory, slope(looked_at) * 3600, last, load.opened, load.failed, load.slowest)


async def _whether(waited: Awaitable[None]) -> bool:
    try:
        await waited
    except TimeoutError:
        return False
    return True


async def _watch(server: ServerProcess, memory: list[tuple[float, float]], tell: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        passed = time.monotonic() - began
        memory.append((passed, server.memory() / (1 << 20)))
        if len(memory) % 30 == 1:
            count = (await gauges(server.url))["chatrooms_streams"]
            tell(f"{passed:6.0f} s  {memory[-1][1]:7.2f} MiB  {count:.0f} streams")
        await asyncio.sleep(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--streams", type=int, default=2000)
    asked = parser.parse_args()
    options = ("--message-rate=0", "--max-streams-per-user=0", "--reply-rate=0", "--heartbeat=5", "--ai-delay=0.02")
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder), *options) as server:
        outcome = asyncio.run(soak(server, asked.minutes * 60, asked.streams, tell=partial(print, flush=True)))
        tracebacks = server.tracebacks()
    print("\n".join(tracebacks))
    print(f"{outcome.opened} streams were opened, {outcome.failed} failures; the slowest post {outcome.slowest:.1f} s")
    print(f"memory grew by {outcome.slope:.2f} MiB an hour; the gauges in the end: {outcome.gauges}")
    return int(outcome.slope > MOST or any(outcome.gauges.values()) or bool(tracebacks))


if __name__ == "__main__":
    sys.exit(main())
