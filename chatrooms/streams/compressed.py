"""Compressed streams: every write is one block of a gzip body, compressed once for all who get the same bytes.

A block ends in a full flush and refers to nothing before it (zlib's manual, Z_FULL_FLUSH), so a reader
decodes it as it comes, and streams that opened at different times share it.
"""

from __future__ import annotations

import socket
import ssl
import struct
import zlib
from collections import OrderedDict

from chatrooms.streams.sockets import Cut
from chatrooms.streams.stream import Keeper, Stream
from chatrooms.streams.topic import Topic

LEVEL = 2  # of one event no level makes more; of eight, 6 saves another 5 % for a third more work
BLOCKS = 64  # kept, for readers that get the same bytes a little later
BLOCKS_BYTES = 2 << 20  # of those, with the bytes they were made of

_MEMBER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # RFC 1952, 2.3: deflate, neither name nor time, from an unknown system
_LAST_BLOCK = b"\x03\0"  # RFC 1951, 3.2.3 and 3.2.6: empty, and final
_LENGTH = 0xFFFF_FFFF  # RFC 1952, 2.3.1: lengths count modulo 2^32


class Compressor:
    """Makes blocks of raw deflate (RFC 1951), and remembers the last ones."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)  # one for all: to make one takes 30 µs
        self._blocks: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self._last = self._last_block = b""

    def block(self, data: bytes) -> bytes:
        """The block of these bytes; none for none."""
        if data is not self._last:
            self._last, self._last_block = data, self._remembered(data) if data else b""
        return self._last_block

    def _remembered(self, data: bytes) -> bytes:
        block = self._blocks.get(data)
        if block is None:
            block = self._deflate.compress(data) + self._deflate.flush(zlib.Z_FULL_FLUSH)
            self._bytes += len(data) + len(block)
        else:
            del self._blocks[data]
        self._blocks[data] = block
        while len(self._blocks) > BLOCKS or self._bytes > BLOCKS_BYTES:
            made_of, dropped = self._blocks.popitem(last=False)
            self._bytes -= len(made_of) + len(dropped)
        return block


class GzipBody:
    """A sink that sends a response head with a gzip body, a block for each write.

    All or nothing of a write counts as sent: what the kernel leaves of a block is raised as Cut.
    """

    __slots__ = ("_before", "_checksum", "_compressor", "_length", "_socket", "ending")

    def __init__(self, sock: socket.socket, head: bytes, compressor: Compressor) -> None:
        self._socket = sock
        self._compressor = compressor
        self._before = head + _MEMBER  # goes out with the first write
        self._checksum = self._length = 0
        self.ending = False  # whether the next write ends the body

    @property
    def begun(self) -> bool:
        """Whether the head was written."""
        return not self._before

    def send(self, data: bytes, /) -> int:
        block = self._compressor.block(data)
        self._checksum = zlib.crc32(data, self._checksum)
        self._length += len(data)
        if self._before:
            block, self._before = self._before + block, b""
        if self.ending:
            block += _LAST_BLOCK + struct.pack("<II", self._checksum, self._length & _LENGTH)
        try:
            sent = self._socket.send(block)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        if sent < len(block):
            raise Cut(block[sent:])
        return len(data)


class CompressedStream(Stream):
    """A stream whose response is compressed, from its head to its end."""

    __slots__ = ("_body",)

    def __init__(
        self, keeper: Keeper, sock: socket.socket, head: bytes, compressor: Compressor, topic: Topic, position: int
    ) -> None:  # fmt: skip
        super().__init__(keeper, sock, topic, position)
        self.sink = self._body = GzipBody(sock, head, compressor)

    def write(self, data: bytes) -> None:
        """Writes bytes that belong to no topic; the first time also the head, even if it is all there is."""
        if not self.stalled_at and (data or not self._body.begun):
            self._send(data, self._body)

    def finish(self, last: bytes, hold: float = 0.0) -> None:
        """Ends the body with a last frame and gzip's trailer: strict readers miss it in one that just stops."""
        if self.open and not self.stalled_at:
            self._body.ending = True
            self._send(last, self._body)
        super().finish(b"", hold)

    def _send_rest(self, rest: bytes) -> int:
        """Sends the rest of a block, which is compressed already."""
        return -1 if self._socket is None else self._send(rest, self._socket)
