"""Calls to a server as any user: one in this process, or a process of its own."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple, ParamSpec
from urllib.parse import quote, urlencode, urlsplit

from tornado.httputil import HTTPHeaders

from benchmarks.server_process import SECRET, token
from chatrooms.server import Server
from chatrooms.users.tokens import Tokens
from tests.helpers.reader import LIMIT, PATIENCE, POLL, Reader, request_bytes

P = ParamSpec("P")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Answer(NamedTuple):
    """A whole response."""

    status: int
    headers: HTTPHeaders
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable slug of an error."""
        code: str = self.data["code"]
        return code

    @property
    def text(self) -> str:
        return self.body.decode()


class Caller:
    """Calls to one server as one user, or as another by `user`; None is nobody.

    Connections are kept and used again if `kept`; after a failure the next call makes another.
    """

    kept = True
    limit = LIMIT

    def __init__(
        self, url: str, user: str = "alice", context: ssl.SSLContext | None = None, role: str = "user"
    ) -> None:
        self.url = url
        self.user = user
        self._address = urlsplit(url)
        self._context = context
        self._role = role
        self._idle: list[Streams] = []
        self._readers: list[Reader] = []

    def close(self) -> None:
        """Hangs up everywhere."""
        for reader in self._readers:
            reader.close()
        while self._idle:
            self._idle.pop()[1].transport.abort()

    def keep(self, reader: Reader) -> None:
        """Has a reader hang up with the others."""
        self._readers.append(reader)

    def token(self, user: str, username: str | None = None, role: str = "user", ttl: float = 900) -> str:
        return token(user, role, username or user, ttl)

    async def call(
        self, method: str, path: str, body: object = None, user: str | None = "", role: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """One request; `body` is sent as JSON unless it is bytes already.

        Raises OSError or EOFError when the connection fails.
        """
        sent = {"Host": self._address.netloc, **({} if self.kept else {"Connection": "close"}), **(headers or {})}
        if user is not None:
            sent.setdefault("Authorization", f"Bearer {self.token(user or self.user, role=role or self._role)}")
        encoded = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        async with asyncio.timeout(self.limit):  # not wait_for, which before 3.12 may swallow a cancellation
            return await self._exchange(request_bytes(method, path, sent, encoded), method)

    async def raw(self, request: bytes) -> Answer:
        """The whole response to these bytes, sent on a connection of their own."""
        async with asyncio.timeout(self.limit):
            return await self._exchange(request, "", await self._connect())

    async def get(self, path: str, user: str | None = "", **more: Any) -> Answer:
        return await self.call("GET", path, None, user, **more)

    async def post(self, path: str, body: object = None, user: str | None = "", **more: Any) -> Answer:
        return await self.call("POST", path, body, user, **more)

    async def send(self, room: str, text: str, user: str = "", **more: Any) -> Answer:
        """Posts a message, which may be refused."""
        return await self.post(f"/api/rooms/{quote(room, safe='')}/messages", {"message": text, **more}, user)

    async def say(self, room: str, text: str, user: str = "", **more: Any) -> Any:
        """Posts a message that must be taken; returns its data."""
        answer = await self.send(room, text, user, **more)
        assert answer.status in (200, 201), answer
        return answer.data

    async def say_all(self, room: str, texts: Sequence[str], user: str = "robot") -> list[Any]:
        """Posts many messages in batches of 500, as a service, which no rate limits."""
        posted: list[Any] = []
        for start in range(0, len(texts), 500):
            body = {"messages": [{"message": text} for text in texts[start : start + 500]]}
            answer = await self.post(f"/api/rooms/{room}/messages/batch", body, user, role="service")
            assert answer.status == 201, answer
            posted += answer.data["messages"]
        return posted

    async def fill(self, room: str, start: int, stop: int, size: int = 100) -> None:
        """Says `m<number>` for each number from start to stop, in commits of up to 500."""
        for first in range(start, stop, 500):
            numbers = range(first, min(first + 500, stop))
            drafts = [{"message": f"m{n} ".ljust(size, "."), "clientMessageId": f"m{n}"} for n in numbers]
            answer = await self.post(f"/api/rooms/{quote(room)}/messages/batch", {"messages": drafts})
            assert answer.status == 201, answer

    async def log_of(self, room: str) -> list[dict[str, Any]]:
        """All messages of a room, as the history call gives them, oldest first."""
        messages: list[dict[str, Any]] = []
        query = {"limit": "200"}
        while True:
            page = await self.get(f"/api/rooms/{quote(room)}/messages?{urlencode(query)}")
            assert page.status == 200, page
            if "after" not in query:  # the newest page came: it tells the epoch, so go to the beginning
                if not page.data["messages"]:
                    return []
                query["after"] = page.data["messages"][0]["id"].partition("-")[0] + "-0"
                continue
            messages += page.data["messages"]
            if not page.data["hasMore"]:
                return messages
            query["after"] = messages[-1]["id"]

    async def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        lines = (await self.get("/metrics")).text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.split()[0] == name)

    async def _connect(self) -> Streams:
        return await asyncio.open_connection(self._address.hostname, self._address.port, ssl=self._context)

    async def _exchange(self, request: bytes, method: str, streams: Streams | None = None) -> Answer:
        reader, writer = streams or (self._idle.pop() if self._idle else await self._connect())
        try:
            writer.write(request)
            status = 100
            while status < 200:  # what goes before the response says only: go on
                status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
            body = b"" if method == "HEAD" or status in (204, 304) else await _body(reader, headers)
        except BaseException:
            writer.transport.abort()
            raise
        if streams or headers.get("Connection") == "close" or "Content-Length" not in headers:
            writer.transport.abort()
        else:
            self._idle.append((reader, writer))
        return Answer(status, headers, body)


class Chat(Caller):
    """Calls to a server in this process, each over a connection of its own."""

    kept = False
    limit = PATIENCE

    def __init__(self, port: int, server: Server) -> None:
        super().__init__(f"http://127.0.0.1:{port}")
        self.port = port
        self.server = server
        self.tokens = Tokens(SECRET)

    def token(self, user: str, username: str | None = None, role: str = "user", ttl: float = 900) -> str:
        return self.tokens.sign(user, username, role, ttl)

    async def read(
        self, room: str = "lobby", user: str = "alice", headers: Mapping[str, str] | None = None, **query: object
    ) -> Reader:
        """Opens a room's stream; `username` is the user's id unless given."""
        token = self.token(user)
        return await self.stream("/events", {"token": token, "roomId": room, "username": user, **query}, headers)

    async def stream(
        self, path: str, query: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None,
        body: object = None, receive_buffer: int = 0,
    ) -> Reader:  # fmt: skip
        """Opens any stream."""
        reader = await Reader.open(self.port, path, query, headers, body, receive_buffer)
        self.keep(reader)
        return reader

    async def join(self, room: str = "lobby", user: str = "alice", **query: Any) -> Reader:
        """A room's stream that has read its `system` event."""
        reader = await self.read(room, user, **query)
        assert reader.status == 200, reader.first_write
        await reader.event("system")
        return reader


def parse_head(head: bytes) -> tuple[int, HTTPHeaders]:
    """The status and the headers of a response."""
    first, _, lines = head.decode("latin-1").partition("\r\n")
    return int(first.split()[1]), HTTPHeaders.parse(lines)


async def _body(reader: asyncio.StreamReader, headers: HTTPHeaders) -> bytes:
    """What follows a head: as long as it says, in chunks, or all that comes (RFC 9112, 6.3)."""
    if headers.get("Transfer-Encoding") != "chunked":
        return await (
            reader.readexactly(int(headers["Content-Length"])) if "Content-Length" in headers else reader.read()
        )
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


async def eventually(holds: Callable[[], bool | Awaitable[bool]], limit: float = LIMIT) -> None:
    """Returns when the condition holds. Raises TimeoutError.

    A plain one is asked at every turn of the event loop; one that is awaited, of another process, now and then.
    """
    async with asyncio.timeout(limit):
        while (held := holds()) is not True:
            if not isinstance(held, bool) and await held:
                return
            await asyncio.sleep(0 if isinstance(held, bool) else POLL)


async def gather(*calls: Awaitable[Answer]) -> list[Answer]:
    """The answers of calls made at the same time."""
    return list(await asyncio.gather(*calls))


def within(seconds: float) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]:
    """Makes a coroutine a test that fails when it takes longer."""

    def decorate(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
        async def limited(*args: P.args, **kwargs: P.kwargs) -> None:
            async with asyncio.timeout(seconds):
                await test(*args, **kwargs)

        @wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            asyncio.run(limited(*args, **kwargs))

        return run

    return decorate
