"""Many readers of one room that compare what they got by its digest."""

from __future__ import annotations

import asyncio
import hashlib
from urllib.parse import urlencode, urlsplit

from benchmarks.server_process import token

END = b"that was all"  # a text that ends what the crowd waits for


class Face(asyncio.Protocol):
    """One of the crowd. `body` is what came after the first event, of those that keep it."""

    def __init__(self, request: bytes, keeps: bool) -> None:
        self._request = request
        self._keeps = keeps
        self._head = b""
        self._tail = b""
        self._digest = hashlib.sha256()
        self._transport: asyncio.BaseTransport | None = None
        self.body = b""
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.welcomed.done():
            self._head += data
            _, _, body = self._head.partition(b"\r\n\r\n")
            _, blank, data = body.partition(b"\n\n")
            if not blank:
                return
            self.welcomed.set_result(None)
        self._digest.update(data)
        if self._keeps:
            self.body += data
        self._tail = (self._tail + data)[-1000:]
        if END in self._tail and self._tail.endswith(b"\n\n") and not self.ended.done():
            self.ended.set_result(self._digest.hexdigest())

    def connection_lost(self, exc: Exception | None) -> None:
        for waited in (self.welcomed, self.ended):
            if not waited.done():
                waited.set_exception(EOFError("the stream ended early"))
                waited.exception()  # may be nobody's business any more

    def leave(self) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.abort()


async def gather_crowd(url: str, room: str, size: int) -> list[Face]:
    """That many open streams of one user; the first one keeps what it reads."""
    where, bearer = urlsplit(url), token("crowd")
    assert where.hostname is not None
    assert where.port is not None
    loop = asyncio.get_running_loop()
    crowd = []
    for n in range(size):
        query = urlencode({"roomId": room, "username": "crowd", "clientId": f"face-{n}", "token": bearer})
        request = f"GET /events?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        face = Face(request, keeps=n == 0)
        await loop.create_connection(lambda face=face: face, where.hostname, where.port)  # type: ignore[misc]
        await face.welcomed
        crowd.append(face)
    return crowd
