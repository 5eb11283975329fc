"""A shared stream: an ordinary stream whose connection others use as well.

Topic, position, heartbeats, deadlines, expiry and end are its own; only the bytes go through an Outlet.
"""

from __future__ import annotations

import socket

from chatrooms.core.outlet import Outlet
from chatrooms.core.stream import Keeper, Stream
from chatrooms.core.topic import Topic


class SharedStream(Stream):
    """A stream on an outlet; `key` is its name there."""

    __slots__ = ("_label", "_outlet", "key")

    def __init__(self, keeper: Keeper, outlet: Outlet, key: str, topic: Topic, position: int) -> None:
        super().__init__(keeper, outlet.socket, topic, position)
        self._outlet = outlet
        self._label = b"sub: %b\n" % key.encode()
        self.key = key

    def start(self) -> None:
        """Takes its place on the outlet, which watches for the peer's end."""
        self._outlet.streams[self.key] = self

    def finish(self, last: bytes, hold: float = 0.0) -> None:
        """Writes a last event, now or when the outlet can, and ends: the connection stays."""
        if self.open:
            self._outlet.say(last, self._label)
        self.close(hold)

    def abandon(self) -> None:
        """The peer is gone for all streams of the connection alike."""
        self._outlet.close()

    def take_turn(self) -> None:
        """The outlet takes data again."""
        self._on_writable()
        if self.stalled_at and self.open:
            self._outlet.wait(self)

    def _send(self, data: bytes) -> int:
        return self._outlet.send(data, self._label)

    def _watch_writable(self, sock: socket.socket) -> None:
        self._outlet.wait(self)

    def _unwatch_writable(self, sock: socket.socket) -> None:
        pass  # its turn has come: the outlet does not hold it any more

    def _let_go(self, sock: socket.socket) -> None:
        self._outlet.remove(self)
