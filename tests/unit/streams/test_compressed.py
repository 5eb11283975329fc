"""Compressed streams: blocks that stand alone, and a body that is whole wherever the kernel cuts (sockets.py)."""

from __future__ import annotations

import asyncio
import gzip
import random
import re
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrooms.http.streaming import accepts_gzip
from chatrooms.streams.sockets import BLOCKS, BLOCKS_BYTES, Compressor, GzipBody
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic
from tests.unit.streams.test_outlet import HEAD, Cutting, Keeper, cutting

MESSAGE = (
    b'id: k3x9-%d\nevent: room-message\ndata: {"messageId":"k3x9-%d","roomId":"lobby","userId":"user-%d","username":'
    b'"User %d","message":"This is message %d, and it says something else than the others: %d.","timestamp":17637612%d}'
    b"\n\n"
)
EVENTS = [MESSAGE % (n, n, n % 5, n % 5, n, n * n, 34000 + n) for n in range(100, 108)]


def inflated(block: bytes) -> bytes:
    """A block, decoded by itself."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(block)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP ; Q=0.5", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("*;q=1, gzip;q=0.000", False),
        ("", False),
        ("identity", False),
        ("br, deflate", False),
        ("notgzip", False),
        ("gzip;q=no", False),
    ],
)
def test_gzip_is_sent_to_those_that_accept_it(header: str, accepted: bool) -> None:
    """RFC 9110, 12.5.3."""
    assert accepts_gzip(header) is accepted


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=20))
def test_each_block_stands_alone(writes: list[bytes]) -> None:
    """It is decoded without those before it, in any order, and brings all of its bytes."""
    compressor = Compressor()
    blocks = [compressor.block(data) for data in writes * 2]
    assert [inflated(block) for block in reversed(blocks)] == (writes * 2)[::-1]


def test_block_never_tells_what_was_in_an_earlier_one() -> None:
    """A secret said before makes no later block shorter: no guess can be measured across writes."""
    secret, guess = b"data: the secret is 8f3a9c1e77\n\n", b"data: is the secret 8f3a9c1e77?\n\n"
    told, untold = Compressor(), Compressor()
    told.block(secret)
    assert told.block(guess) == untold.block(guess)


def test_block_is_made_once_for_all() -> None:
    compressor = Compressor()
    first, second = bytes(EVENTS[0]), bytes(EVENTS[1])
    block, other = compressor.block(first), compressor.block(second)
    assert compressor.block(EVENTS[0][:]) is block and compressor.block(bytes(bytearray(EVENTS[1]))) is other


def test_few_blocks_are_kept() -> None:
    compressor = Compressor()
    for n in range(5 * BLOCKS):
        compressor.block(b"%d" % n * 20_000)
        kept = [*compressor._blocks, *compressor._blocks.values()]
        assert len(kept) <= 2 * BLOCKS
        assert sum(map(len, kept)) == compressor._bytes <= BLOCKS_BYTES
    assert inflated(compressor.block(b"x" * BLOCKS_BYTES)) == b"x" * BLOCKS_BYTES


def test_eight_joined_events_take_a_third() -> None:
    joined = b"".join(EVENTS)
    assert 3 * len(Compressor().block(joined)) <= len(joined)


async def _cut_anywhere(takes: list[int], frames: list[bytes]) -> tuple[Cutting, Keeper]:
    """A stream on a socket that takes that many bytes at a time, brought through all frames to its end."""
    sock, keeper = cutting(iter([*takes, *([1 << 20] * 10_000)])), Keeper()
    topic = Topic("t", 0)
    stream = Stream(keeper, sock, topic, 0, GzipBody(sock, Compressor()))
    stream.write(HEAD + b"first")
    for number, frame in enumerate(frames, 1):
        topic.append(frame, number)
        if not stream.stalled_at:
            keeper.resume(stream)
        stream.write(b"beat")
    while stream.stalled_at:
        stream._on_writable()
    sock.takes = iter([1 << 20] * 2)  # a last event that the socket does not take would be given up
    stream.finish(b"last")
    return sock, keeper


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.lists(st.integers(0, 60), max_size=10))
def test_body_is_whole_wherever_the_kernel_cuts(takes: list[int], sizes: list[int]) -> None:
    """Every frame once and in order, heartbeats between them, and a trailer that holds."""
    frames = [b"[%d]" % number + b"." * size for number, size in enumerate(sizes)]
    sock, keeper = asyncio.run(_cut_anywhere(takes, frames))
    assert sock.taken.startswith(HEAD) and len(keeper.ends) == 1
    body = gzip.decompress(sock.taken[len(HEAD) :])
    frame = re.compile(rb"\[\d+\]\.*")
    assert frame.findall(body) == frames
    assert frame.sub(b"", body).replace(b"beat", b"") == b"firstlast"


async def _stalled_after_a_part() -> None:
    sock, keeper, topic = cutting(iter([1 << 20, 7, *([0] * 9)])), Keeper(), Topic("t", 0)
    stream = Stream(keeper, sock, topic, 0, GzipBody(sock, Compressor()))
    stream.write(HEAD + b"first")
    for number in range(1000):
        topic.append(random.randbytes(1000), number + 1)  # nothing that shrinks
        if not stream.stalled_at:
            keeper.resume(stream)
        stream.write(b"beat")
    assert stream.stalled_at and 900 < len(stream._rest) < 1100
    for _ in range(8):
        stream._on_writable()
    assert stream.position == 1 and 900 < len(stream._rest) < 1100
    stream.close()


def test_stalled_stream_keeps_one_block() -> None:
    """What comes while its socket takes nothing stays in the topic."""
    asyncio.run(_stalled_after_a_part())
