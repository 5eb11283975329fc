"""kill -9 under the Python client: its user notices nothing."""

from __future__ import annotations

import asyncio

from benchmarks.server_process import ServerProcess, token
from chatrooms.client import Client
from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, within

KILLS = 10
WRITERS = 4
POSTS = 400


class RemoteReply:
    """The messages of a room as its reader got them."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.changed = asyncio.Condition()

    async def listen(self, url: str, user: str) -> None:
        """Reads until the last message."""
        async with Client(url, token(user)) as client:
            async for event in client.room("lobby", user, history=200):
                if event.type == "room-message":
                    async with self.changed:
                        self.ids.append(event.id)
                        self.texts.append(event.data["message"])
                        self.changed.notify_all()
                    if event.data["message"] == "the end":
                        return

    async def reach(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.ids) >= count)


@within(110)
async def test_ten_kills_lose_and_repeat_nothing(serve: Serve) -> None:
    """Every message that was sent is heard once, in the order of the log, by every reader."""
    server = serve()
    readers = [RemoteReply(), RemoteReply()]
    async with asyncio.TaskGroup() as group:
        for number, heard in enumerate(readers):
            group.create_task(heard.listen(server.url, f"reader-{number}"))
        async with asyncio.TaskGroup() as writing:
            writing.create_task(_kill(server, readers[0]))
            for number in range(WRITERS):
                writing.create_task(_write(server.url, f"writer-{number}"))
        async with Client(server.url, token("writer-0")) as client:
            await client.send("lobby", "the end")
    log = await Caller(server.url, "auditor").log_of("lobby")
    said = [f"writer-{number} {count}" for number in range(WRITERS) for count in range(POSTS // WRITERS)]
    for heard in readers:
        assert heard.ids == [message["id"] for message in log]
        assert sorted(heard.texts[:-1]) == sorted(said)
        for number in range(WRITERS):  # each writer's in the order in which it wrote them
            mine = [text for text in heard.texts if text.startswith(f"writer-{number} ")]
            assert mine == [f"writer-{number} {count}" for count in range(POSTS // WRITERS)]


async def _write(url: str, user: str) -> None:
    async with Client(url, token(user)) as client:
        for count in range(POSTS // WRITERS):
            await client.send("lobby", f"{user} {count}")


async def _kill(server: ServerProcess, heard: RemoteReply) -> None:
    for kill in range(1, KILLS + 1):
        await heard.reach(kill * (POSTS - 20) // KILLS)
        server.kill()
        await asyncio.to_thread(server.start)
