"""One HTTP/1.1 exchange over a connection of its own (RFC 9112), whose body may have no end.

Bare asyncio streams: a stream must be droppable at any moment, and read no faster than it is consumed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult

CONNECT_TIMEOUT = 10.0  # seconds
ANSWER_TIMEOUT = 60.0  # until the head of an answer
MAX_HEAD = 64 << 10
PIECE = 64 << 10  # bytes read at once
BODYLESS = frozenset({204, 304})


class Exchange:
    """A request that was sent, and its answer: `status`, `headers` (by lower-case name), `read()`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self._chunked = False
        self._left: int | None = None  # bytes of the chunk or the body; None: until the connection ends

    @classmethod
    async def open(
        cls, url: SplitResult, method: str, target: str, headers: Mapping[str, str], body: bytes | None,
        tls: ssl.SSLContext | None,
    ) -> Exchange:  # fmt: skip
        """Sends a request and waits for the head of its answer. Raises OSError."""
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        context = (tls or ssl.create_default_context()) if secure else None
        async with asyncio.timeout(CONNECT_TIMEOUT):
            streams = await asyncio.open_connection(url.hostname, port, ssl=context, limit=MAX_HEAD)
        self = cls(*streams)
        try:
            self._writer.write(_request(url, method, target, headers, body))
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._read_head()
        except BaseException:
            self.close()
            raise
        return self

    async def read(self) -> bytes:
        """The next piece of the body, b"" at its end. Raises OSError when the connection is cut before."""
        if self._chunked and not self._left:
            await self._begin_chunk()
        if self._left == 0:
            return b""
        piece = await self._reader.read(PIECE if self._left is None else min(self._left, PIECE))
        if self._left is not None:
            if not piece:
                raise OSError("the connection was cut")
            self._left -= len(piece)
            if self._chunked and not self._left:
                await self._line()
        return piece

    async def body(self) -> bytes:
        """All of it."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Hangs up. Harmless when that has happened."""
        self._writer.transport.abort()

    async def _read_head(self) -> None:
        while self.status < 200:  # 1xx come before the answer
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise OSError("the connection ended before an answer") from error
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            self.status = _number(first.split(" ", 2)[1] if " " in first else "", 10)
            pairs = (line.partition(":") for line in lines)
            self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        if self.status in BODYLESS:
            self._left = 0
        elif not self._chunked and "content-length" in self.headers:
            self._left = _number(self.headers["content-length"], 10)

    async def _begin_chunk(self) -> None:
        self._left = _number((await self._line()).partition(";")[0].strip(), 16)
        if not self._left:
            self._chunked = False
            while await self._line():
                pass  # trailers

    async def _line(self) -> str:
        try:
            return (await self._reader.readuntil(b"\r\n"))[:-2].decode("latin-1")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise OSError("the connection was cut") from error


def _request(url: SplitResult, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    lines = [f"{method} {url.path.rstrip('/')}{target} HTTP/1.1", f"Host: {url.netloc.rpartition('@')[2]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, "Connection: close", "\r\n"]).encode("latin-1")
    return head + (body or b"")


def _number(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise OSError("the answer is no HTTP") from None
