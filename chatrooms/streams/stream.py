"""A stream: a socket and a position. It writes what lies between its position and the end.

A slow reader is a position that lags behind; it costs no queue, only the rest of the one frame
that the kernel cut.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Protocol

from chatrooms.logs import described, notify
from chatrooms.streams.sockets import Cut, Sink, only_tls_housekeeping, say_goodbye, tune, unacknowledged
from chatrooms.streams.topic import BEHIND, Batch, Entry, Topic

log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Looks after streams: learns when one can go on and when one has ended."""

    write_timeout: float

    def resume(self, stream: Stream) -> None:
        """The socket takes data again and nothing is left of the last write."""

    def stalled(self, stream: Stream) -> None:
        """The socket takes no more for now."""

    def ended(self, stream: Stream, hold: float) -> None:
        """The stream is closed; its member is expected back within `hold` seconds."""


class Cohort:
    """Streams in step: live readers of one topic that have the same frames, none of them stalled.

    They share one `cursor` and `position`. `peers` are all cohorts of the topic; an empty one leaves them.
    """

    __slots__ = ("_peers", "cursor", "position", "streams")

    def __init__(self, peers: list[Cohort], cursor: int, position: int) -> None:
        self.cursor = cursor
        self.position = position
        self.streams: list[Stream] = []
        self._peers = peers
        peers.append(self)

    def add(self, stream: Stream) -> None:
        """Takes a stream that stands at this cursor."""
        self.position = max(self.position, stream.position)
        stream.cohort = self
        self.streams.append(stream)

    def remove(self, stream: Stream) -> None:
        self.streams.remove(stream)
        if not self.streams:
            self._peers.remove(self)

    def absorb(self, other: Cohort) -> None:
        """Takes all streams of a cohort at the same cursor."""
        for stream in tuple(other.streams):
            stream.step_out()
            self.add(stream)


class Stream:
    """An open response on a non-blocking socket.

    topic       what it reads
    sink        where its bytes go: the socket, a compressed body on it, or its part of a shared one
    cohort      the streams in step with it, or None while it goes alone: stalled, behind, or being served
    cursor      its place in the topic's tail, or BEHIND when it goes by its position
    position    the seq of the last durable event it has
    ephemeral_count    the topic's count of ephemerals that it has seen
    stalled_at  loop time since which the socket has taken nothing, or 0
    session     the sign-in that opened it
    member      its owner's data: in a room, which member it is
    opened_at   in seconds since 1970
    trusted     whether its reader is exempt from the rules of rooms
    expires_at  when its access ends, in seconds since 1970
    phase, due  its places in the pulse: its beat, and the second at which it is checked
    over        the last frame of its topic was taken: it ends once the kernel has all of it
    """

    __slots__ = (
        "_cursor", "_keeper", "_loop", "_position", "_rest", "_socket", "client_id", "cohort", "due", "ephemeral_count",
        "expires_at", "id", "member", "opened_at", "over", "phase", "queued", "session", "sink", "stalled_at", "topic",
        "trusted", "user_id", "warned",
    )  # fmt: skip

    def __init__(
        self, keeper: Keeper, sock: socket.socket, topic: Topic, position: int, sink: Sink | None = None
    ) -> None:  # fmt: skip
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = sock
        self._rest = b""
        self._cursor = BEHIND
        self._position = position
        self.sink: Sink = sink or sock
        self.cohort: Cohort | None = None
        self.topic = topic
        self.ephemeral_count = topic.ephemeral_count
        self.stalled_at = 0.0
        self.opened_at = time.time()
        self.expires_at = 0.0
        self.phase = self.due = 0
        self.queued = False
        self.warned = False
        self.over = False
        self.id = ""
        self.user_id = ""
        self.session = ""
        self.trusted = False
        self.client_id = ""
        self.member: object = None

    @property
    def open(self) -> bool:
        return self._socket is not None

    @property
    def cursor(self) -> int:
        return self._cursor if self.cohort is None else self.cohort.cursor

    @cursor.setter
    def cursor(self, cursor: int) -> None:
        self.step_out()
        self._cursor = cursor

    @property
    def position(self) -> int:
        return self._position if self.cohort is None else self.cohort.position

    @position.setter
    def position(self, position: int) -> None:
        self.step_out()
        self._position = position

    def step_out(self) -> None:
        """Leaves its cohort, if any, and goes on alone from the same place."""
        cohort = self.cohort
        if cohort is not None:
            self._cursor, self._position = cohort.cursor, cohort.position
            self.cohort = None
            cohort.remove(self)

    def start(self) -> None:
        """Sets the socket up and watches for the peer's end."""
        sock = self._socket
        assert sock is not None
        tune(sock, self._keeper.write_timeout)
        self._loop.add_reader(sock.fileno(), self._on_readable)  # by number: a miss costs asyncio the repr of an object

    def deliver(self, batch: Batch) -> None:
        """Writes a batch; if the kernel takes only a part, stays behind after the last whole frame."""
        self.delivered(batch, self._send(batch.data))

    def delivered(self, batch: Batch, sent: int) -> None:
        """Moves on by what the kernel took of a batch, in bytes; -1 when the stream has ended."""
        if sent == len(batch.data):
            self.cursor = batch.cursor
            if batch.entries:
                self.position = batch.entries[-1].position
                self._end_after(batch.entries[-1])
        elif sent >= 0:
            self._keep_cut_frame(batch, sent)
            self._wait_writable()

    def write(self, data: bytes) -> None:
        """Writes bytes that belong to no topic (a head, a heartbeat), if any. A stalled stream skips them."""
        if self.stalled_at or not data:
            return
        sent = self._send(data)
        if 0 <= sent < len(data):
            self._rest = data[sent:]
            self._wait_writable()

    def unheard(self, seconds: float) -> bool:
        """Whether the peer's machine has acknowledged nothing for that long, though something was sent."""
        return self._socket is not None and unacknowledged(self._socket, seconds)

    def finish(self, last: bytes, hold: float = 0.0) -> None:
        """Writes a last frame if the socket takes it, and closes."""
        if last:
            self.write(last)
        if self._socket is not None and not self.stalled_at:
            say_goodbye(self.sink)
        self.close(hold)

    def end(
        self, reason: str, reconnect: bool, hold: float = 0.0, id: str | None = None, retry: int | None = None
    ) -> None:
        """Says why it ends, in its topic's encoding, and closes. `retry` in milliseconds."""
        self.finish(self._closing({"reason": reason, "reconnect": reconnect}, id, retry), hold)

    def end_when_written(self) -> None:
        """Nothing follows what was written: ends once the kernel has all of it."""
        self.over = True
        if not self.stalled_at:  # TLS may have kept some of it
            self.finish_over()

    def finish_over(self) -> None:
        """Ends a stream whose reader has the last event of its topic."""
        self.finish(b"")

    def close(self, hold: float = 0.0) -> None:
        """Ends the stream. Harmless when it has ended."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self.step_out()
        self._let_go(sock)
        self._rest = b""
        self._keeper.ended(self, hold)

    def abandon(self) -> None:
        """Ends the stream because its peer is gone, or takes nothing."""
        self.close()

    def fail(self, error: Exception) -> None:
        """Ends the stream after a fault of this program: its reader comes back to where it was."""
        log.error("a stream failed: %s", described(error))
        notify(self.abandon)

    def _closing(self, data: Mapping[str, object], id: str | None, retry: int | None) -> bytes:
        return self.topic.encoding.last(data, id, retry)

    def _send(self, data: bytes) -> int:
        """How many bytes the kernel took; -1 when the stream has ended."""
        if self._socket is None:
            return -1
        try:
            return self.sink.send(data)
        except OSError as error:
            return self.not_sent(data, error)

    def not_sent(self, data: bytes, error: OSError) -> int:
        """How many bytes count as sent though the socket raised an error; -1 when that ends the stream."""
        if isinstance(error, BlockingIOError):
            return 0
        if isinstance(error, (Cut, ssl.SSLWantWriteError, ssl.SSLWantReadError)):
            # TLS has begun the record and the retry must bring the same bytes, so all of them are ours.
            self._rest = error.rest if isinstance(error, Cut) else data
            self._wait_writable()
            return len(data)
        self.close()
        return -1

    def _keep_cut_frame(self, batch: Batch, sent: int) -> None:
        offset = 0
        for index, entry in enumerate(batch.entries):
            whole = offset + len(entry.frame)
            if sent <= offset:
                return
            self.position = entry.position
            self.cursor = BEHIND if batch.first == BEHIND else batch.first + index + 1
            self.over = entry.final
            if sent < whole:
                self._rest = entry.frame[sent - offset :]
                return
            offset = whole

    def _end_after(self, entry: Entry) -> None:
        if entry.final:
            self.end_when_written()

    def _wait_writable(self) -> None:
        if not self.stalled_at and self._socket is not None:
            self.step_out()
            self.stalled_at = self._loop.time()
            self._watch_writable(self._socket)
            self._keeper.stalled(self)

    def _on_writable(self) -> None:
        if self._rest and not self._flush_rest():
            return
        self.stalled_at = 0.0
        if self._socket is not None:
            self._unwatch_writable(self._socket)
            if self.over:
                self.finish_over()
            else:
                self._keeper.resume(self)

    def _watch_writable(self, sock: socket.socket) -> None:
        self._loop.add_writer(sock.fileno(), self._on_writable)

    def _unwatch_writable(self, sock: socket.socket) -> None:
        self._loop.remove_writer(sock.fileno())

    def _let_go(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock.fileno())
        self._loop.remove_writer(sock.fileno())
        sock.close()

    def _flush_rest(self) -> bool:
        """Writes the rest of the cut frame; true if none is left."""
        rest, self._rest = self._rest, b""
        sent = self._send(rest)
        if sent < 0 or self._rest:  # ended; or TLS, which wants the same bytes again
            return False
        if sent:
            self.stalled_at = self._loop.time()
        self._rest = rest[sent:]
        return not self._rest

    def _on_readable(self) -> None:
        """The peer closed, or sent data that it should not: either way it is over."""
        if self._socket is None or not only_tls_housekeeping(self._socket):
            self.close()
