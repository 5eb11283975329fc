"""Real clients read personal streams, named and unnamed, and notifications: cut off, they resume."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx
import httpx_sse
import pytest

from benchmarks.server_process import ServerProcess, token
from chatrooms.sse import Parser
from tests.clients import readers
from tests.clients.proxy import Proxy
from tests.helpers.chat import Caller, eventually, within

HERE = readers.HERE
PACKAGES = ("eventsource", "event-source-polyfill")
TYPES = ("room-message", "note", "message")  # the events that are listened to

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
needs_packages = pytest.mark.skipif(
    not shutil.which("node") or not all((HERE / "node_modules" / name).is_dir() for name in PACKAGES),
    reason="node and npm install --prefix tests/clients are needed",
)

Hear = Callable[[str, str], None]  # takes the name and the data of an event


class Way(NamedTuple):
    """How a stream is opened: with the token in a header, or in the URL."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


Client = Callable[[Way, Hear], Coroutine[Any, Any, None]]


async def curl(way: Way, hear: Hear) -> None:
    """curl -N, begun again with the last id by hand."""
    position = ""
    while True:
        headers = {**way.headers, **({"Last-Event-ID": position} if position else {})}
        options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        process = await asyncio.create_subprocess_exec("curl", "-sN", *options, way.url, stdout=asyncio.subprocess.PIPE)
        parser = Parser()
        try:
            assert process.stdout is not None
            while chunk := await process.stdout.read(1 << 16):
                for event in parser.feed(chunk):
                    position = event.last_event_id or position
                    hear(event.type, event.data)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await asyncio.sleep((parser.retry or 1000) / 1000)


async def python_httpx_sse(way: Way, hear: Hear) -> None:
    """httpx-sse, which leaves reconnecting to its user."""
    position, retry = "", 1000
    async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=None), trust_env=False) as client:
        while True:
            headers = {**way.headers, **({"Last-Event-ID": position} if position else {})}
            with suppress(httpx.TransportError):
                async with httpx_sse.aconnect_sse(client, "GET", way.url, headers=headers) as source:
                    async for event in source.aiter_sse():
                        position, retry = event.id or position, event.retry or retry
                        hear(event.event, event.data)
            await asyncio.sleep(retry / 1000)


def npm(package: str) -> Client:
    """A package in Node, which reconnects by itself."""

    async def client(way: Way, hear: Hear) -> None:
        process = await asyncio.create_subprocess_exec(
            "node", HERE / "own_stream.mjs", package, *way, *TYPES, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                event = json.loads(line)
                hear(event["type"], event["data"])
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        raise RuntimeError(f"{package} ended")

    return client


class RemoteReply:
    """What one stream gave its user, each as `said N` or `noted N`."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def take(self, type: str, text: str) -> None:
        data = json.loads(text)
        type = data["type"] if type == "message" else type
        if type in ("room-message", "new_message"):
            self.all.append("said " + (data["message"]["message"] if type == "new_message" else data["message"]))
        elif type == "note":
            self.all.append(f"noted {data['data']}")


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(curl, id="curl", marks=needs_curl),
        pytest.param(python_httpx_sse, id="httpx-sse"),
        *(pytest.param(npm(name), id=f"npm {name}", marks=needs_packages) for name in PACKAGES),
    ],
)
@within(90)
async def test_own_streams_are_resumed_by_real_clients(client: Client, tmp_path: Path) -> None:
    """Over a cut during which things happen: all of it once, in order, in each of the three forms."""
    with ServerProcess(tmp_path / "data") as server:
        async with Proxy(server.port) as proxy:
            at, mine = f"http://127.0.0.1:{proxy.port}", token("reader")
            ways = {
                "named": Way(f"{at}/events", mine),
                "unnamed": Way(f"{at}/events?{urlencode({'access_token': mine})}", ""),
                "notifications": Way(f"{at}/api/clients/reader/sse", mine),
            }
            heard = {name: RemoteReply() for name in ways}
            reader, robot = Caller(server.url, "reader"), Caller(server.url, "robot", role="service")
            assert (await reader.call("PUT", "/api/rooms/tea/membership")).status == 204
            async with asyncio.TaskGroup() as group:
                reading = [group.create_task(client(way, heard[name].take)) for name, way in ways.items()]
                await eventually(lambda: _all_there(robot, len(ways)))
                await _happen(robot, range(3))
                await eventually(lambda: _has_come(heard, "noted 2"))
                proxy.cut()
                await _happen(robot, range(3, 6))
                await eventually(lambda: _has_come(heard, "noted 5"))
                for task in reading:
                    task.cancel()
    both = [f"{what} {n}" for n in range(6) for what in ("said", "noted")]
    assert heard["named"].all == heard["unnamed"].all == both
    assert heard["notifications"].all == both[1::2]
    assert not server.tracebacks()


async def _all_there(caller: Caller, streams: int) -> bool:
    return await caller.metric("chatrooms_streams") == streams


async def _has_come(heard: dict[str, RemoteReply], last: str) -> bool:
    return all(last in one.all for one in heard.values())


async def _happen(robot: Caller, numbers: range) -> None:
    """A message and a notification for each number."""
    for number in numbers:
        assert (await robot.send("tea", str(number))).status == 201
        body = {"userId": "reader", "type": "note", "data": number}
        assert (await robot.call("POST", "/api/notifications", body)).status == 201
