"""A model server of the tests: real HTTP, OpenAI-compatible, with the faults that such servers have.

The model named in the request chooses what happens, so that one server shows them all.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
WORDS = [f"word{n} " for n in range(200)]
ODD = "naïve café — 日本語 😀 done"
FLOOD = 1 << 30  # bytes that `flood` and `endless-line` would send


class Upstream:
    """Use it as an async context manager.

    asked      how often each model was asked
    bodies     the requests' JSON bodies
    keys       their Authorization headers
    hung_up    when the asker of a model went away, by time.monotonic()
    sent       bytes of the body that was sent last
    pause      seconds between two words of most models
    go         lets `held` go on
    """

    def __init__(self) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.hung_up: dict[str, float] = {}
        self.sent = 0
        self.pause = 0.0
        self.go = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=1 << 22)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._serve(reader, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; whether the connection may be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = {name.lower(): value.strip() for name, _, value in (h.partition(":") for h in head.split("\r\n")[1:])}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        model = body.get("model", "")
        self.asked[model] += 1
        self.bodies.append(body)
        self.keys.append(headers.get("authorization", ""))
        watching = asyncio.create_task(self._watch(reader, model))
        try:
            behave: Callable[[asyncio.StreamWriter], Awaitable[bool | None]]
            behave = getattr(self, "_" + model.replace("-", "_"), None) or self._plain
            return bool(await behave(writer))
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, reader: asyncio.StreamReader, model: str) -> None:
        """Notes when the asker hangs up."""
        with suppress(OSError):
            if not await reader.read(1):
                self.hung_up[model] = time.monotonic()

    # What models do

    async def _plain(self, writer: asyncio.StreamWriter) -> bool:
        """200 words, `pause` seconds apart."""
        writer.write(CHUNKED)
        for word in WORDS:
            await self._chunk(writer, delta(word))
            if self.pause:
                await asyncio.sleep(self.pause)
        return await self._end(writer)

    async def _held(self, writer: asyncio.StreamWriter) -> bool:
        """Three words, then the rest when `go` is set."""
        writer.write(CHUNKED)
        for word in WORDS[:3]:
            await self._chunk(writer, delta(word))
        await self.go.wait()
        for word in WORDS[3:]:
            await self._chunk(writer, delta(word))
        return await self._end(writer)

    async def _quirky(self, writer: asyncio.StreamWriter) -> bool:
        """As llama-server: `content: null` first, comments, the usage in a chunk without choices."""
        writer.write(CHUNKED)
        await self._chunk(writer, event({"choices": [{"delta": {"role": "assistant", "content": None}}]}))
        await self._chunk(writer, b": ping\n\n")
        await self._chunk(writer, event({"choices": []}))
        await self._chunk(writer, delta("Hello") + event({"choices": [{"delta": {}}]}) + event({"choices": None}))
        await self._chunk(writer, delta(" there"))
        await self._chunk(writer, event({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
        await self._chunk(writer, event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}))
        return await self._end(writer)

    async def _no_done(self, writer: asyncio.StreamWriter) -> bool:
        """As transformers serve: the finish_reason is all the end there is."""
        writer.write(UNFRAMED)
        writer.write(delta("Hello") + event({"choices": [{"delta": {"content": " there"}, "finish_reason": "stop"}]}))
        await writer.drain()
        return False

    async def _split(self, writer: asyncio.StreamWriter) -> bool:
        """Every byte in a chunk of its own, and surrogates in deltas of their own."""
        writer.write(CHUNKED)
        for byte in delta(ODD, ascii=False):
            await self._chunk(writer, bytes([byte]))
        for half in ("\\ud83d", "\\ude00", "\\ud83d", "!", "\ufffd"):
            await self._chunk(writer, b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % half.encode())
        return await self._end(writer)

    async def _hang(self, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def _silent(self, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await asyncio.Event().wait()

    async def _stall(self, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await self._chunk(writer, delta("Hello"))
        await asyncio.Event().wait()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        """One byte a second."""
        writer.write(CHUNKED)
        for byte in delta("Hello") * 100:
            await self._chunk(writer, bytes([byte]))
            await asyncio.sleep(1)

    async def _flood(self, writer: asyncio.StreamWriter) -> None:
        writer.write(UNFRAMED)
        await self._pour(writer, delta("x" * 10_000) * 6)

    async def _endless_line(self, writer: asyncio.StreamWriter) -> None:
        writer.write(UNFRAMED + b"data: ")
        await self._pour(writer, b"x" * 65_536)

    async def _comments(self, writer: asyncio.StreamWriter) -> None:
        writer.write(UNFRAMED)
        await self._pour(writer, b": nothing to say\n\n" * 4096)

    async def _pour(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.sent = 0
        while self.sent < FLOOD:
            writer.write(data)
            self.sent += len(data)
            await writer.drain()

    async def _redirect(self, writer: asyncio.StreamWriter) -> None:
        where = f"http://127.0.0.1:{self.port}/elsewhere"
        writer.write(f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    async def _dies(self, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await self._chunk(writer, delta("Hello"))
        await asyncio.sleep(0.05)
        writer.transport.abort()

    async def _dies_unframed(self, writer: asyncio.StreamWriter) -> None:
        writer.write(UNFRAMED + delta("Hello"))
        await writer.drain()
        writer.close()

    async def _drops_once(self, writer: asyncio.StreamWriter) -> bool:
        if self.asked["drops-once"] == 1:
            return False
        return await self._plain(writer)

    async def _drops_always(self, writer: asyncio.StreamWriter) -> None:
        pass

    async def _broken(self, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await self._chunk(writer, delta("Hello") + b'data: {"choices": [{"delta"\n\n')
        await asyncio.sleep(5)

    async def _fails_inside(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(CHUNKED)
        await self._chunk(writer, delta("Hello") + event({"error": {"message": "secret prompt"}}))
        return await self._end(writer)

    async def _page(self, writer: asyncio.StreamWriter) -> None:
        await _answer(writer, b"200 OK", b"<html>It works</html>", b"text/html")

    async def _unauthorized(self, writer: asyncio.StreamWriter) -> None:
        await _answer(writer, b"401 Unauthorized", b'{"error": "key sk-secret is wrong"}')

    async def _busy(self, writer: asyncio.StreamWriter) -> None:
        await _answer(writer, b"429 Too Many Requests", b"{}")

    async def _down(self, writer: asyncio.StreamWriter) -> None:
        await _answer(writer, b"500 Internal Server Error", b"{}")

    async def _end(self, writer: asyncio.StreamWriter) -> bool:
        await self._chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _chunk(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()


async def _answer(writer: asyncio.StreamWriter, status: bytes, body: bytes, kind: bytes = b"application/json") -> None:
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % (status, kind, len(body)) + body)
    await writer.drain()


def event(data: object, ascii: bool = True) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=ascii).encode() + b"\n\n"


def delta(text: str, ascii: bool = True) -> bytes:
    """A chunk with a piece of text, as OpenAI sends it."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}, ascii)
