"""Clients that people really use read a task: dropped, resumed, and stopped by its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import httpx_sse
import pytest
from playwright.async_api import async_playwright

from benchmarks.server_process import ServerProcess, token
from chatrooms.sse import Parser
from tests.clients import readers
from tests.clients.proxy import Proxy
from tests.clients.test_resume import needs_chromium, needs_curl, needs_node
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import POLL

Hear = Callable[[dict[str, Any]], None]
Client = Callable[[str, Hear], Coroutine[Any, Any, None]]

CLOSED = {"type": "closed"}

needs_packages = pytest.mark.skipif(
    not (readers.HERE / "node_modules" / "event-source-polyfill").is_dir(),
    reason="npm install --prefix tests/clients is needed",
)


async def curl(url: str, hear: Hear) -> None:
    """curl -N, begun again with the last id until it is told 204."""
    position, status = "", "200"
    while status != "204":
        process = await asyncio.create_subprocess_exec(
            "curl", "-sN", "-H", f"Last-Event-ID: {position}", "-w", "\nstatus: %{http_code}\n", url,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        parser, body = Parser(), b""
        assert process.stdout is not None
        try:
            while chunk := await process.stdout.read(1 << 16):
                body += chunk
                for event in parser.feed(chunk):
                    position = event.last_event_id or position
                    hear({"type": event.type, "task": json.loads(event.data)})
            status = body.decode().split()[-1]
        finally:
            await readers._end(process)
    hear(CLOSED)


async def python_httpx_sse(url: str, hear: Hear) -> None:
    """httpx-sse, which leaves reconnecting to its user."""
    position = ""
    async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=None)) as client:
        while True:
            headers = {"Last-Event-ID": position} if position else {}
            with suppress(httpx.TransportError):
                async with httpx_sse.aconnect_sse(client, "GET", url, headers=headers) as source:
                    if source.response.status_code == 204:
                        return hear(CLOSED)
                    async for event in source.aiter_sse():
                        position = event.id or position
                        hear({"type": event.event, "task": json.loads(event.data)})
            await asyncio.sleep(POLL)


async def npm_eventsource(url: str, hear: Hear) -> None:
    await _node("eventsource", url, hear)


async def npm_polyfill(url: str, hear: Hear) -> None:
    """It resumes by `?lastEventId=`, and takes 204 for a fault that passes."""
    await _node("event-source-polyfill", url, hear)


async def _node(kind: str, url: str, hear: Hear) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", readers.HERE / "task.mjs", kind, url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            hear(json.loads(line))
    finally:
        await readers._end(process)


_LISTEN = """url => {
    const source = new EventSource(url);
    for (const type of ["progress", "complete"]) {
        source.addEventListener(type, event => window.hear({ type, task: JSON.parse(event.data) }));
    }
    source.onerror = () => source.readyState === EventSource.CLOSED && window.hear({ type: "closed" });
}"""


async def chromium(url: str, hear: Hear) -> None:
    where = urlsplit(url)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=readers.CHROMIUM, args=readers.CHROMIUM_ARGS)
        try:
            page = await browser.new_page()
            await page.goto(f"{where.scheme}://{where.netloc}/docs")
            await page.expose_function("hear", lambda heard: hear(heard))
            await page.evaluate(_LISTEN, url)
            await asyncio.Event().wait()
        finally:
            await browser.close()


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(curl, id="curl", marks=needs_curl),
        pytest.param(npm_eventsource, id="npm eventsource", marks=[needs_node, needs_packages]),
        pytest.param(npm_polyfill, id="npm event-source-polyfill", marks=[needs_node, needs_packages]),
        pytest.param(python_httpx_sse, id="httpx-sse"),
        pytest.param(chromium, id="Chromium", marks=needs_chromium),
    ],
)
@within(90)
async def test_progress_is_read_over_a_cut_to_its_end_and_no_further(client: Client, tmp_path: Path) -> None:
    """The end comes once; who comes again with it is told to stop, and does."""
    with ServerProcess(tmp_path / "data") as server:
        caller = Caller(server.url, "alice")
        assert (await caller.call("POST", "/api/v1/tasks", {"title": "Work", "task_id": "t"})).status == 201

        async def change(**body: object) -> None:
            assert (await caller.call("PATCH", "/api/v1/tasks/t", body)).status == 200

        heard: list[dict[str, Any]] = []

        def progress() -> float:
            return max((one["task"]["progress"] for one in heard if "task" in one), default=-1)

        async with Proxy(server.port) as proxy:
            url = f"http://127.0.0.1:{proxy.port}/api/v1/sse/tasks/t/progress?{urlencode({'token': token('alice')})}"
            reading = asyncio.create_task(client(url, heard.append))
            for percent in (0, 10, 20):
                await change(progress=percent)
                await eventually(lambda percent=percent: _true(progress() == percent))  # type: ignore[misc]
            proxy.cut()
            await change(progress=30)
            await eventually(lambda: _true(progress() == 30))
            await change(state="completed")
            if client is npm_polyfill:  # nothing but its page stops it; it is told nothing twice
                await eventually(lambda: _told_to_stop(caller, 2))
            else:
                await eventually(lambda: _true(CLOSED in heard))
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        seen = [one for one in heard if one["type"] in ("progress", "complete")]
        assert [one["type"] for one in seen].count("complete") == 1 and seen[-1]["type"] == "complete"
        steps = [one["task"]["progress"] for one in seen]
        assert steps == sorted(steps)
        assert not server.tracebacks(), server.tracebacks()


async def _told_to_stop(caller: Caller, times: int) -> bool:
    """Whether 204 was answered so often."""
    text: str = (await caller.call("GET", "/metrics")).text
    counts = [line.split()[-1] for line in text.splitlines() if line.startswith(_STOPPED)]
    return bool(counts) and float(counts[0]) >= times


_STOPPED = 'chatrooms_requests_total{method="GET",status="204"}'


async def _true(holds: bool) -> bool:
    return holds
