"""Posts all the time, in a process of its own: `python -m benchmarks.drills.sender PORT ROOM [COUNT]`.

COUNT senders post one message after another until standard input ends; then one line of JSON: the list of
[began, seconds, clientMessageId, id], of each message from its first try until it was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.drills.load import POLL, Connection
from benchmarks.server_process import ServerProcess

PAUSE = 0.01  # seconds between two posts


Post = tuple[float, float, str, str]


async def main(port: int, room: str, count: int) -> None:
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    found = await asyncio.gather(*(send(port, room, f"sender-{n}", told) for n in range(count)))
    print(json.dumps([post for posts in found for post in posts]))


async def send(port: int, room: str, name: str, told: asyncio.Task[str]) -> list[Post]:
    """What one of them posted until it was told to stop."""
    connection = Connection(cast(ServerProcess, SimpleNamespace(port=port)), name)
    found: list[Post] = []
    while not told.done():
        key, began = f"{name}-{len(found)}", time.monotonic()
        while (answer := await attempt(connection, room, key)) is None:  # noqa: ASYNC110 - it asks a server
            await asyncio.sleep(POLL)
        found.append((began, time.monotonic() - began, key, answer["id"]))
        await asyncio.sleep(PAUSE)
    return found


async def attempt(connection: Connection, room: str, key: str) -> Any:
    """The message as it was taken; None if there was no answer, or one that asks to try again."""
    try:
        body = {"message": key, "clientMessageId": key}
        answer = await connection.call("POST", f"/api/rooms/{room}/messages", body)
    except (OSError, EOFError):
        return None
    return answer.data if answer.status in (200, 201) else None


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1))
