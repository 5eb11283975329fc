"""A connection up to its request: what is refused while it is read, and when it is cut off."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from http.client import responses
from typing import Any

import msgspec
from tornado.iostream import SSLIOStream, UnsatisfiableReadError

from chatrooms.errors import BadRequest, Problem, TooLarge
from chatrooms.http.tornado_internals import MeasuredStream

HEAD_TIMEOUT = 10.0  # seconds from the first byte of a head (or the start of the connection) to its last
BODY_TIMEOUT = 12.0  # seconds from the end of a head to the end of its body
IDLE_TIMEOUT = 75.0  # seconds without a byte between requests
ANSWER_TIMEOUT = 60.0  # seconds for the peer to take all that was written to it, however slowly it reads
OWED_BYTES = 32 << 20  # of untaken answers on all connections; above it, the peer that owes most is cut off

# Tornado's bare answer to what it cannot read.
_BARE = b"HTTP/1.1 400 Bad Request\r\n\r\n"


def refusal(problem: Problem) -> bytes:
    """A whole response that ends the connection, for input that never becomes a request."""
    body = msgspec.json.encode({"error": problem.sentence, "code": problem.code})
    lines = [
        f"HTTP/1.1 {problem.status} {responses[problem.status]}",
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class HeadTooLarge(TooLarge):
    status = 431


class TargetTooLong(TooLarge):
    status = 414


MALFORMED = refusal(BadRequest("bad-request", "The request is malformed."))
HEAD_TOO_LARGE = refusal(HeadTooLarge("too-large", "The request's headers are too large or too many."))
TARGET_TOO_LONG = refusal(TargetTooLong("too-large", "The request's URL is too long."))
BODY_TOO_LARGE = refusal(TooLarge("too-large", "The request is too large."))


class Backlog:
    """Bytes written to connections that their peers have not taken: at most OWED_BYTES of them in memory.

    The address that owes most loses its oldest answer first, so a slow reader is not cut off because of a peer
    that reads nothing. Behind a proxy, which reads for everybody, all clients count as one address.
    """

    def __init__(self) -> None:
        self._owed: dict[str, dict[Wire, int]] = {}  # by peer
        self._sums: Counter[str] = Counter()
        self._total = 0

    @property
    def total(self) -> int:
        """Bytes."""
        return self._total

    def note(self, wire: Wire, size: int) -> None:
        """Notes the bytes a connection has yet to write; a decrease counts only at 0, when memory is freed."""
        before = self._owed.get(wire.peer, {}).get(wire, 0)
        if size > before:
            self._owed.setdefault(wire.peer, {})[wire] = size
            self._add(wire.peer, size - before)
        elif before and not size:
            self._forget(wire)
        while self._total > OWED_BYTES:
            debtor = max(self._sums, key=self._sums.__getitem__)
            oldest = next(iter(self._owed[debtor]))
            self._forget(oldest)
            asyncio.get_running_loop().call_soon(oldest.close)

    def _forget(self, wire: Wire) -> None:
        owed = self._owed[wire.peer]
        self._add(wire.peer, -owed.pop(wire))
        if not owed:
            del self._owed[wire.peer], self._sums[wire.peer]

    def _add(self, peer: str, bytes: int) -> None:
        self._sums[peer] += bytes
        self._total += bytes


class Wire(MeasuredStream):
    """A connection that answers errors in JSON, and has a deadline while it is read.

    refusal   sent instead of Tornado's bare 400
    overflow  sent when a line or a head does not end within its bound
    deadline  loop time at which the connection is cut, or infinity
    idle      whether it waits for the first byte of another request
    used      whether it has carried a request
    owes_by   loop time by which the peer must have taken what was written, or infinity
    peer      what the other end counts as: its address, or its IPv6 network
    """

    def __init__(self, *args: Any, backlog: Backlog, peer: str = "", **kwargs: Any) -> None:
        self._backlog = backlog
        self.peer = peer
        self.owes_by = math.inf
        self.refusal = MALFORMED
        self.overflow = HEAD_TOO_LARGE
        self.deadline = math.inf
        self.idle = False
        self.used = False
        super().__init__(*args, **kwargs)

    def await_request(self) -> None:
        """Expects a request, the connection's first or another."""
        self.refusal, self.overflow = MALFORMED, HEAD_TOO_LARGE
        self.idle = self.used
        self._cut_in(IDLE_TIMEOUT if self.used else HEAD_TIMEOUT)

    def await_body(self) -> None:
        """The head has arrived."""
        self.idle, self.used = False, True
        self.overflow = MALFORMED
        self._cut_in(BODY_TIMEOUT)

    def await_answer(self) -> None:
        """The whole request has arrived: now it is our turn."""
        self.deadline = math.inf

    def check(self, now: float) -> None:
        """Cuts the connection when its time is up."""
        if self.idle and self.unread:
            self.idle = False
            self.deadline = now + HEAD_TIMEOUT
        if now >= min(self.deadline, self.owes_by):
            self.close()

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        return super().write(self.refusal if data == _BARE else data)

    def on_written(self, unsent: int) -> None:
        if not unsent:
            self.owes_by = math.inf
        elif self.owes_by == math.inf:
            self.owes_by = asyncio.get_running_loop().time() + ANSWER_TIMEOUT
        self._backlog.note(self, unsent)

    def close(self, exc_info: Any = False) -> None:
        self._backlog.note(self, 0)
        if isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            self._last_words(self.overflow)
        super().close(exc_info)

    def _cut_in(self, seconds: float) -> None:
        self.deadline = asyncio.get_running_loop().time() + seconds

    def _last_words(self, data: bytes) -> None:
        try:
            self.write_to_fd(memoryview(data))
        except OSError:
            pass


class TLSWire(Wire, SSLIOStream):
    """The same over TLS."""
