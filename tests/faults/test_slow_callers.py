"""Callers that do not read their answer, or never finish their request."""

from __future__ import annotations

import os
from contextlib import suppress

from benchmarks.server_process import token
from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import Reader

CALLERS = 10
SMALL = 4096  # bytes of SO_RCVBUF


@within(60)
async def test_a_caller_that_does_not_read_its_answer_is_ended(serve: Serve) -> None:
    """A large answer that nobody takes holds its connection no longer than write-timeout."""
    server = serve("--write-timeout", "2")
    caller = Caller(server.url, "caller")
    await caller.fill("lobby", 0, 100, size=10_000)
    before = _connections(server.pid)
    request = f"GET /api/rooms/lobby/messages?limit=100&token={token('slow')} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    slow = [Reader.of_room(server.url, "lobby", "slow", receive_buffer=SMALL) for _ in range(CALLERS)]
    for reader in slow:
        await reader.dial()
        reader.write(request.encode())
    await eventually(lambda: _true(_connections(server.pid) == before + CALLERS))
    await eventually(lambda: _true(_connections(server.pid) <= before))
    for reader in slow:
        reader.cut()


def _connections(pid: int) -> int:
    folder, found = f"/proc/{pid}/fd", 0
    for number in os.listdir(folder):
        with suppress(FileNotFoundError):  # closed meanwhile
            found += os.readlink(f"{folder}/{number}").startswith("socket:")
    return found


async def _true(holds: bool) -> bool:
    return holds
