"""Real clients, each a coroutine that reads a stream forever and resumes as that client does.

`hear` is called with the text of each message that the client hands to its user.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import httpx_sse
from playwright.async_api import async_playwright

from chatrooms.client import Client
from chatrooms.sse import Parser

Hear = Callable[[str], None]

HERE = Path(__file__).resolve().parent
CHROMIUM = os.environ.get("CHATROOMS_TEST_CHROMIUM") or shutil.which("chromium")
CHROMIUM_ARGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]

_LISTEN = """url => {
    window.source = new EventSource(url);
    window.source.addEventListener("room-message", event => window.hear(JSON.parse(event.data).message));
}"""


def said(type: str, text: str) -> str | None:
    """What an event says, of a room or of a message session; None for one that is no message."""
    data = json.loads(text)
    if type == "room-message":
        return str(data["message"])
    return str(data["data"]["content"]) if type == "message" and data["type"] == "message" else None


async def curl(url: str, hear: Hear) -> None:
    """curl -N, begun again with the last id by hand, after the time that the server asked for."""
    position = ""
    while True:
        header = ["-H", f"Last-Event-ID: {position}"] if position else []
        process = await asyncio.create_subprocess_exec(
            "curl", "-sN", *header, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        parser = Parser()
        try:
            assert process.stdout is not None
            while chunk := await process.stdout.read(1 << 16):
                for event in parser.feed(chunk):
                    position = event.last_event_id or position
                    if (text := said(event.type, event.data)) is not None:
                        hear(text)
        finally:
            await _end(process)
        await asyncio.sleep((parser.retry or 1000) / 1000)


async def chatrooms_client(url: str, hear: Hear) -> None:
    """The client of this package."""
    address = urlsplit(url)
    query = dict(parse_qsl(address.query))
    async with Client(f"http://{address.netloc}", query.pop("token")) as client:
        async for event in client.events(address.path, query):
            if event.type == "room-message":
                hear(event.data["message"])


async def npm_eventsource(url: str, hear: Hear) -> None:
    """The `eventsource` package in Node."""
    await _node("eventsource.mjs", url, hear)


async def npm_polyfill(url: str, hear: Hear) -> None:
    """The `event-source-polyfill` package in Node."""
    await _node("event_source_polyfill.mjs", url, hear)


async def node_fetch(url: str, hear: Hear) -> None:
    """A few lines around Node's fetch."""
    await _node("fetch_reader.mjs", url, hear)


async def python_httpx_sse(url: str, hear: Hear) -> None:
    """httpx-sse, which leaves reconnecting to its user."""
    position, retry = "", 1000
    timeout = httpx.Timeout(10, read=None)
    async with httpx.AsyncClient(timeout=timeout) as client:
        while True:
            headers = {"Last-Event-ID": position} if position else {}
            with suppress(httpx.TransportError):
                async with httpx_sse.aconnect_sse(client, "GET", url, headers=headers) as source:
                    async for event in source.aiter_sse():
                        position = event.id or position
                        retry = event.retry or retry
                        if (text := said(event.event, event.data)) is not None:
                            hear(text)
            await asyncio.sleep(retry / 1000)


async def chromium(url: str, hear: Hear) -> None:
    """Chromium's own EventSource, on a page of the server."""
    where = urlsplit(url)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        try:
            page = await browser.new_page()
            await page.goto(f"{where.scheme}://{where.netloc}/docs")
            await page.expose_function("hear", lambda message: hear(message))  # it wants a Python function
            await page.evaluate(_LISTEN, url)
            await asyncio.Event().wait()
        finally:
            await browser.close()


async def _node(script: str, url: str, hear: Hear) -> None:
    process = await asyncio.create_subprocess_exec("node", HERE / script, url, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            hear(json.loads(line)["message"])
    finally:
        await _end(process)
    raise RuntimeError(f"{script} ended")


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
