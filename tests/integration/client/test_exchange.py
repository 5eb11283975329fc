"""The Python client's connections: when they end, what they hold, and where they do not go."""

from __future__ import annotations

import asyncio
import sys
import traceback
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from chatrooms.client import Client, Refused
from tests.helpers.reader import PATIENCE

pytestmark = pytest.mark.gen_test(timeout=60)

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
FIRST = b"id: 1\nevent: x\ndata: {}\n\n"
PIECE = (b"event: x\ndata: " + b"x" * 1000 + b"\n\n") * 64
PIECES = 1024  # of some 64 KiB


@asynccontextmanager
async def serving(answer: Callable[[bytes, StreamReader, StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that gives the head of each request, and its connection, to a function; real HTTP."""

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError):
            await answer(await reader.readuntil(b"\r\n\r\n"), reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*tasks)


async def read_all(client: Client, path: str = "/x") -> None:
    async for _ in client.events(path):
        pass


class Hanging:
    """A server's end of one connection: `asked` when the request is there, `hung_up` when the client is gone."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def answer(self, head: bytes, reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(self._said)
        self.asked.set()
        try:
            await reader.read()
        finally:
            self.hung_up.set()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", STREAM, STREAM + FIRST])
async def test_cancelling_hangs_up(said: bytes) -> None:
    """Before the answer, in its head and in its body; nothing more has to come for it."""
    hanging = Hanging(said)
    async with serving(hanging.answer) as url, Client(url, "t") as client, asyncio.timeout(PATIENCE):
        reading = asyncio.create_task(read_all(client))
        await hanging.asked.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await hanging.hung_up.wait()


async def test_leaving_the_loop_hangs_up() -> None:
    """While the client stays open."""
    hanging = Hanging(STREAM + FIRST)
    async with serving(hanging.answer) as url, Client(url, "t") as client, asyncio.timeout(PATIENCE):
        async for _ in client.events("/x"):
            break
        await hanging.hung_up.wait()


LEFT = """
import asyncio, sys
from chatrooms.client import Client

feeds = []  # they outlive main

async def main():
    client = Client(sys.argv[1], "t")
    for _ in range(20):
        feeds.append(client.events("/x"))
        await anext(feeds[-1])

asyncio.run(main())
"""


async def test_program_may_end_in_the_middle() -> None:
    """Neither its streams nor its client were closed: it hangs up, and complains of nothing."""
    hanging = Hanging(STREAM + FIRST)
    async with serving(hanging.answer) as url, asyncio.timeout(PATIENCE):
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LEFT, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await program.communicate()
        await hanging.hung_up.wait()
    assert (program.returncode, said.decode()) == (0, "")


async def test_closed_client_hangs_up_for_good() -> None:
    """Whatever still reads from it ends; nothing is connected again."""
    hanging = Hanging(STREAM + FIRST)
    async with serving(hanging.answer) as url, asyncio.timeout(PATIENCE):
        async with Client(url, "t") as client:
            reading = asyncio.create_task(read_all(client))
            await hanging.asked.wait()
        await hanging.hung_up.wait()
        for late in (reading, client.call("GET", "/x")):
            with pytest.raises(RuntimeError):
                await late


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_is_not_read_is_not_taken(chunked: bool) -> None:
    """While one stream is read to its end, another of the same length waits in the server."""
    sent = {b"/read": 0, b"/unread": 0}
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    head = STREAM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") if chunked else STREAM

    async def answer(asked: bytes, _: StreamReader, writer: StreamWriter) -> None:
        path = asked.split(b" ")[1]
        writer.write(head)
        for _n in range(PIECES):
            writer.write(piece)
            await writer.drain()
            sent[path] += 1

    async with serving(answer) as url, Client(url, "t") as client:
        unread = client.events("/unread")
        await anext(unread)
        async for _ in client.events("/read"):
            if sent[b"/read"] == PIECES:
                break
        assert sent[b"/unread"] < PIECES / 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_refusals(status: int) -> None:
    """The token goes to the server it is for, and to no other; nor does what one says."""
    elsewhere: list[bytes] = []

    async def other(head: bytes, _: StreamReader, __: StreamWriter) -> None:
        elsewhere.append(head)

    async with serving(other) as away:

        async def answer(head: bytes, _: StreamReader, writer: StreamWriter) -> None:
            writer.write(f"HTTP/1.1 {status} Away\r\nLocation: {away}/x\r\nContent-Length: 2\r\n\r\nhm".encode())
            await writer.drain()

        async with serving(answer) as url, Client(url, "t", patience=0) as client:
            asked: list[Awaitable[object]] = [
                client.call("GET", "/x"), client.send("lobby", "hi"), client.reply("hi").text(), read_all(client),
            ]  # fmt: skip
            for each in asked:
                with pytest.raises(Refused) as refused:
                    await each
                assert (refused.value.status, refused.value.code) == (status, "unknown")
    assert elsewhere == []


async def test_environment_and_cookies_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy that it names is used, and no cookie that was set comes back; a path of the URL goes before."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    heads: list[bytes] = []

    async def answer(head: bytes, _: StreamReader, writer: StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n")
        await writer.drain()

    async with serving(answer) as url, Client(url.replace("//", "//ann:secret@") + "/chat/", "t") as client:
        for _ in range(2):
            await client.call("GET", "/a/../%2e%2F?b=%20")
    assert [head.split(b"\r\n")[0] for head in heads] == [b"GET /chat/a/../%2e%2F?b=%20 HTTP/1.1"] * 2
    assert all(b"Authorization: Bearer t\r\n" in head and b"cookie" not in head.lower() for head in heads)


@pytest.mark.parametrize("token", ["top\nsecret", "top\r\nX-Secret: secret", "secret"])
async def test_tokens_are_not_shown(token: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not where the connection breaks, nor where a token is no header: then nothing is sent."""
    caplog.set_level(0)
    heads: list[bytes] = []

    async def answer(head: bytes, _: StreamReader, __: StreamWriter) -> None:
        heads.append(head)

    async with serving(answer) as url, Client(url, token) as client:
        with pytest.raises(OSError if token == "secret" else ValueError) as failed:
            await client.call("GET", "/x")
    assert len(heads) == (token == "secret")
    told = [str(failed.value), repr(failed.value.__dict__), *traceback.format_tb(failed.tb), caplog.text]
    assert "secret" not in "".join(told)
