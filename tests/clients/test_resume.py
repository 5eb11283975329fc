"""Every client hands its user each message once, whatever happens to its connection and to the server."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from benchmarks.server_process import ServerProcess, token
from tests.clients import readers
from tests.clients.proxy import Proxy
from tests.clients.readers import Hear
from tests.helpers.chat import Answer, Caller, eventually, within

Client = Callable[[str, Hear], Coroutine[Any, Any, None]]

BURST = 200  # messages, in the midst of which a connection is cut

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
needs_package = pytest.mark.skipif(
    not all((readers.HERE / "node_modules" / name).is_dir() for name in ("eventsource", "event-source-polyfill")),
    reason="npm install --prefix tests/clients is needed",
)
needs_chromium = pytest.mark.skipif(not readers.CHROMIUM, reason="there is no Chromium")


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(readers.curl, id="curl", marks=needs_curl),
        pytest.param(readers.npm_eventsource, id="npm eventsource", marks=[needs_node, needs_package]),
        pytest.param(readers.node_fetch, id="node fetch", marks=needs_node),
        pytest.param(readers.python_httpx_sse, id="httpx-sse"),
        pytest.param(readers.chatrooms_client, id="chatrooms.client"),
        pytest.param(readers.chromium, id="Chromium", marks=needs_chromium),
    ],
)
@within(90)
async def test_every_message_comes_once_over_cuts_and_restarts(client: Client, tmp_path: Path) -> None:
    """Over a cut, a cut within a burst, a drain with a restart and a kill -9: nothing lacks, nothing comes twice."""
    await play(Scene, client, tmp_path)


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(readers.curl, id="curl", marks=needs_curl),
        pytest.param(readers.node_fetch, id="node fetch", marks=needs_node),
        pytest.param(readers.python_httpx_sse, id="httpx-sse"),
        pytest.param(readers.chromium, id="Chromium", marks=needs_chromium),
    ],
)
@within(90)
async def test_every_message_of_a_compressed_stream_comes_once(client: Client, tmp_path: Path) -> None:
    """To each client that asks for gzip by itself, over the same cuts and restarts, each before the next is sent."""
    await play(CompressedScene, client, tmp_path, "--compress")


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(readers.curl, id="curl", marks=needs_curl),
        pytest.param(readers.npm_eventsource, id="npm eventsource", marks=[needs_node, needs_package]),
        pytest.param(readers.npm_polyfill, id="npm event-source-polyfill", marks=[needs_node, needs_package]),
        pytest.param(readers.python_httpx_sse, id="httpx-sse"),
    ],
)
@within(90)
async def test_every_message_of_a_session_comes_once(client: Client, tmp_path: Path) -> None:
    """Unnamed events over cuts, also for a client that resumes by `?lastEventId=` alone."""
    await play(SessionScene, client, tmp_path)


async def play(kind: type[Scene], client: Client, tmp_path: Path, *options: str) -> None:
    """A client in a scene."""
    with ServerProcess(tmp_path / "data", "--message-rate", "0", "--drain", "0.2", *options) as server:
        async with Proxy(server.port) as proxy:
            scene = kind(server, proxy)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(client(scene.url, scene.heard.append))
                await scene.play()
                reading.cancel()
        assert not server.tracebacks(), server.tracebacks()


class Scene:
    """What happens to a client, and what it should have heard at each point."""

    def __init__(self, server: ServerProcess, proxy: Proxy) -> None:
        self.url = f"http://127.0.0.1:{proxy.port}{self._path()}"
        self.heard: list[str] = []
        self._server = server
        self._proxy = proxy
        self._writer = Caller(server.url, "writer")
        self._said = 0

    def _path(self) -> str:
        query = {"roomId": "lobby", "username": "reader", "clientId": "reader", "token": token("reader")}
        return f"/events?{urlencode(query)}"

    async def _post(self, text: str) -> Answer:
        return await self._writer.send("lobby", text)

    async def play(self) -> None:
        await self._cut()
        await self._restart()

    async def _cut(self) -> None:
        """Cuts between messages, and within a burst of them."""
        await eventually(self._is_there)
        await self._say(5)
        await self._hears_all()
        self._proxy.cut()
        await self._say(5)
        await self._hears_all()

        burst = asyncio.create_task(self._say(BURST))
        heard = len(self.heard)
        await eventually(lambda: _true(len(self.heard) > heard + BURST // 4))
        self._proxy.cut()
        await burst
        await self._hears_all()

    async def _restart(self) -> None:
        """A drain with a restart, and a kill -9."""
        await self._say(5)
        assert await asyncio.to_thread(self._server.terminate) == 0
        await asyncio.to_thread(self._server.start)
        await self._say(5)
        await self._hears_all()

        await self._say(5)
        self._server.kill()
        await asyncio.to_thread(self._server.start)
        await self._say(5)
        await self._hears_all()

    async def _is_there(self) -> bool:
        return await self._writer.metric("chatrooms_streams") == 1

    async def _say(self, count: int) -> None:
        self._writer.close()  # the server may be another one by now
        for _ in range(count):
            answer = await self._post(f"m{self._said}")
            assert answer.status == 201, answer
            self._said += 1

    async def _hears_all(self) -> None:
        """Waits for what is said now; all before it must have come, once and in order."""
        said = f"m{self._said}"
        await self._say(1)
        await eventually(lambda: _true(said in self.heard))
        assert self.heard == [f"m{n}" for n in range(self._said)]


class CompressedScene(Scene):
    """Messages one by one first: none waits in the decoder for the next."""

    async def play(self) -> None:
        await eventually(self._is_there)
        for _ in range(10):
            await self._hears_all()
        assert b"Content-Encoding: gzip" in self._proxy.came
        await super().play()


class SessionScene(Scene):
    """A message session whose reader is cut off."""

    async def play(self) -> None:
        await self._cut()

    def _path(self) -> str:
        return f"/api/sse/messages?{urlencode({'sessionId': '42', 'token': token('writer')})}"

    async def _post(self, text: str) -> Answer:
        return await self._writer.call("POST", "/api/messages", {"sessionId": 42, "content": text})


async def _true(holds: bool) -> bool:
    return holds
