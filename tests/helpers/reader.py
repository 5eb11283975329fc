"""A reader of event streams on a bare socket, so that nothing between hides what the server sent."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from benchmarks.server_process import token
from chatrooms.sse import Parser, ServerEvent

PATIENCE = 10.0  # seconds that anything awaited may take, of a server in this process
LIMIT = 30.0  # and of another process
POLL = 0.02  # seconds between two looks at something that cannot tell by itself


class Ended(EOFError):
    """The stream ended before what was waited for came."""


class Reader:
    """Reads one stream as a browser would: each connection goes on after the last id of the one before.

    events    what has come so far, over all connections; `seen` is the part that was waited for
    posts     the data of all `room-message` events that have come
    position  the last id that has come
    head      the raw head of the present connection's response
    body      all bytes of all bodies, decoded if they were compressed
    received  how many bytes of bodies came

    It GETs its stream, or POSTs for it with a body. With a `receive_buffer` (bytes) the kernel and asyncio
    hold little more than that for it.
    """

    def __init__(
        self, url: str, path: str = "/events", query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None, body: object = None, context: ssl.SSLContext | None = None,
        receive_buffer: int = 0, limit: float = LIMIT,
    ) -> None:  # fmt: skip
        self._address = urlsplit(url)
        self._path = f"{path}?{urlencode(query)}" if query else path
        self._headers = dict(headers or {})
        self._asked = b"" if body is None else json.dumps(body).encode()
        self._context = context
        self._receive_buffer = receive_buffer
        self._limit = limit
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._parser = Parser()
        self._body = bytearray()
        self._gzip: Any = None
        self.received = 0
        self._next = 0
        self._texts: list[str] = []
        self.user_id = ""
        self.version = "1.1"  # behind a proxy 1.0: there are no chunks then, and the end is the end
        self.position = ""
        self.connections = 0
        self.head = b""
        self.first_write = b""
        self.events: list[ServerEvent] = []
        self.posts: list[dict[str, Any]] = []

    @classmethod
    def of_room(cls, url: str, room: str, user_id: str, **options: Any) -> Self:
        """A reader of a room at a server process."""
        query = {"roomId": room, "username": user_id, "clientId": f"reader-of-{user_id}", "token": token(user_id)}
        self = cls(url, "/events", query, **options)
        self.user_id = user_id
        return self

    @classmethod
    async def open(
        cls, port: int, path: str, query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None, body: object = None, receive_buffer: int = 0,
    ) -> Reader:  # fmt: skip
        """Asks a server in this process, and returns when a response head is there."""
        self = cls(f"http://localhost:{port}", path, query, headers, body, None, receive_buffer, PATIENCE)
        await self.begin(self.request())
        return self

    @classmethod
    async def send(cls, port: int, request: bytes, receive_buffer: int = 0) -> Reader:
        """Sends these bytes to a server in this process, and returns when a response head is there."""
        self = cls(f"http://localhost:{port}", receive_buffer=receive_buffer, limit=PATIENCE)
        await self.begin(request)
        return self

    # Connections

    def request(self) -> bytes:
        """The request that goes on after the last id."""
        headers = {"Host": self._address.netloc, **self._headers}
        if self.position:
            headers["Last-Event-ID"] = self.position
        return request_bytes("POST" if self._asked else "GET", self._path, headers, self._asked, self.version)

    async def dial(self) -> None:
        """Makes a connection, in place of the present one, and says nothing yet. Raises OSError."""
        self.cut()
        sock = socket.socket()
        sock.setblocking(False)
        if self._receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._address.port))
        except BaseException:
            sock.close()
            raise
        name = "127.0.0.1" if self._context else None
        # A small limit, so that a reader that does not read fills the kernel's buffers, not ours.
        limit = self._receive_buffer or 1 << 14
        self._streams = await asyncio.open_connection(sock=sock, ssl=self._context, server_hostname=name, limit=limit)

    async def begin(self, request: bytes) -> None:
        """Makes a connection, sends that, and returns when a response head is there, or the connection ended."""
        async with asyncio.timeout(self._limit):
            await self.dial()
            self.write(request)
            first = b""
            while b"\r\n\r\n" not in first and (chunk := await self._receive()):
                first += chunk
        self.first_write = first
        head, separator, body = first.partition(b"\r\n\r\n")
        self.head = head + separator
        self._parser = Parser()
        compressed = b"\r\nContent-Encoding: gzip\r\n" in self.head
        self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if compressed else None
        self._feed(body)

    async def connect(self) -> None:
        """Opens the next connection, which must be accepted. Raises OSError, EOFError."""
        await self.begin(self.request())
        if not self.head:
            raise EOFError("the connection ended before the head of a response")
        assert self.status == 200, self.first_write
        self.connections += 1

    def move(self, url: str) -> None:
        """Connects to that server from now on."""
        self._address = urlsplit(url)

    def write(self, junk: bytes) -> None:
        """Sends bytes that a reader has no business to send."""
        assert self._streams is not None, "not connected"
        self._streams[1].write(junk)

    def cut(self) -> None:
        """Resets the connection; what was not read is lost."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    close = cut

    @property
    def url(self) -> str:
        """Where it connects to."""
        return self._address.geturl()

    @property
    def sock(self) -> socket.socket:
        """The socket of the present connection."""
        assert self._streams is not None, "not connected"
        found: socket.socket = self._streams[1].get_extra_info("socket")
        return found

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    # Reading event by event

    async def next(self) -> ServerEvent:
        """The next event. Raises Ended, TimeoutError."""
        async with asyncio.timeout(self._limit):
            while self._next == len(self.events):
                chunk = await self._receive()
                if not chunk:
                    raise Ended(f"after {[event.type for event in self.seen]}")
                self._feed(chunk)
        event = self.events[self._next]
        self._next += 1
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
        first = self._next
        try:
            while True:
                await self.next()
        except (Ended, ConnectionResetError):
            return self.seen[first:]

    async def rest_of_body(self) -> bytes:
        """All bytes of the body until the server ends it, undecoded."""
        async with asyncio.timeout(self._limit):
            while chunk := await self._receive():
                self._body += self._decoded(chunk)
        return self.body

    # Reading whatever comes

    async def read(self, most: int = 1 << 16) -> bool:
        """Takes what comes next; False when the connection has ended."""
        try:
            chunk = await self._receive(most)
        except OSError:
            chunk = b""
        self._feed(chunk)
        return bool(chunk)

    async def collect(self, enough: Callable[[Self], bool], limit: float = LIMIT) -> None:
        """Reads one connection until that is enough. Raises Ended when it ends before."""
        async with asyncio.timeout(limit):
            while not enough(self):
                if not await self.read():
                    raise Ended(f"after {len(self.posts)} messages: {self.events[-3:]}")

    async def follow(self, enough: Callable[[Self], bool], limit: float = LIMIT) -> None:
        """Reads until that is enough, however often the connection ends or the server is away."""
        async with asyncio.timeout(limit):
            while not enough(self):
                try:
                    if self._streams is None:
                        await self.connect()
                    if not await self.read():
                        self.cut()
                except (OSError, EOFError):
                    self.cut()
                    await asyncio.sleep(POLL)

    def take(self, event: ServerEvent) -> None:
        """Keeps an event that has come."""
        self.position = event.last_event_id or self.position
        self.events.append(event)
        if event.type == "room-message":
            self.posts.append(json.loads(event.data))

    # What has come

    @property
    def seen(self) -> list[ServerEvent]:
        """The events that were waited for, or passed over, so far."""
        return self.events[: self._next]

    @property
    def last_event_id(self) -> str:
        """The id of the last event seen."""
        return self.events[self._next - 1].last_event_id if self._next else ""

    def types(self) -> list[str]:
        """The names of the events seen, heartbeats aside."""
        return [event.type for event in self.seen if event.type != "heartbeat"]

    def messages(self) -> list[str]:
        """The texts of the room-messages seen."""
        return list(self._texts)

    def of_type(self, *types: str) -> list[ServerEvent]:
        """The events of these types that have come."""
        return [event for event in self.events if event.type in types]

    @property
    def whole(self) -> bool:
        """Whether the trailer of a compressed body has come; it was checked then."""
        return self._gzip is not None and bool(self._gzip.eof)

    @property
    def retry(self) -> int | None:
        """The reconnection time that the server asked for last, in milliseconds."""
        return self._parser.retry

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    async def _receive(self, most: int = 1 << 16) -> bytes:
        assert self._streams is not None, "not connected"
        return await self._streams[0].read(most)

    def _feed(self, chunk: bytes) -> None:
        decoded = self._decoded(chunk)
        self._body += decoded
        for event in self._parser.feed(decoded):
            self.take(event)

    def _decoded(self, chunk: bytes) -> bytes:
        self.received += len(chunk)
        if self._gzip is None:
            return chunk
        decoded: bytes = self._gzip.decompress(chunk)
        return decoded


def request_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes, version: str = "1.1") -> bytes:
    """A request as it goes over the wire."""
    sent = {**headers, "Content-Length": str(len(body))} if body or method not in ("GET", "HEAD") else headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"{method} {path} HTTP/{version}\r\n".encode() + f"{lines}\r\n".encode("latin-1") + body


def data(event: ServerEvent) -> dict[str, Any]:
    """The JSON object that an event carries."""
    decoded: dict[str, Any] = json.loads(event.data)
    return decoded


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """The numbers `m<number>` that `fill` gave them, in the order read."""
    return [message["message"].split()[0] for message in messages]
