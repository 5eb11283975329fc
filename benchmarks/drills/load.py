"""The load of the drills: readers that come back as a browser does, and writers that repeat what got no answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from benchmarks.server_process import ServerProcess, token

POLL = 0.02  # seconds between two tries, and between two looks at something that cannot tell by itself
FIRST_RETRY = 1.0  # seconds, until the server has asked for another
LIMIT = 60.0  # seconds that anything awaited may take


class Refusal(Exception):
    """A server did something that it does not promise."""


class Answer(NamedTuple):
    status: int
    head: bytes
    data: Any


class Connection:
    """Calls to a server as one user over one connection, which is made anew after a failure."""

    def __init__(self, server: ServerProcess, user: str) -> None:
        self._server = server
        self._bearer = token(user)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: object = None) -> Answer:
        """One request. Raises OSError or EOFError when the connection fails."""
        sent = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self._bearer}"]
        request = "\r\n".join([*lines, f"Content-Length: {len(sent)}", "", ""]).encode() + sent
        try:
            async with asyncio.timeout(LIMIT):
                reader, writer = self._streams or await asyncio.open_connection("127.0.0.1", self._server.port)
                self._streams = reader, writer
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
                data = await reader.readexactly(length)
        except BaseException:
            self.close()
            raise
        if b"\r\nconnection: close" in head:
            self.close()
        return Answer(int(head.split()[1]), head, json.loads(data) if data else None)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def log_of(self, room: str) -> dict[str, str]:
        """The ids of all messages of a room, oldest first, with their client's ids."""
        path = f"/api/rooms/{quote(room)}/messages?limit=200"
        page = (await self.call("GET", path)).data
        if not page["messages"]:
            return {}
        epoch, messages, last = page["messages"][0]["id"].partition("-")[0], [], "0"
        while True:
            page = (await self.call("GET", f"{path}&after={epoch}-{last}")).data
            messages += page["messages"]
            if not page["hasMore"]:
                return {message["id"]: message["clientMessageId"] for message in messages}
            last = messages[-1]["id"].partition("-")[2]


@dataclass
class Ledger:
    """What writers were told: acknowledged messages by the client's id, with their room and id."""

    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)
    refused: int = 0  # 503 unavailable with Retry-After, as the API promises
    unanswered: int = 0
    last: float = 0.0  # when the last one was acknowledged
    longest_gap: float = 0.0  # seconds between two acknowledgements
    stopped: bool = False

    def acknowledge(self, key: str, room: str, id: str) -> None:
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self.last) if self.last else 0.0
        self.last = now
        self.acknowledged[key] = room, id

    async def grows(self, more: int) -> float:
        """Returns when that many more were acknowledged; says after how many seconds."""
        began = time.monotonic()
        await self.reaches(len(self.acknowledged) + more)
        return time.monotonic() - began

    async def reaches(self, count: int) -> None:
        """Returns when that many were acknowledged."""
        await until(lambda: len(self.acknowledged) >= count)


async def write(server: ServerProcess, room: str, name: str, ledger: Ledger, size: int = 100, pause: float = 0) -> None:
    """Posts one message after the other, each until it is acknowledged. Raises Refusal."""
    connection, count = Connection(server, name), 0
    while not ledger.stopped:
        key = f"{name}-{count}"
        try:
            answer = await connection.call(
                "POST", f"/api/rooms/{quote(room)}/messages", {"message": key.ljust(size, "."), "clientMessageId": key}
            )
        except (OSError, EOFError):
            ledger.unanswered += 1
            await asyncio.sleep(POLL)
            continue
        if answer.status == 503 and answer.data["code"] == "unavailable" and b"\r\nretry-after:" in answer.head:
            ledger.refused += 1
        elif answer.status == 503 and answer.data["code"] == "draining":
            pass
        elif answer.status in (200, 201):
            ledger.acknowledge(key, room, answer.data["id"])
            count += 1
        else:
            raise Refusal(f"{answer.status} {answer.data}")
        await asyncio.sleep(pause if answer.status < 300 else POLL)
    connection.close()


@lru_cache(maxsize=512)
def parse(blocks: bytes) -> tuple[tuple[bytes, str, float], ...]:
    """The type, id and `retry:` (seconds) of each event; many readers get the same bytes, parsed once."""
    found = []
    for block in blocks.split(b"\n\n"):
        fields = dict(line.partition(b": ")[::2] for line in block.split(b"\n"))
        found.append(
            (fields.get(b"event", b""), fields.get(b"id", b"").decode(), int(fields.get(b"retry", b"0")) / 1e3)
        )
    return tuple(found)


class Follower(asyncio.Protocol):
    """Reads a room for good: after a drop it waits as long as the server last asked for, and resumes after its last id.

    ids          of all messages that came, in their order
    connections  how often it was welcomed, the last time at `welcomed_at`
    told         whether the last connection ended with `closing`
    """

    def __init__(self, servers: Sequence[ServerProcess], room: str, name: str) -> None:
        self._servers = servers
        self._query = urlencode({"roomId": room, "username": name, "clientId": name, "token": token(name)})
        self._transport: asyncio.Transport | None = None
        self._ended: asyncio.Future[None] | None = None
        self._head = self._rest = b""
        self._position = ""
        self._retry = FIRST_RETRY
        self.room = room
        self.ids: list[str] = []
        self.connections = 0
        self.welcomed_at = 0.0
        self.told = self.here = False
        self.task = asyncio.create_task(self._follow())

    def leave(self) -> None:
        self.task.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _follow(self) -> None:
        loop, tries = asyncio.get_running_loop(), 0
        while True:
            self._ended = loop.create_future()
            port = self._servers[tries % len(self._servers)].port
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", port)
                await self._ended
            except OSError:
                pass
            tries += 1
            await asyncio.sleep(self._retry)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._head, self._rest, self.told = transport, b"", b"", False
        resume = f"Last-Event-ID: {self._position}\r\n" if self._position else ""
        transport.write(f"GET /events?{self._query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{resume}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._head:
            self._head, _, data = data.rpartition(b"\r\n\r\n") if b"\r\n\r\n" in data else (b"", b"", data)
        if self._head:
            blocks, blank, data = data.rpartition(b"\n\n")
            for type, id, retry in parse(blocks) if blank else ():
                self._take(type, id, retry)
        self._rest = data

    def _take(self, type: bytes, id: str, retry: float) -> None:
        self._position = id or self._position
        self._retry = retry or self._retry
        if type == b"room-message":
            self.ids.append(id)
        elif type == b"system":
            self.connections += 1
            self.welcomed_at = time.monotonic()
            self.here = True
        elif type == b"closing":
            self.told = True

    def connection_lost(self, error: Exception | None) -> None:
        self.here = False
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


class Losses(NamedTuple):
    """What was acknowledged but is not in the log, what is there beyond that, and readers that saw something else."""

    acknowledged: int
    lost: int
    doubled: int
    astray: int

    @property
    def none(self) -> bool:
        return not (self.lost or self.doubled or self.astray)

    def __str__(self) -> str:
        return (
            f"{self.lost} of {self.acknowledged:,} acknowledged lost, {self.doubled} doubled, "
            f"{self.astray or 'no'} reader{'' if self.astray == 1 else 's'} with a gap or repeat"
        )


async def losses(server: ServerProcess, ledger: Ledger, followers: Iterable[Follower]) -> Losses:
    """Compares what writers were told with the logs, and these with what the readers got, once they have the ends."""
    followers, connection = list(followers), Connection(server, "auditor")
    rooms = {follower.room for follower in followers} | {room for room, _ in ledger.acknowledged.values()}
    logs = {room: await connection.log_of(room) for room in rooms}
    connection.close()
    ends = {room: next(reversed(log), None) for room, log in logs.items()}
    try:
        await until(lambda: all(not ends[f.room] or f.ids[-1:] == [ends[f.room]] for f in followers))
    except TimeoutError:
        pass  # they will be counted
    lost = sum(logs[room].get(id) != key for key, (room, id) in ledger.acknowledged.items())
    # Each message was said until it was acknowledged, so there is nothing else.
    beyond = sum(len(log) for log in logs.values()) - (len(ledger.acknowledged) - lost)
    lists = {room: list(log) for room, log in logs.items()}
    astray = sum(follower.ids != lists[follower.room] for follower in followers)
    return Losses(len(ledger.acknowledged), lost, beyond, astray)


async def gather(servers: Sequence[ServerProcess], rooms: Sequence[str], count: int) -> list[Follower]:
    """That many readers, over the rooms in turn; each begins with a different server. Returns when all are there."""
    followers: list[Follower] = []
    for n in range(count):
        turn = n % len(servers)
        followers.append(Follower([*servers[turn:], *servers[:turn]], rooms[n % len(rooms)], f"reader-{n}"))
        if n % 100 == 99:  # not more at once than wait in the server's backlog, or some start with a refusal
            await until(lambda: all(follower.here for follower in followers[-100:]))
    await until(lambda: all(follower.here for follower in followers))
    return followers


async def until(holds: Callable[[], bool], limit: float = LIMIT) -> None:
    """Returns when the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(limit):
        while not holds():  # noqa: ASYNC110 - many tasks change it
            await asyncio.sleep(POLL)
