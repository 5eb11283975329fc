"""One who posts all the time, in a process of its own: `python -m benchmarks.drills.sender PORT ROOM`.

One message after another until its standard input ends; then one line of JSON: the list of
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


async def main(port: int, room: str) -> None:
    connection = Connection(cast(ServerProcess, SimpleNamespace(port=port)), "sender")
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    found: list[tuple[float, float, str, str]] = []
    while not told.done():
        key, began = f"sender-{len(found)}", time.monotonic()
        while (answer := await attempt(connection, room, key)) is None:  # noqa: ASYNC110 - it asks a server
            await asyncio.sleep(POLL)
        found.append((began, time.monotonic() - began, key, answer["id"]))
        await asyncio.sleep(PAUSE)
    print(json.dumps(found))


async def attempt(connection: Connection, room: str, key: str) -> Any:
    """The message as it was taken; None if there was no answer, or one that asks to try again."""
    try:
        body = {"message": key, "clientMessageId": key}
        answer = await connection.call("POST", f"/api/rooms/{room}/messages", body)
    except (OSError, EOFError):
        return None
    return answer.data if answer.status in (200, 201) else None


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
