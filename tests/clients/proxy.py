"""A TCP proxy whose connections can be cut, as networks do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class Proxy:
    """Passes bytes between its own port and another one of 127.0.0.1; use it as an async context manager.

    While the other port does not answer, it closes what comes. `made` counts connections so far, `open`
    those that are there; `came` has all bytes that came back. An answer to a request that it `holds` (told by
    what the client sent) never comes out.
    """

    def __init__(self, upstream: int, holds: Callable[[bytes], bool] = lambda request: False) -> None:
        self._upstream = upstream
        self._holds = holds
        self._open: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._muted: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.made = 0
        self.came = bytearray()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Resets all connections, in both directions, wherever they are."""
        for writer in self._open:
            writer.transport.abort()

    def mute(self) -> None:
        """Swallows what comes back on all connections there are, as a network does that has gone away."""
        self._muted |= self._clients

    @property
    def open(self) -> int:
        return len(self._clients)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()
            return
        held: list[bytes] = []

        def asked(data: bytes) -> bool:
            if self._holds(data):
                held.append(data)
            return True

        def answered(data: bytes) -> bool:
            self.came += data
            return not held

        both = {writer, up_writer}
        self._open |= both
        self._clients.add(writer)
        try:
            await asyncio.gather(self._pump(reader, up_writer, asked), self._pump(up_reader, writer, answered))
        finally:
            self._open -= both
            self._clients -= both
            self._muted -= both

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[bytes], bool]
    ) -> None:
        try:
            while data := await reader.read(1 << 16):
                if passes(data) and writer not in self._muted:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.close()
