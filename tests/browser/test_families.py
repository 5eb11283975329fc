"""Streams of all families over the connection that the tabs of a browser share."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import jwt
import pytest

from benchmarks.server_process import SECRET, ServerProcess
from tests.browser.chromium import needs_chromium, server_and_tabs
from tests.browser.crowd import MOST_ON_ONE, POLLING, SHARED
from tests.browser.families import FAMILIES, Reader, check_heard
from tests.browser.proxies import HOLDS_ALL, NGINX, nginx
from tests.helpers.chat import Caller, eventually, within

TABS = 10
OPTIONS = ("--message-rate", "0")

pytestmark = needs_chromium


@within(180)
async def test_ten_tabs_with_five_streams_each_share_few_connections(tmp_path: Path) -> None:
    """Over plain HTTP/1.1; the tab that carries all of them crashes, and nothing is lost, doubled or out of order."""
    async with server_and_tabs(tmp_path, *OPTIONS) as (server, tools):
        readers = [await Reader.enters(tools, server.url, f"user{number}") for number in range(TABS)]
        for reader in readers:
            assert await reader.states() == [SHARED] * len(FAMILIES), reader.name
        assert await _carried(server, TABS)
        for _ in range(2):
            await asyncio.gather(*(reader.speak() for reader in readers))
        await check_heard(readers, _all_said(readers))

        (leader,) = [reader for reader in readers if await reader.leads()]
        others = [reader for reader in readers if reader is not leader]
        speaking = asyncio.gather(*(_speak(reader, 4) for reader in others))
        await leader.tab.crash()
        await speaking
        await check_heard(others, _all_said(readers))
        await eventually(lambda: _carried(server, len(others)))


@within(60)
async def test_eight_streams_of_one_tab_share_a_connection(tmp_path: Path) -> None:
    """More than the six connections that a browser opens; a task that is complete ends its own stream only."""
    async with server_and_tabs(tmp_path, *OPTIONS) as (server, tools):
        ada = await Reader.enters(tools, server.url, "ada")
        await ada.tab.evaluate("""(async () => {
            listen("hall", chat.room("hall", { username: "ada" }));
            listen("another session", chat.session("another"));
            window.second = await newTask();
            listen("another task", chat.watchTask(second));
        })()""")
        await eventually(ada.is_open)
        assert await ada.states() == [SHARED] * 8
        assert await _gauges(server) == {"streams": 8, "shared_connections": 1}
        await ada.speak()
        await ada.tab.evaluate("change(second, { state: 'running', progress: 50 })")
        await ada.tab.evaluate("change(second, { state: 'completed' })")
        await eventually(lambda: _is_complete(ada))
        assert await ada.heard("another task") == [0, 50, 100]
        await ada.speak()
        await check_heard([ada], ada.said)
        assert (await ada.states()).count(SHARED) == 7
        assert await _gauges(server) == {"streams": 7, "shared_connections": 1}


@within(60)
async def test_streams_go_on_with_another_token(tmp_path: Path) -> None:
    """When theirs has expired, each from its position; the connection stays."""
    claims = {"userId": "ada", "username": "ada", "role": "user", "exp": int(time.time()) + 5}
    async with server_and_tabs(tmp_path, *OPTIONS) as (server, tools):
        bob = await Reader.enters(tools, server.url, "bob")
        ada = await Reader.enters(tools, server.url, "ada", own=jwt.encode(claims, SECRET, algorithm="HS256"))
        await ada.speak()
        await eventually(lambda: _renews(ada))
        await ada.speak()
        await check_heard([ada, bob], ada.said)
        assert await ada.states() == [SHARED] * len(FAMILIES)
        await eventually(lambda: _carried(server, 2))


@within(60)
async def test_a_reply_is_taken_up_over_the_shared_connection(tmp_path: Path) -> None:
    """By another tab, while the one that asked still reads it over its own request."""
    async with server_and_tabs(tmp_path, *OPTIONS, "--ai-delay", "0.2") as (server, tools):
        asking, other = [await Reader.enters(tools, server.url, "ada") for _ in range(2)]
        reply_id = await asking.tab.evaluate("""(async () => {
            window.reply = await chat.streamReply({ message: "Hello there" });
            window.parts = reply[Symbol.asyncIterator]();
            await parts.next();
            return reply.messageId;
        })()""")
        whole = await other.tab.evaluate(f"chat.streamReply({{messageId: '{reply_id}'}}).then((it) => it.text())")
        assert "Hello there" in whole
        fetched = 'performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname)'
        assert not [path for path in await other.tab.evaluate(fetched) if path.startswith("/api/chat")]
        assert await _gauges(server) == {"streams": 2 * len(FAMILIES), "shared_connections": 1}


@pytest.mark.skipif(NGINX is None, reason="there is no nginx")
@within(90)
async def test_all_families_poll_where_streams_are_held_back(tmp_path: Path) -> None:
    """Each by the call that opens it alone, and from where it is."""
    limits = {"firstByteMs": 1000, "heldMs": 60000}
    async with (
        server_and_tabs(tmp_path, *OPTIONS) as (server, tools),
        nginx(server.port, tmp_path / "nginx", HOLDS_ALL) as url,
    ):
        ada = await Reader.enters(tools, url, "ada", limits=limits)
        assert await ada.states() == [POLLING] * len(FAMILIES)
        for _ in range(2):
            await ada.speak()
        await check_heard([ada], ada.said)
        await ada.tab.evaluate("change(taskId, { state: 'completed' })")
        await eventually(lambda: _closes(ada, "task"))


def _all_said(readers: list[Reader]) -> list[str]:
    return [text for reader in readers for text in reader.said]


async def _speak(reader: Reader, times: int) -> None:
    for _ in range(times):
        await reader.speak()


async def _is_complete(reader: Reader) -> bool:
    return {"state": "closed", "reason": "complete"} in await reader.states()


async def _renews(reader: Reader) -> bool:
    return bool(await reader.tab.evaluate("isRenewed()")) and await reader.is_open()


async def _closes(reader: Reader, label: str) -> bool:
    return bool(await reader.tab.evaluate(f"streams[{label!r}].state.reason === 'complete'"))


async def _carried(server: ServerProcess, tabs: int) -> bool:
    streams = tabs * len(FAMILIES)
    return await _gauges(server) == {"streams": streams, "shared_connections": -(-streams // MOST_ON_ONE)}


async def _gauges(server: ServerProcess) -> dict[str, float]:
    """How many streams the server has, and how many connections carry several."""
    caller = Caller(server.url, "admin", role="admin")
    try:
        return {name: await caller.metric(f"chatrooms_{name}") for name in ("streams", "shared_connections")}
    finally:
        caller.close()
