"""Peers that close halfway, reset, or say what they should not."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest

from benchmarks.server_process import ServerProcess, token
from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import LIMIT, Reader

PEERS = 20

Rude = Callable[[ServerProcess], Coroutine[Any, Any, None]]


async def _junk_after_the_get(server: ServerProcess) -> None:
    reader, writer = await _stream(server)
    writer.write(b"\x00\xffjunk")
    await _over(reader, writer)


async def _one_byte_after_the_get(server: ServerProcess) -> None:
    reader, writer = await _stream(server)
    writer.write(b"\n")
    await _over(reader, writer)


async def _another_request_after_the_get(server: ServerProcess) -> None:
    reader, writer = await _stream(server)
    writer.write(_get())
    await _over(reader, writer)


async def _half_close_after_the_get(server: ServerProcess) -> None:
    reader, writer = await _stream(server)
    writer.write_eof()
    await _over(reader, writer)


async def _reset_while_streaming(server: ServerProcess) -> None:
    _, writer = await _stream(server)
    _reset(writer)


async def _reset_right_after_the_get(server: ServerProcess) -> None:
    _, writer = await _connect(server)
    writer.write(_get())
    _reset(writer)


async def _close_right_after_the_get(server: ServerProcess) -> None:
    _, writer = await _connect(server)
    writer.write(_get())
    writer.close()


async def _half_close_with_the_get(server: ServerProcess) -> None:
    reader, writer = await _connect(server)
    writer.write(_get())
    writer.write_eof()
    await _over(reader, writer)


async def _junk_in_one_packet_with_the_get(server: ServerProcess) -> None:
    reader, writer = await _connect(server)
    writer.write(_get() + b"junk")
    await reader.readuntil(b"event: system")
    writer.close()


async def _reset_in_the_middle_of_the_head(server: ServerProcess) -> None:
    _, writer = await _connect(server)
    writer.write(_get()[:40])
    _reset(writer)


async def _close_in_the_middle_of_a_body(server: ServerProcess) -> None:
    _, writer = await _connect(server)
    writer.write(b"POST /api/auth/guest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
    writer.close()


async def _reset_before_the_answer_to_a_post(server: ServerProcess) -> None:
    _, writer = await _connect(server)
    head = f"POST /api/rooms/lobby/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token('rude')}"
    writer.write(head.encode() + b'\r\nContent-Length: 15\r\n\r\n{"message":"x"}')
    _reset(writer)


async def _no_http_at_all(server: ServerProcess) -> None:
    reader, writer = await _connect(server)
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n")
    await _over(reader, writer)


RUDE: list[Rude] = [
    _junk_after_the_get,
    _one_byte_after_the_get,
    _another_request_after_the_get,
    _half_close_after_the_get,
    _half_close_with_the_get,
    _junk_in_one_packet_with_the_get,
    _reset_while_streaming,
    _reset_right_after_the_get,
    _close_right_after_the_get,
    _reset_in_the_middle_of_the_head,
    _close_in_the_middle_of_a_body,
    _reset_before_the_answer_to_a_post,
    _no_http_at_all,
]


@within(60)
async def test_rude_peers_are_noticed_and_leave_nothing_behind(serve: Serve) -> None:
    """However a peer misbehaves, its stream ends, nothing is leaked or logged as a fault, and others go on."""
    server = serve("--heartbeat", "0", "--leave-grace", "0")
    caller = Caller(server.url, "caller")
    quiet = Reader.of_room(server.url, "lobby", "quiet")
    await quiet.connect()
    for rude in RUDE:
        await asyncio.gather(*(rude(server) for _ in range(PEERS)))
        try:
            await eventually(lambda: _streams(caller, 1))
        except TimeoutError:
            pytest.fail(f"streams are left open after {rude.__name__}")
    answer = await caller.call("GET", "/api/rooms/lobby")
    assert answer.data["onlineCount"] == 1, "a member is left behind"
    await caller.send("lobby", "still here")
    await quiet.collect(lambda r: bool(r.posts) and r.posts[-1]["message"] == "still here")
    quiet.cut()
    await eventually(lambda: _streams(caller, 0))
    assert not server.tracebacks(), server.tracebacks()
    assert not [line for line in server.log if " ERROR " in line]


async def _connect(server: ServerProcess) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def _stream(server: ServerProcess) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An open room stream, of which the first event has come."""
    reader, writer = await _connect(server)
    writer.write(_get())
    await asyncio.wait_for(reader.readuntil(b"event: system"), LIMIT)
    return reader, writer


async def _over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits until the server has ended the connection."""
    try:
        await asyncio.wait_for(reader.read(), LIMIT)
    except ConnectionError:
        pass
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with a RST instead of a FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _get() -> bytes:
    """The request of a room stream, of a client of its own."""
    query = urlencode({"roomId": "lobby", "username": "rude", "token": token("rude")})
    return f"GET /events?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def _streams(caller: Caller, count: int) -> bool:
    return await caller.metric("chatrooms_streams") == count
