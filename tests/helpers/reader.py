"""A reader of event streams on a bare socket, so that nothing between hides what the server sent."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from chatrooms.sse import Parser, ServerEvent

PATIENCE = 10.0  # seconds that anything awaited may take


class Ended(Exception):
    """The stream ended before what was waited for came."""


class Reader:
    """One open event stream. `seen` holds all events so far, `head` the raw response head."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = Parser()
        self._waiting: list[ServerEvent] = []
        self._texts: list[str] = []
        self.seen: list[ServerEvent] = []
        self.head = b""
        self.first_write = b""
        self.body = b""

    @classmethod
    async def open(
        cls, port: int, path: str, query: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
    ) -> Reader:
        """Sends a GET and returns when the response head is there."""
        target = f"{path}?{urlencode(query)}" if query else path
        lines = [f"GET {target} HTTP/1.1", f"Host: localhost:{port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return await cls.send(port, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    @classmethod
    async def send(cls, port: int, request: bytes, receive_buffer: int = 0) -> Reader:
        """Sends these bytes and returns when a response head is there.

        With a `receive_buffer` (bytes) the kernel and asyncio hold little more than that for it.
        """
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        self = cls(*await asyncio.open_connection(sock=sock, limit=receive_buffer or 1 << 16))
        self._writer.write(request)
        first = b""
        async with asyncio.timeout(PATIENCE):
            while b"\r\n\r\n" not in first:
                chunk = await self._reader.read(1 << 16)
                if not chunk:
                    break
                first += chunk
        self.first_write = first
        head, separator, body = first.partition(b"\r\n\r\n")
        self.head = head + separator
        self._take(body)
        return self

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def retry(self) -> int | None:
        """The reconnection time that the server asked for, in milliseconds."""
        return self._parser.retry

    @property
    def last_event_id(self) -> str:
        """What a browser would send as Last-Event-ID now."""
        return self.seen[-1].last_event_id if self.seen else ""

    async def next(self) -> ServerEvent:
        """The next event. Raises Ended, TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while not self._waiting:
                chunk = await self._reader.read(1 << 16)
                if not chunk:
                    raise Ended(f"after {[event.type for event in self.seen]}")
                self._take(chunk)
        event = self._waiting.pop(0)
        self.seen.append(event)
        if event.type == "room-message":
            self._texts.append(data(event)["message"])
        return event

    async def until(self, wanted: Callable[[ServerEvent], bool]) -> ServerEvent:
        """The next event that is wanted; those before it stay in `seen`."""
        while True:
            event = await self.next()
            if wanted(event):
                return event

    async def event(self, type: str) -> dict[str, Any]:
        """The data of the next event of that type."""
        return data(await self.until(lambda event: event.type == type))

    async def message(self, text: str) -> dict[str, Any]:
        """The data of the next room-message with that text."""
        return data(await self.until(lambda event: event.type == "room-message" and data(event)["message"] == text))

    async def rest(self) -> list[ServerEvent]:
        """All events until the server ends the stream."""
        first = len(self.seen)
        try:
            while True:
                await self.next()
        except (Ended, ConnectionResetError):
            return self.seen[first:]

    async def rest_of_body(self) -> bytes:
        """All bytes of the body until the server ends it, undecoded."""
        async with asyncio.timeout(PATIENCE):
            while chunk := await self._reader.read(1 << 16):
                self.body += chunk
        return self.body

    def types(self) -> list[str]:
        """The names of the events seen, heartbeats aside."""
        return [event.type for event in self.seen if event.type != "heartbeat"]

    def messages(self) -> list[str]:
        """The texts of the room-messages seen."""
        return list(self._texts)

    def write(self, junk: bytes) -> None:
        """Sends bytes that a reader has no business to send."""
        self._writer.write(junk)

    def close(self) -> None:
        """Hangs up."""
        self._writer.transport.abort()

    def _take(self, chunk: bytes) -> None:
        self.body += chunk
        self._waiting += self._parser.feed(chunk)


def data(event: ServerEvent) -> dict[str, Any]:
    """The JSON object that an event carries."""
    decoded: dict[str, Any] = json.loads(event.data)
    return decoded
