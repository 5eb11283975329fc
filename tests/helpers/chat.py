"""A server under test, and calls to it as any user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from tornado.httpclient import HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from chatrooms.server import Server
from chatrooms.users.tokens import Tokens
from tests.helpers.reader import PATIENCE, Reader

SECRET = "a secret for tests that is long enough to be safe"


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


class Chat:
    """Calls to one server. Every call is made as `user`; None is nobody."""

    def __init__(self, port: int, server: Server) -> None:
        self.port = port
        self.server = server
        self.tokens = Tokens(SECRET)
        self._readers: list[Reader] = []
        self._http = SimpleAsyncHTTPClient(force_instance=True, max_clients=100)

    def close(self) -> None:
        """Hangs up everywhere."""
        for reader in self._readers:
            reader.close()
        self._http.close()

    def keep(self, reader: Reader) -> None:
        """Has a reader hang up with the others."""
        self._readers.append(reader)

    def token(self, user: str, username: str | None = None, role: str = "user", ttl: float = 900) -> str:
        return self.tokens.sign(user, username, role, ttl)

    async def call(
        self, method: str, path: str, body: object = None, user: str | None = "alice", role: str = "user",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """One request; `body` is sent as JSON unless it is bytes already."""
        sent = dict(headers or {})
        if user is not None:
            sent.setdefault("Authorization", f"Bearer {self.token(user, role=role)}")
        encoded = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = HTTPRequest(
            f"http://127.0.0.1:{self.port}{path}", method, sent, encoded,
            allow_nonstandard_methods=True, follow_redirects=False, request_timeout=PATIENCE,
        )  # fmt: skip
        response = await self._http.fetch(request, raise_error=False)
        return Answer(response.code, response.headers, response.body or b"")

    async def get(self, path: str, user: str | None = "alice", **more: Any) -> Answer:
        return await self.call("GET", path, None, user, **more)

    async def post(self, path: str, body: object = None, user: str | None = "alice", **more: Any) -> Answer:
        return await self.call("POST", path, b"" if body is None else body, user, **more)

    async def say(self, room: str, text: str, user: str = "alice", **more: Any) -> Any:
        """Posts a message that must be taken; returns its data."""
        answer = await self.post(f"/api/rooms/{quote(room, safe='')}/messages", {"message": text, **more}, user)
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

    async def read(
        self, room: str = "lobby", user: str = "alice", headers: Mapping[str, str] | None = None, **query: object
    ) -> Reader:
        """Opens a room's stream; `username` is the user's id unless given."""
        token = self.token(user)
        return await self.stream("/events", {"token": token, "roomId": room, "username": user, **query}, headers)

    async def stream(self, path: str, query: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Reader:
        """Opens any stream."""
        reader = await Reader.open(self.port, path, query, headers)
        self._readers.append(reader)
        return reader

    async def join(self, room: str = "lobby", user: str = "alice", **query: Any) -> Reader:
        """A room's stream that has read its `system` event."""
        reader = await self.read(room, user, **query)
        assert reader.status == 200, reader.first_write
        await reader.event("system")
        return reader

    async def raw(self, request: bytes) -> Answer:
        """The whole response to these bytes, sent on a connection of their own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                start, _, lines = head.decode("latin-1").partition("\r\n")
                headers = HTTPHeaders.parse(lines)
                length = int(headers.get("Content-Length", 0))
                return Answer(int(start.split()[1]), headers, await reader.readexactly(length))
        finally:
            writer.transport.abort()


async def eventually(holds: Callable[[], bool]) -> None:
    """Returns when the condition holds, asked at every turn of the event loop. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)


async def gather(*calls: Awaitable[Answer]) -> list[Answer]:
    """The answers of calls made at the same time."""
    return list(await asyncio.gather(*calls))
