"""Where the bytes of streams go: sockets, with bounds and a proper end, and compressed bodies on them.

A compressed body (RFC 1952) is a block for each write. A block ends in a full flush and refers to nothing
before it (zlib's manual, Z_FULL_FLUSH): a reader decodes it as it comes, and streams that opened at
different times share it.
"""

from __future__ import annotations

import socket
import ssl
import struct
import zlib
from collections import OrderedDict
from contextlib import suppress
from typing import Protocol

# Offsets in struct tcp_info (linux/tcp.h): segments not acknowledged, milliseconds since the last acknowledgement.
_UNACKED, _LAST_ACK, _TCP_INFO_BYTES = 24, 56, 60

SEND_BUFFER = 64 << 10  # bytes the kernel holds for a reader that does not read

LEVEL = 2  # no level makes more of one event; of eight, 6 saves another 5 % for a third more work
BLOCKS = 64  # kept, for readers that get the same bytes a little later
BLOCKS_BYTES = 2 << 20  # of these, including the bytes they were made of

_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # RFC 1952, 2.3: deflate, no name, no time, no known system
_LAST_BLOCK = b"\x03\0"  # RFC 1951, 3.2.3 and 3.2.6: empty, and final
_END_OF_HEAD = b"\r\n\r\n"


class Sink(Protocol):
    """Takes bytes as a non-blocking socket does."""

    def send(self, data: bytes, /) -> int:
        """How many bytes it took. Raises OSError, Cut among them."""


class Cut(OSError):
    """The kernel took only a part of a write that cannot be made again: `rest` is to follow, as it is."""

    def __init__(self, rest: bytes) -> None:
        super().__init__("a write was cut")
        self.rest = rest


class Compressor:
    """Makes the blocks of all compressed bodies, and remembers the last ones."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)  # for all: making one takes 30 µs
        self._blocks: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self._last = self._last_block = b""

    def block(self, data: bytes) -> bytes:
        """The block of these bytes; empty if there are none."""
        if data is not self._last:
            self._last_block = self._remembered(data) if data else b""
            self._last = data
        return self._last_block

    def _remembered(self, data: bytes) -> bytes:
        block = self._blocks.pop(data, None)
        if block is None:
            block = self._deflate.compress(data) + self._deflate.flush(zlib.Z_FULL_FLUSH)
            self._bytes += len(data) + len(block)
        self._blocks[data] = block
        while len(self._blocks) > BLOCKS or self._bytes > BLOCKS_BYTES:
            made_of, dropped = self._blocks.popitem(last=False)
            self._bytes -= len(made_of) + len(dropped)
        return block


class GzipBody:
    """A sink that writes a response with a gzip body to a socket.

    A write counts as taken as a whole: what the kernel leaves of its block is raised as Cut, and has to be
    sent before anything else. The first write begins with the response head.
    """

    __slots__ = ("_begun", "_checksum", "_compressor", "_left", "_length", "socket")

    def __init__(self, sock: socket.socket, compressor: Compressor) -> None:
        self.socket = sock
        self._compressor = compressor
        self._begun = False
        self._checksum = self._length = 0
        self._left = 0  # bytes of a block that was cut

    def send(self, data: bytes, /) -> int:
        if self._left:
            sent = self.socket.send(data)
            self._left -= sent
            return sent
        if self._begun:
            block = self._block(data)
        else:
            head, end, body = data.partition(_END_OF_HEAD)
            block = head + end + _GZIP_HEADER + self._block(body)
            self._begun = True
        try:
            sent = self.socket.send(block)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        if sent < len(block):
            self._left = len(block) - sent
            raise Cut(block[sent:])
        return len(data)

    def end(self) -> None:
        """Ends the body with its trailer, if the socket takes it: strict readers want one (RFC 1952, 2.3.1)."""
        trailer = struct.pack("<II", self._checksum, self._length & 0xFFFF_FFFF)
        with suppress(OSError):
            self.socket.send(_LAST_BLOCK + trailer)

    def _block(self, data: bytes) -> bytes:
        self._checksum = zlib.crc32(data, self._checksum)
        self._length += len(data)
        return self._compressor.block(data)


def tune(sock: socket.socket, write_timeout: float) -> None:
    """Bounds what a stalled peer costs, and detects a silently dead one."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    give_up_after(sock, write_timeout)


def give_up_after(sock: socket.socket, write_timeout: float) -> None:
    """Ends a connection whose peer takes nothing for that long; 0 leaves it to the kernel."""
    if write_timeout and hasattr(socket, "TCP_USER_TIMEOUT"):
        # Or the kernel retries into a dead network for 15 minutes (RFC 5482).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(write_timeout * 1000))


def say_goodbye(sink: Sink) -> None:
    """Tells the peer that this is the end, not a cut: by gzip's trailer, and by TLS (RFC 8446, 6.1).

    It does not wait for an answer.
    """
    sock = sink
    if isinstance(sink, GzipBody):
        sink.end()
        sock = sink.socket
    if isinstance(sock, ssl.SSLSocket):
        with suppress(OSError, ValueError):  # including SSLWantReadError: the answer is not there yet
            sock.unwrap()


def only_tls_housekeeping(sock: socket.socket) -> bool:
    """Whether a TLS record without application data made a socket readable."""
    if not isinstance(sock, ssl.SSLSocket):
        return False
    try:
        sock.recv(1)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    except OSError:
        return False
    return False


def unacknowledged(sock: socket.socket, seconds: float) -> bool:
    """Whether the peer's machine has acknowledged nothing for that long, though something was sent."""
    if not hasattr(socket, "TCP_INFO"):
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:  # not TCP
        return False
    unacked, last_ack = (struct.unpack_from("=I", info, place)[0] for place in (_UNACKED, _LAST_ACK))
    return bool(unacked) and last_ack > seconds * 1000
