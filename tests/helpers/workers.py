"""A server of several workers, and calls and streams that reach the one a test wants."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.server_process import ServerProcess, token
from tests.helpers.chat import Caller, Streams
from tests.helpers.reader import Reader, request_bytes

READY = re.compile(r"\[worker ([0-9]+)\] .*: ready \(process ([0-9]+)\)")
PROBE = request_bytes("GET", "/healthz", {"Host": "127.0.0.1"}, b"")


class WorkersProcess(ServerProcess):
    """`python run.py --workers N`."""

    def pids(self) -> dict[int, int]:
        """The process of each worker that became ready last under its number."""
        return {int(found[1]): int(found[2]) for line in list(self.log) if (found := READY.search(line))}

    async def reach(self, number: int, dial: Callable[[], Awaitable[Streams]]) -> Streams:
        """A connection that this worker has accepted: others are hung up, until the kernel picks it."""
        while True:
            reader, writer = await dial()
            writer.write(PROBE)
            await reader.readuntil(b"\r\n\r\n{")  # accepted, or it could not answer
            await reader.readuntil(b"}")
            if self._holds(self.pids()[number], writer.get_extra_info("sockname")[1]):
                return reader, writer
            writer.transport.abort()

    def _holds(self, pid: int, client_port: int) -> bool:
        """Whether a process holds the server's end of the connection from that port."""
        ends = (f":{self.port:04X}", f":{client_port:04X}")
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {row[9] for row in rows if (row[1][-5:], row[2][-5:]) == ends}
        return any(_target(link) in {f"socket:[{inode}]" for inode in inodes} for link in _links(pid))


class WorkerCaller(Caller):
    """Calls to one worker."""

    def __init__(self, server: WorkersProcess, number: int, user: str = "alice", role: str = "user") -> None:
        super().__init__(server.url, user, role=role)
        self._server = server
        self._number = number

    async def _connect(self) -> Streams:
        return await self._server.reach(self._number, super()._connect)


class WorkerReader(Reader):
    """Reads streams of one worker, and of another after `turn`."""

    _server: WorkersProcess | None = None
    _number = 0

    @classmethod
    def at(cls, server: WorkersProcess, number: int, room: str, user_id: str) -> WorkerReader:
        client_id = f"{user_id}-{number}"
        query = {"roomId": room, "username": user_id, "clientId": client_id, "token": token(user_id)}
        self = cls(server.url, "/events", query)
        self._server, self._number = server, number
        return self

    def turn(self, number: int) -> None:
        """Connects to that worker from now on."""
        self._number = number

    async def dial(self) -> None:
        async def connection() -> Streams:
            await super(WorkerReader, self).dial()
            assert self._streams is not None
            return self._streams

        assert self._server is not None
        await self._server.reach(self._number, connection)


async def opened(server: WorkersProcess, number: int, user_id: str, room: str = "lobby") -> WorkerReader:
    """A reader of a room at a worker, whose `system` has come."""
    reader = WorkerReader.at(server, number, room, user_id)
    await reader.connect()
    await reader.collect(lambda r: bool(r.of_type("system")))
    return reader


async def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return "\nState:\tZ" not in await asyncio.to_thread(Path(f"/proc/{pid}/status").read_text)
    except (FileNotFoundError, ProcessLookupError):
        return False


def _links(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
