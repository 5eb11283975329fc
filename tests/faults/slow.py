"""A thousand sockets that never finish what they begin, and an honest user meanwhile.

`python -m tests.faults.slow` starts a server, attacks it and prints what the honest user saw.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.server_process import ServerProcess
from tests.helpers.chat import Caller

SOCKETS = 1000  # of each kind
CUT_OFF = 15.0  # seconds after which none may be open
DRIP = 1.0  # seconds between two bytes
PACE = 0.02  # seconds between two posts of the honest user

HEAD = b"GET /api/rooms HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST /api/signin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{"


class Outcome(NamedTuple):
    """For how long the slow sockets lived, and how long the honest user's posts took, in seconds."""

    lives: list[float]
    posts: list[float]


async def attack(url: str, port: int, sockets: int = SOCKETS) -> Outcome:
    """Opens that many sockets of each kind and returns when the server has cut all of them."""
    over = asyncio.Event()
    posting = asyncio.create_task(_post(url, over))
    lives = await asyncio.gather(*(_drip(port, begin) for begin in (HEAD, BODY) for _ in range(sockets)))
    over.set()
    return Outcome(list(lives), await posting)


def quantile(values: list[float], part: float) -> float:
    """The smallest value that this part of the values do not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


async def _drip(port: int, begin: bytes) -> float:
    """Sends a beginning, then a byte now and then, until the server hangs up; returns after how long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    try:
        writer.write(begin)
        while True:
            try:
                await asyncio.wait_for(reader.read(), DRIP)
                return time.monotonic() - started
            except TimeoutError:
                writer.write(b"a")
            except OSError:
                return time.monotonic() - started
    finally:
        writer.transport.abort()


async def _post(url: str, over: asyncio.Event) -> list[float]:
    """Says something every now and then; how long each took."""
    caller, took = Caller(url, "honest"), []
    while not over.is_set():
        started = time.monotonic()
        answer = await caller.send("lobby", "hello")
        assert answer.status == 201, answer
        took.append(time.monotonic() - started)
        try:
            await asyncio.wait_for(over.wait(), PACE)
        except TimeoutError:
            pass
    caller.close()
    return took


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder), "--message-rate=0") as server,
    ):
        outcome = asyncio.run(attack(server.url, server.port))
    print(f"{len(outcome.lives)} slow sockets, cut after {min(outcome.lives):.1f} to {max(outcome.lives):.1f} s")
    p50, p99 = (quantile(outcome.posts, part) * 1000 for part in (0.5, 0.99))
    print(f"{len(outcome.posts)} posts of the honest user: p50 {p50:.1f} ms, p99 {p99:.1f} ms,", end=" ")
    print(f"longest {max(outcome.posts) * 1000:.1f} ms")


if __name__ == "__main__":
    main()
