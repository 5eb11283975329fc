"""Peers that mean harm: slow ones, too many of them."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path

from benchmarks.server_process import ServerProcess
from tests.faults import slow
from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import Reader

DESCRIPTORS = 80  # that the starved server may have
CROWD = 200
WINDOW = 2.0  # seconds over which processor time and log lines are counted
WAITING = "new connections wait"


def processor_time(server: ServerProcess) -> float:
    """Seconds of processor time that a server has used."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@within(90)
async def test_slow_heads_and_bodies_are_cut_off(serve: Serve) -> None:
    """A thousand of each, a byte a second: all are gone within 15 s, and an honest user never fails."""
    server = serve()
    outcome = await slow.attack(server.url, server.port)
    assert len(outcome.lives) == 2 * slow.SOCKETS
    assert max(outcome.lives) <= slow.CUT_OFF
    assert len(outcome.posts) > 100


@within(60)
async def test_a_connection_that_idles_between_requests_may_stay(serve: Serve) -> None:
    """Keep-alive is no attack; but the next head must come as fast as the first."""
    server = serve()
    async with asyncio.timeout(40):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        idle = Caller(server.url, "idle")
        await idle.send("lobby", "first")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHo")
        await reader.readuntil(b'"ok"}')
        started = time.monotonic()
        assert await reader.read() == b""
        assert time.monotonic() - started <= slow.CUT_OFF
        writer.close()
        assert (await idle.send("lobby", "second, on the same connection")).status == 201
        idle.close()


@within(90)
async def test_descriptors_exhausted(serve: Serve) -> None:
    """Streams go on, the loop does not spin, the log is not flooded, and it recovers by itself."""
    server = serve("--heartbeat=1")
    caller, reader = Caller(server.url, "caller"), Reader.of_room(server.url, "lobby", "reader")
    await reader.connect()
    await caller.send("lobby", "before")
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(CROWD)]

    async def starved() -> bool:
        return any(WAITING in line for line in server.log)

    await eventually(starved)
    used, lines, started = processor_time(server), len(server.log), time.monotonic()
    while time.monotonic() - started < WINDOW:
        await reader.read()  # a heartbeat a second: the stream lives
    assert (processor_time(server) - used) / WINDOW <= 0.2
    assert (len(server.log) - lines) / WINDOW <= 10
    assert (await caller.send("lobby", "meanwhile")).status == 201
    assert (await caller.call("GET", "/")).status == 200  # files can still be opened
    await reader.collect(lambda reader: any(m["message"] == "meanwhile" for m in reader.posts))
    for _, writer in crowd:
        writer.transport.abort()
    late = Caller(server.url, "late")
    assert (await late.send("lobby", "after")).status == 201
    await reader.collect(lambda reader: any(m["message"] == "after" for m in reader.posts))
    assert reader.connections == 1
    caller.close()
    late.close()
    reader.cut()
