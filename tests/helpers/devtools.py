"""Chromium by its own protocol, for what Playwright keeps from happening: it shows every page as visible forever."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.helpers.chat import eventually

Params = dict[str, Any] | None

LIMIT = 20.0  # seconds for one command, and for the start


class DevTools:
    """A connection to the browser; see https://chromedevtools.github.io/devtools-protocol/."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._reading = asyncio.create_task(self._read())

    async def send(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """One command. Raises RuntimeError when the browser refuses it."""
        self._count += 1
        number = self._count
        self._waiting[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "method": method, "params": params or {}} | ({"sessionId": session} if session else {})
        await self._socket.write_message(json.dumps(command))
        answer = await asyncio.wait_for(self._waiting[number], LIMIT)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str) -> Tab:
        """A tab in the front; the one that was there is hidden then."""
        target = (await self.send("Target.createTarget", {"url": url}))["targetId"]
        session = (await self.send("Target.attachToTarget", {"targetId": target, "flatten": True}))["sessionId"]
        tab = Tab(self, session)
        await eventually(lambda: tab.is_at(url))
        return tab

    async def close(self) -> None:
        self._reading.cancel()
        self._socket.close()

    async def _read(self) -> None:
        while (text := await self._socket.read_message()) is not None:
            message = json.loads(text)
            waiting = self._waiting.pop(message.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)


class Tab:
    """One page."""

    def __init__(self, devtools: DevTools, session: str) -> None:
        self._devtools = devtools
        self._session = session

    async def go(self, url: str) -> None:
        """Loads another page."""
        await self.send("Page.navigate", {"url": url})
        await eventually(lambda: self.is_at(url))

    async def is_at(self, url: str) -> bool:
        """Whether it has loaded that page."""
        return bool(await self.evaluate(f"location.href === {json.dumps(url)} && document.readyState === 'complete'"))

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise. Raises RuntimeError when it throws."""
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = await self.send("Runtime.evaluate", params)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def start(self, statement: str) -> None:
        """Runs something, and does not wait for it."""
        await self.evaluate(f"setTimeout(() => {{ {statement} }}), 0")

    async def crash(self) -> None:
        """Its process dies, and nobody is left to answer the command."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.send("Page.crash"), 0.1)

    async def send(self, method: str, params: Params = None) -> dict[str, Any]:
        return await self._devtools.send(method, params, self._session)


@asynccontextmanager
async def devtools(chromium: str, flags: list[str], profile: Path) -> AsyncIterator[DevTools]:
    """A Chromium of its own, ended with all its processes afterwards."""
    command = [chromium, "--headless", "--remote-debugging-port=0", f"--user-data-dir={profile}", *flags, "about:blank"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT):
            while b"DevTools listening on " not in (line := await process.stderr.readline()):
                assert line, "Chromium ended"
        tools = DevTools(await websocket_connect(line.split()[-1].decode(), max_message_size=1 << 26))
        try:
            yield tools
        finally:
            await tools.close()
    finally:
        process.terminate()
        await process.communicate()
