"""The front door: what never becomes a request is refused in JSON, and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.web import Application

from chatrooms.http import front
from tests.helpers.chat import Chat

pytestmark = pytest.mark.gen_test(timeout=30)

HOST = b"Host: localhost\r\n"
NO_REQUESTS = {
    "no line": b"garbage\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "version": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + HOST + b"what\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    "control": b"GET / HTTP/1.1\r\n" + HOST + b"A: \x01\r\n\r\n",
    "length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
    "lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 2\r\n\r\n",
    "both": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "chunk": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "long chunk": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 100,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}
TOO_LARGE = {
    "head": (431, b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * front.MAX_HEAD + b"\r\n\r\n"),
    "headers": (431, b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * front.MAX_HEADERS + b"\r\n"),
    "target": (414, b"GET /?" + b"a" * front.MAX_TARGET + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "body": (413, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2097153\r\n\r\n"),
    "huge body": (413, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"),
    "body of a route": (
        413,
        b"POST /api/signin HTTP/1.1\r\n" + HOST + b"Content-Length: 300000\r\n\r\n" + b" " * 300_000,
    ),
}


@pytest.fixture
def door(app: Application, io_loop: IOLoop) -> Iterator[Chat]:
    """Calls to the application through the front door, as `serve` opens it."""
    server = app.settings["server"]
    io_loop.run_sync(server.start)
    sock, port = bind_unused_port()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Chat]:
        http = front.Front(app, server.options.write_timeout)
        http.add_sockets([sock])
        chat = Chat(port, server)
        yield chat
        chat.close()
        http.stop()
        await http.close_all_connections()

    context = opened()
    chat: Chat = io_loop.run_sync(context.__aenter__)
    yield chat
    io_loop.run_sync(lambda: context.__aexit__(None, None, None))


@pytest.mark.parametrize("kind", NO_REQUESTS)
async def test_what_is_no_request_is_refused_in_json(door: Chat, kind: str) -> None:
    """Not by a bare line, and not by a page."""
    answer = await door.raw(NO_REQUESTS[kind])
    assert (answer.status, answer.code) == (400, "bad-request")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("kind", TOO_LARGE)
async def test_what_is_too_large_is_refused_in_json(door: Chat, kind: str) -> None:
    """Before it is read, where its size is told."""
    status, request = TOO_LARGE[kind]
    answer = await door.raw(request)
    assert (answer.status, answer.code) == (status, "too-large")


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "multipart/form-data", "multipart/mixed"])
async def test_multipart_is_415(door: Chat, kind: str) -> None:
    """Well formed or not."""
    answer = await door.post("/api/signin", b"--x nonsense", None, headers={"Content-Type": kind})
    assert (answer.status, answer.code) == (415, "unsupported-media-type")


async def test_bad_forms_are_bad_json(door: Chat) -> None:
    """Tornado would refuse some by itself."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await door.post("/api/signin", b"&" * 5000, None, headers=kind)
    assert (answer.status, answer.code) == (400, "bad-json")


async def test_streams_and_calls_pass(door: Chat) -> None:
    """The door is in nobody's way."""
    reader = await door.join()
    await door.say("lobby", "hello")
    await reader.message("hello")


async def test_pipelined_requests_are_answered_in_order(door: Chat) -> None:
    """Each has its own deadline."""
    one = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    for _ in range(3):
        assert (await door.raw(one * 5)).status == 200
