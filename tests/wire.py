"""HTTP by hand: a caller that keeps its connection, and a reader of streams that can be cut anywhere."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, NamedTuple, ParamSpec
from urllib.parse import quote, urlencode, urlsplit

from chatrooms.sse import Parser, ServerEvent
from tests.process import token

LIMIT = 30.0  # seconds that any single thing may take
POLL = 0.02  # seconds between two looks at something that cannot tell by itself

P = ParamSpec("P")


class Answer(NamedTuple):
    """An HTTP answer with a JSON body, or with text."""

    status: int
    headers: dict[str, str]
    body: Any


class Caller:
    """Calls the server as one user over one kept connection, which is made anew after a failure."""

    def __init__(self, url: str, user_id: str, context: ssl.SSLContext | None = None, role: str = "user") -> None:
        self._address = urlsplit(url)
        self._context = context
        self._token = token(user_id, role)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: object = None) -> Answer:
        """One request. Raises OSError or EOFError when the connection fails; the next call makes another."""
        try:
            async with asyncio.timeout(LIMIT):  # not wait_for, which before 3.12 may swallow a cancellation
                return await self._call(method, path, body)
        except BaseException:
            self.close()
            raise

    async def post(self, room: str, text: str, client_message_id: str | None = None) -> Answer:
        """Says something."""
        body = {"message": text} if client_message_id is None else _draft(text, client_message_id)
        return await self.call("POST", f"/api/rooms/{quote(room)}/messages", body)

    async def fill(self, room: str, start: int, stop: int, size: int = 100) -> None:
        """Says `m<number>` for each number from start to stop, in commits of up to 500."""
        for first in range(start, stop, 500):
            drafts = [_draft(f"m{n} ".ljust(size, "."), f"m{n}") for n in range(first, min(first + 500, stop))]
            answer = await self.call("POST", f"/api/rooms/{quote(room)}/messages/batch", {"messages": drafts})
            assert answer.status == 201, answer

    async def log_of(self, room: str) -> list[dict[str, Any]]:
        """All messages of a room, as the history call gives them, oldest first."""
        messages: list[dict[str, Any]] = []
        query = {"limit": "200"}
        while True:
            page = await self.call("GET", f"/api/rooms/{quote(room)}/messages?{urlencode(query)}")
            assert page.status == 200, page
            if "after" not in query:  # the newest page came: it tells the epoch, so go to the beginning
                if not page.body["messages"]:
                    return []
                query["after"] = page.body["messages"][0]["id"].partition("-")[0] + "-0"
                continue
            messages += page.body["messages"]
            if not page.body["hasMore"]:
                return messages
            query["after"] = messages[-1]["id"]

    async def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        text: str = (await self.call("GET", "/metrics")).body
        return next(float(line.split()[1]) for line in text.splitlines() if line.split()[0] == name)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _call(self, method: str, path: str, body: object) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._address.hostname, self._address.port, ssl=self._context)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        is_json = headers.get("content-type", "").startswith("application/json")
        return Answer(status, headers, json.loads(data) if is_json else data.decode())


class Reader:
    """Reads a room as a browser would: each connection goes on after the last id of the one before.

    `messages` are the data of all `room-message` events so far, `events` are all events,
    `received` counts the bytes of all bodies.
    """

    def __init__(
        self, url: str, room: str, user_id: str, context: ssl.SSLContext | None = None, receive_buffer: int = 0
    ) -> None:
        self.user_id = user_id
        self._address = urlsplit(url)
        query = {"roomId": room, "username": user_id, "clientId": f"reader-of-{user_id}", "token": token(user_id)}
        self._path = "/events?" + urlencode(query)
        self._context = context
        self._receive_buffer = receive_buffer
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._parser = Parser()
        self.version = "1.1"  # behind a proxy 1.0: there are no chunks then, and the end is the end
        self.position = ""
        self.connections = 0
        self.received = 0
        self.events: list[ServerEvent] = []
        self.messages: list[dict[str, Any]] = []

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Makes a connection, in place of the present one, and says nothing yet."""
        self.cut()
        self._streams = await self._open()
        return self._streams

    async def connect(self) -> None:
        """Opens the next connection and reads its head. Raises OSError, EOFError."""
        async with asyncio.timeout(LIMIT):
            reader, writer = await self.open()
            writer.write(self.request())
            status, _ = parse_head(await reader.readuntil(b"\r\n\r\n"))
        assert status == 200, status
        self._parser = Parser()
        self.connections += 1

    @property
    def url(self) -> str:
        """Where it connects to."""
        return self._address.geturl()

    def move(self, url: str) -> None:
        """Connects to that server from now on."""
        self._address = urlsplit(url)

    def request(self) -> bytes:
        """The request that goes on after the last id."""
        position = f"Last-Event-ID: {self.position}\r\n" if self.position else ""
        return f"GET {self._path} HTTP/{self.version}\r\nHost: 127.0.0.1\r\n{position}\r\n".encode()

    def send(self, data: bytes) -> None:
        """Sends what a reader has no business to send."""
        assert self._streams is not None, "not connected"
        self._streams[1].write(data)

    async def read(self, most: int = 1 << 16) -> bool:
        """Takes what comes next; False when the connection has ended."""
        assert self._streams is not None, "not connected"
        try:
            chunk = await self._streams[0].read(most)
        except OSError:
            chunk = b""
        self.received += len(chunk)
        for event in self._parser.feed(chunk):
            self.take(event)
        return bool(chunk)

    async def until(self, enough: Callable[[Reader], bool], limit: float = LIMIT) -> None:
        """Reads one connection until it is enough. Raises EOFError when that ends before."""
        async with asyncio.timeout(limit):
            while not enough(self):
                if not await self.read():
                    raise EOFError(f"the stream ended after {len(self.messages)} messages: {self.events[-3:]}")

    async def follow(self, enough: Callable[[Reader], bool], limit: float = LIMIT) -> None:
        """Reads until it is enough, however often the connection ends or the server is away."""
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
        self.position = event.last_event_id or self.position
        self.events.append(event)
        if event.type == "room-message":
            self.messages.append(json.loads(event.data))

    def of_type(self, *types: str) -> list[ServerEvent]:
        """The events of these types so far."""
        return [event for event in self.events if event.type in types]

    @property
    def retry(self) -> int | None:
        """The reconnection time that this connection was told last, in milliseconds."""
        return self._parser.retry

    def cut(self) -> None:
        """Resets the connection; what was not read is lost."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sock = socket.socket()
        sock.setblocking(False)
        if self._receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (self._address.hostname, self._address.port))
        except BaseException:
            sock.close()
            raise
        name = "127.0.0.1" if self._context else None
        # A small limit, so that a reader that does not read fills the kernel's buffers, not ours.
        return await asyncio.open_connection(sock=sock, ssl=self._context, server_hostname=name, limit=1 << 14)


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """The status and the headers, by lower-case name."""
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """The numbers `m<number>` that `fill` gave them, in the order read."""
    return [message["message"].split()[0] for message in messages]


async def eventually(holds: Callable[[], Awaitable[bool]], limit: float = LIMIT) -> None:
    """Returns when it holds; raises TimeoutError when it does not within the limit."""
    async with asyncio.timeout(limit):
        while not await holds():  # noqa: ASYNC110 - another process cannot set an Event
            await asyncio.sleep(POLL)


def within(seconds: float) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]:
    """Makes a coroutine a test that fails when it takes longer."""

    def decorate(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
        @wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            asyncio.run(_limited(test(*args, **kwargs), seconds))

        return run

    return decorate


async def _limited(test: Coroutine[Any, Any, None], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await test


def _draft(text: str, client_message_id: str) -> dict[str, str]:
    return {"message": text, "clientMessageId": client_message_id}
