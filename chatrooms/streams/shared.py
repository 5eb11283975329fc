"""An outlet: one connection shared by several streams.

It writes whole events, those of one stream at a time, each with the line `sub: <key>` of its stream
(a field that other parsers ignore: HTML, 9.2.6). An event that the kernel cut is
finished before anything else. A stream that finds the outlet blocked waits for its turn, at its own
position; only what belongs to no position (refusals, last events) is held here, within a bound.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping

from chatrooms.logs import notify
from chatrooms.streams.sockets import only_tls_housekeeping, say_goodbye, tune
from chatrooms.streams.stream import Keeper, Stream
from chatrooms.streams.topic import Topic

OWED_BYTES = 64 << 10  # of events waiting for a blocked outlet; one that owes more is ended

_END = b"\n\n"  # of an event; nothing inside one looks like it


class Outlet:
    """The non-blocking socket of a response, shared.

    streams  the open streams on it, by key
    blocked  whether its socket takes no more for now
    open     whether the connection still exists

    `on_empty` is called when its last stream has ended, `on_closed` when the connection has.
    """

    def __init__(
        self, sock: socket.socket, head: bytes, write_timeout: float,
        on_empty: Callable[[], None], on_closed: Callable[[], None],
    ) -> None:  # fmt: skip
        self._on_empty = on_empty
        self._on_closed = on_closed
        self.streams: dict[str, SharedStream] = {}
        self.open = True
        self.blocked = False
        self.socket = sock
        self._loop = asyncio.get_running_loop()
        self._write_timeout = write_timeout
        self._head = head  # goes out with the first event
        self._rest = b""
        self._owed = bytearray()
        self._waiting: dict[SharedStream, None] = {}

    def start(self) -> None:
        """Sets the socket up and watches for the peer's end."""
        try:
            tune(self.socket, self._write_timeout)
        except OSError:  # the peer is gone already
            self.close()
        else:
            self._loop.add_reader(self.socket.fileno(), self._on_readable)

    def send_head(self) -> None:
        """Writes the response head, if no event has taken it along."""
        if self._head and self.open and not self.blocked:
            self._write(b"")

    def send(self, events: bytes, label: bytes) -> int:
        """Writes whole events with a line added to each.

        Returns how many bytes of `events` are taken care of, up to the end of an event; -1 if the
        connection has ended.
        """
        if not self.open:
            return -1
        if self.blocked or not events:
            return 0
        labelled = labelled_with(label, events)
        written = self._write(labelled)
        if written == len(labelled):
            return len(events)
        if written < 0:
            return -1
        end = _end_of_event(labelled, written)
        self._rest = labelled[written:end]
        return end - labelled.count(_END, 0, end) * len(label)

    def send_event(self, events: bytes, label: bytes = b"") -> None:
        """Writes whole events that no stream would repeat; when blocked, as soon as it can."""
        if not self.open:
            return
        self._owed += labelled_with(label, events)
        if not self.blocked:
            self._settle()
        if len(self._owed) > OWED_BYTES:
            self.close()

    def wait(self, stream: SharedStream) -> None:
        """Takes a stream that gets its turn when the socket takes data again."""
        self._waiting[stream] = None

    def remove(self, stream: SharedStream) -> None:
        """Forgets a stream that has ended."""
        self._waiting.pop(stream, None)
        if self.streams.get(stream.key) is stream:
            del self.streams[stream.key]
            if not self.streams and self.open:
                notify(self._on_empty)

    def finish(self, last: bytes, hold: float = 0.0) -> None:
        """Writes a last event if the socket takes it, and closes."""
        self.send_event(last)
        if self.open and not self.blocked:
            say_goodbye(self.socket)
        self.close(hold)

    def close(self, hold: float = 0.0) -> None:
        """Ends the connection with all its streams, whose members are expected back within `hold` seconds."""
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self.socket.fileno())
        self._loop.remove_writer(self.socket.fileno())
        self.socket.close()
        self._rest = b""
        self._owed.clear()
        for stream in list(self.streams.values()):
            stream.close(hold)
        notify(self._on_closed)
        # Or the listeners and the outlet would hold each other until a garbage collection.
        self._on_empty = self._on_closed = _ignore

    def _write(self, data: bytes) -> int:
        """How many bytes the kernel took, or will; blocked if not all. -1 when the connection has ended."""
        head, self._head = self._head, b""
        try:
            sent = self.socket.send(head + data) - len(head)
        except BlockingIOError:
            sent = -len(head)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            # TLS has begun the record and the retry must bring the same bytes, so all of them are ours.
            self._rest = head + data
            self._block()
            return len(data)
        except OSError:
            self.close()
            return -1
        if sent < 0:  # not even all of the head
            self._head = head[sent:]
            sent = 0
        if sent < len(data):
            self._block()
        return sent

    def _settle(self) -> None:
        """Writes what is owed."""
        owed = bytes(self._owed)
        self._owed.clear()
        written = self._write(owed)
        if 0 <= written < len(owed):
            self._owed += owed[written:]

    def _block(self) -> None:
        self.blocked = True
        self._loop.add_writer(self.socket.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        """Writes what was cut, then what is owed, and then lets the streams write in order of arrival."""
        self.blocked = False
        if self._rest:
            rest, self._rest = self._rest, b""
            written = self._write(rest)
            if 0 <= written < len(rest):
                self._rest = rest[written:]
        if self._owed and not self.blocked:
            self._settle()
        while self._waiting and self.open and not self.blocked:
            stream = next(iter(self._waiting))
            del self._waiting[stream]
            stream.take_turn()
        if self.open:
            self._note_progress()

    def _note_progress(self) -> None:
        """The connection took something: no stream waiting for its turn is stalled."""
        now = self._loop.time()
        for stream in self._waiting:
            stream.stalled_at = now
        if not self.blocked:
            self._loop.remove_writer(self.socket.fileno())

    def _on_readable(self) -> None:
        """The peer closed, or sent data that it should not: either way it is over."""
        if not only_tls_housekeeping(self.socket):
            self.close()


def _ignore() -> None:
    pass


def label_of(key: str) -> bytes:
    """The line that names the stream of an event on a shared connection."""
    return b"sub: %b\n" % key.encode()


def labelled_with(label: bytes, events: bytes) -> bytes:
    """Whole events with a line added to each; `label` ends in a newline, or is empty."""
    if not label or not events:
        return events
    return label + events[:-2].replace(_END, _END + label) + _END


def _end_of_event(events: bytes, written: int) -> int:
    """Where the event cut after `written` bytes ends; `written` if none was cut."""
    if not written or events.endswith(_END, 0, written):
        return written
    return events.index(_END, written - 1) + 2


class Share:
    """One stream's part of an outlet: the sink that labels its events."""

    __slots__ = ("_label", "_outlet")

    def __init__(self, outlet: Outlet, label: bytes) -> None:
        self._outlet = outlet
        self._label = label

    def send(self, data: bytes, /) -> int:
        return self._outlet.send(data, self._label)


class SharedStream(Stream):
    """A stream on an outlet; `key` is its name there."""

    __slots__ = ("_label", "_outlet", "key")

    def __init__(self, keeper: Keeper, outlet: Outlet, key: str, topic: Topic, position: int) -> None:
        super().__init__(keeper, outlet.socket, topic, position)
        self._outlet = outlet
        self._label = label_of(key)
        self.sink = Share(outlet, self._label)
        self.key = key

    def start(self) -> None:
        """Takes its place on the outlet, which watches for the peer's end."""
        self._outlet.streams[self.key] = self
        if not self._outlet.open:
            self.close()

    def finish(self, last: bytes, hold: float = 0.0) -> None:
        """Writes a last event, now or when the outlet can, and ends: the connection stays."""
        if self.open:
            self._outlet.send_event(last, self._label)
        self.close(hold)

    def finish_over(self) -> None:
        """Says that nothing follows: unlike a stream's own connection, a shared one stays."""
        self.end("ended", False)

    def abandon(self) -> None:
        """Ends the connection: its peer is gone for all streams alike."""
        self._outlet.close()

    def take_turn(self) -> None:
        """Goes on writing: the outlet takes data again."""
        self._on_writable()
        if self.stalled_at and self.open:
            self._outlet.wait(self)

    def _closing(self, data: Mapping[str, object], id: str | None, retry: int | None) -> bytes:
        return self.topic.encoding.signal("closing", data, id, retry)

    def _watch_writable(self, sock: socket.socket) -> None:
        self._outlet.wait(self)

    def _unwatch_writable(self, sock: socket.socket) -> None:
        pass  # its turn has come: the outlet no longer holds it

    def _let_go(self, sock: socket.socket) -> None:
        self._outlet.remove(self)


class ChannelIds:
    """Makes ids `<node>.<random>.<seal>`. A forged id costs neither a database read nor an order."""

    def __init__(self, node: str, secret: str) -> None:
        self._node = node
        self._key = hashlib.sha256(b"channel ids:" + secret.encode()).digest()

    def new(self) -> str:
        id = f"{self._node}.{secrets.token_urlsafe(16)}"
        return f"{id}.{self._seal(id)}"

    def node_of(self, id: str) -> str | None:
        """The node that made an id; None if none did."""
        made, _, seal = id.rpartition(".")
        genuine = hmac.compare_digest(seal.encode(errors="replace"), self._seal(made).encode())
        return made.partition(".")[0] if genuine else None

    def _seal(self, id: str) -> str:
        return hmac.new(self._key, id.encode(errors="replace"), hashlib.sha256).hexdigest()[:20]
