"""What streams ask of their sockets: bounds, a proper end, and whether the peer is still there."""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from typing import Protocol

# Offsets in struct tcp_info (linux/tcp.h): segments not acknowledged, milliseconds since the last acknowledgement.
_UNACKED, _LAST_ACK, _TCP_INFO_BYTES = 24, 56, 60

SEND_BUFFER = 64 << 10  # bytes the kernel holds for a reader that does not read


class Sink(Protocol):
    """Takes bytes as a non-blocking socket does."""

    def send(self, data: bytes, /) -> int:
        """How many bytes it took. Raises OSError."""


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


def say_goodbye(sock: socket.socket) -> None:
    """Tells a TLS peer that this is the end, not a cut (RFC 8446, 6.1), without waiting for its answer."""
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
