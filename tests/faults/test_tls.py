"""The same streams under TLS, where would-block, readable and end mean other things."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import ssl
from typing import NamedTuple

import pytest

from benchmarks.server_process import token
from chatrooms.client import Client
from tests.faults.conftest import Serve
from tests.helpers.certificate import self_signed
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import LIMIT, Reader, texts

MESSAGES = 3_000
SMALL = 4096  # bytes of SO_RCVBUF
RECORD = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # how a handshake begins


class Tls(NamedTuple):
    """A self-signed certificate for 127.0.0.1, and who trusts it."""

    options: tuple[str, ...]
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = self_signed(folder)
    return Tls(("--ssl-cert", str(cert), "--ssl-key", str(key)), ssl.create_default_context(cafile=cert))


@within(60)
async def test_a_stream_under_tls_is_live_and_resumes(serve: Serve, tls: Tls) -> None:
    """Messages come as they are said; a stream that was cut goes on after its last id."""
    server = serve(*tls.options)
    caller = Caller(server.url, "writer", tls.context)
    reader = Reader.of_room(server.url, "lobby", "reader", context=tls.context)
    await reader.connect()
    await reader.collect(lambda r: bool(r.of_type("system")))
    for n in range(5):
        await caller.send("lobby", f"m{n}")
        await reader.collect(lambda r, n=n: len(r.posts) > n)  # type: ignore[misc]
    for cut in range(1, 20):
        reader.cut()
        await caller.fill("lobby", 5 + (cut - 1) * 100, 5 + cut * 100)
        await reader.connect()
        await reader.collect(lambda r, cut=cut: len(r.posts) >= 5 + cut * 100 - 50)  # type: ignore[misc]
    await reader.collect(lambda r: len(r.posts) >= 1905)
    assert texts(reader.posts) == [f"m{n}" for n in range(1905)]


@within(60)
async def test_a_slow_reader_under_tls_gets_everything(serve: Serve, tls: Tls) -> None:
    """A reader slower than the writer, behind a small buffer, misses and repeats nothing."""
    server = serve(*tls.options, "--heartbeat", "0.25")
    caller = Caller(server.url, "writer", tls.context)
    reader = Reader.of_room(server.url, "lobby", "slow", context=tls.context, receive_buffer=SMALL)
    await reader.connect()
    await reader.collect(lambda r: bool(r.of_type("system")))
    await caller.fill("lobby", 0, MESSAGES, size=400)
    while len(reader.posts) < MESSAGES:
        assert await reader.read(777)
    await caller.send("lobby", f"m{MESSAGES}")
    await reader.collect(lambda r: len(r.posts) > MESSAGES)
    assert texts(reader.posts) == [f"m{n}" for n in range(MESSAGES + 1)]
    assert reader.connections == 1


@within(60)
async def test_a_slow_compressed_reader_under_tls_gets_everything(serve: Serve, tls: Tls) -> None:
    """Blocks that the kernel cuts go on with the same bytes, and the checksum at the end holds."""
    server = serve(*tls.options, "--heartbeat", "0.25", "--compress", "--drain", "0")
    caller = Caller(server.url, "writer", tls.context)
    headers = {"Accept-Encoding": "gzip"}
    reader = Reader.of_room(server.url, "lobby", "slow", headers=headers, context=tls.context, receive_buffer=SMALL)
    await reader.connect()
    assert b"Content-Encoding: gzip" in reader.head
    await reader.collect(lambda r: bool(r.of_type("system")))
    said = [f"m{n} {random.randbytes(300).hex()}" for n in range(MESSAGES)]
    await caller.say_all("lobby", said)
    while len(reader.posts) < MESSAGES:
        assert await reader.read(777)
    assert [post["message"] for post in reader.posts] == said and reader.connections == 1
    server.terminate()
    while await reader.read():
        pass
    assert reader.events[-1].type == "closing" and reader.whole


@within(60)
async def test_streams_that_share_a_slow_connection_under_tls_get_everything(serve: Serve, tls: Tls) -> None:
    """Where a cut write must be made again with the same bytes."""
    server = serve(*tls.options, "--heartbeat", "0.25")
    caller = Caller(server.url, "writer", tls.context)
    users = {f"k{n}": f"user-{n}" for n in range(20)}
    asked = [{"key": key, "token": token(user), "roomId": "lobby", "username": user} for key, user in users.items()]
    reader = Reader(server.url, body={"subscriptions": asked}, context=tls.context, receive_buffer=SMALL)
    await reader.connect()
    await reader.collect(lambda r: len(r.of_type("system")) == 20)
    await caller.fill("lobby", 0, 300, size=400)
    while len(reader.posts) < 20 * 300:
        assert await reader.read(777)
    for n in range(20):
        mine = [json.loads(e.data) for e in reader.events if e.sub == f"k{n}" and e.type == "room-message"]
        assert texts(mine) == [f"m{n}" for n in range(300)]


@within(60)
async def test_a_stalled_reader_under_tls_is_ended_and_resumes(serve: Serve, tls: Tls) -> None:
    """One that reads nothing is ended after write-timeout; what it lacks is there when it is back."""
    server = serve(*tls.options, "--write-timeout", "2", "--heartbeat", "0")
    caller = Caller(server.url, "writer", tls.context)
    reader = Reader.of_room(server.url, "lobby", "stalled", context=tls.context, receive_buffer=SMALL)
    await reader.connect()
    await caller.fill("lobby", 0, MESSAGES, size=400)
    await eventually(lambda: _streams(caller, 0))
    await reader.follow(lambda r: len(r.posts) >= MESSAGES)
    assert texts(reader.posts) == [f"m{n}" for n in range(MESSAGES)]
    assert reader.connections == 2


@within(60)
async def test_the_python_client_speaks_tls(serve: Serve, tls: Tls) -> None:
    """With whom it is told to trust, and with nobody else."""
    server = serve(*tls.options)
    async with Client(server.url, token("ann"), tls=tls.context) as client:
        await client.send("lobby", "hello")
        async for event in client.room("lobby", "ann", history=1):
            if event.type == "room-message":
                break
    async with Client(server.url, token("ann"), patience=0) as client:
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.send("lobby", "hello")


@within(60)
async def test_a_drain_under_tls_ends_streams_in_order(serve: Serve, tls: Tls) -> None:
    """`closing` comes whole, then TLS's own goodbye: nothing that looks like an attack on the connection."""
    server = serve(*tls.options, "--drain", "0.2")
    reader = Reader.of_room(server.url, "lobby", "reader", context=tls.context)
    body = asyncio.create_task(asyncio.to_thread(_read_to_goodbye, server.port, reader.request(), tls.context))
    caller = Caller(server.url, "caller", tls.context)
    await eventually(lambda: _streams(caller, 1))
    server.signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.wait) == 0
    last = (await body).split(b"\n\n")[-2].split(b"\n")
    assert b"event: closing" in last
    data = next(line for line in last if line.startswith(b"data: "))
    assert json.loads(data[6:]) == {"reason": "draining", "reconnect": True}


@within(60)
async def test_rude_peers_under_tls_leave_nothing_behind(serve: Serve, tls: Tls) -> None:
    """Junk, a reset, plain text, a handshake that stops: all end without a leak or a fault in the log."""
    server = serve(*tls.options, "--heartbeat", "0", "--leave-grace", "0")
    caller = Caller(server.url, "caller", tls.context)
    for n in range(20):
        reader = Reader.of_room(server.url, "lobby", f"rude-{n}", context=tls.context)
        await reader.connect()
        await reader.collect(lambda r: bool(r.of_type("system")))
        if n % 2:
            reader.write(b"junk")
            while await reader.read():
                pass
        reader.cut()
        await _plain(server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", wait=True)
        await _plain(server.port, RECORD, wait=False)
    await eventually(lambda: _streams(caller, 0))
    assert not [line for line in server.log if " ERROR " in line]


def _read_to_goodbye(port: int, request: bytes, context: ssl.SSLContext) -> bytes:
    """The whole answer. Raises ssl.SSLEOFError when the connection ends without close_notify."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as plain:
        sock = context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
        with sock:
            sock.sendall(request)
            received = b""
            while chunk := sock.recv(1 << 16):
                received += chunk
            return received


async def _plain(port: int, data: bytes, wait: bool) -> None:
    """Sends bytes that are no TLS, or only its beginning."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        if wait:
            await asyncio.wait_for(reader.read(), LIMIT)
    except ConnectionError:
        pass
    writer.close()


async def _streams(caller: Caller, count: int) -> bool:
    return await caller.metric("chatrooms_streams") == count
