"""Bytes that are no requests, or almost."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

HOST = b"Host: localhost\r\n"


def truncated(random: Random, request: bytes) -> bytes:
    return request[: random.randrange(len(request))]


def pipelined(random: Random, request: bytes) -> bytes:
    return request * random.randrange(2, 8)


def wrong_length(random: Random, request: bytes) -> bytes:
    length = random.choice(
        [b"-1", b"1e3", b"0x10", b"99999999999999999999", b"9" * 5000, b"5, 6", b"", b"+3", b"3000000"]
    )
    return b"POST /api/signin HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\n{}"


def two_lengths(random: Random, request: bytes) -> bytes:
    return b"POST /api/signin HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


def chunks(random: Random, request: bytes) -> bytes:
    body = random.choice(
        [
            b"zz\r\n{}\r\n",
            b"-1\r\n",
            b"ffffffffffffffff\r\n",
            b"2\r\n{}\r\n0\r\n\r\n",
            b"2\r\n{}xx",
            b"\r\n" * 9,
            b"1" * 100,
            b"2;ext=1\r\n{}\r\n0\r\n\r\n",
            b"1\r\n{\r\n" * 3000,
            b"200001\r\n" + b" " * 0x200001,
        ]
    )
    return b"POST /api/signin HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body


def line(random: Random, request: bytes) -> bytes:
    first = random.choice(
        [
            b"",
            b"GET",
            b"GET /",
            b"GET / HTTP/9.9",
            b"GET  /  HTTP/1.1",
            b"G\xcbT / HTTP/1.1",
            b"GET /\xe9 HTTP/1.1",
            b"GET /\0 HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"GET http://evil/ HTTP/1.1",
            b"CONNECT a:1 HTTP/1.1",
            b"PRI * HTTP/2.0",
            b"GET / HTTP/1.0",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET //evil/%2e%2e HTTP/1.1",
        ]
    )
    return first + random.choice([b"\r\n", b"\n", b"\r", b"\n\r"]) + HOST + b"\r\n"


def headers(random: Random, request: bytes) -> bytes:
    lines = random.choice(
        [
            b"no colon\r\n",
            b": empty\r\n",
            b" folded: x\r\n",
            b"A\0: b\r\n",
            b"A: \xff\xfe\r\n",
            b"A: b\rC: d\r\n",
            b"a:\r\n" * 5000,
            b"Host: other\r\n",
            b"Cookie: " + b"a=b;" * 3000 + b"\r\n",
            b"Expect: 100-continue\r\n",
            b"Authorization: Basic \xff\r\n",
            b"Authorization:\r\n",
            b'Cookie: chatrooms_token="\\377\\"\r\n',
            b"Transfer-Encoding: gzip\r\n",
            b"Content-Encoding: gzip\r\n",
            b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        ]
    )
    return b"GET /api/rooms HTTP/1.1\r\n" + HOST + lines + b"\r\n"


def huge(random: Random, request: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n"


def long_query(random: Random, request: bytes) -> bytes:
    return (
        b"GET /events?"
        + random.choice([b"a" * 12_000, b"a=b&" * 2000, b"%" * 9000])
        + b" HTTP/1.1\r\n"
        + HOST
        + b"\r\n"
    )


def anything(random: Random, request: bytes) -> bytes:
    return random.randbytes(random.randrange(1, 400)) + random.choice([b"", b"\r\n\r\n"])


def damaged(random: Random, request: bytes) -> bytes:
    place = random.randrange(len(request))
    return request[:place] + random.randbytes(1) + request[place + 1 :]


KINDS: list[Callable[[Random, bytes], bytes]] = [
    truncated, pipelined, wrong_length, two_lengths, chunks, line, headers, huge, long_query, anything, damaged,
]  # fmt: skip
