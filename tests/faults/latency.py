"""How long posts in a room take, measured in a process of its own: `python -m tests.faults.latency URL`.

One after another, until its standard input ends; then one line of figures.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.helpers.chat import Caller

PAUSE = 0.01  # seconds between two posts


async def main(url: str) -> None:
    caller, found = Caller(url, "writer"), []
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not told.done():
        began = time.monotonic()
        assert (await caller.send("lobby", "hello")).status == 201
        found.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(PAUSE)
    found.sort()
    print(f"p50 {found[len(found) // 2]:.1f} ms, p99 {found[int(len(found) * 0.99)]:.1f} ms of {len(found)}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
