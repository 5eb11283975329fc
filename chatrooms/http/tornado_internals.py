"""All that is used of Tornado beyond its public interface, each part with its reason.

setup.cfg allows the versions with which these parts were tried; a test asks whether they are there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream
from tornado.web import RequestHandler

# A handler's method is this one where it has none of its own; Tornado lists only those that HTTP knows.
NOT_IMPLEMENTED = RequestHandler._unimplemented_method


def leave_body_alone(request: HTTPServerRequest) -> None:
    """Keeps Tornado from reading forms: bodies are JSON whatever Content-Type says, so that would only refuse some."""
    request._parse_body = _nothing  # type: ignore[method-assign]


def release(stream: IOStream) -> socket.socket | None:
    """Takes the socket out of a detached IOStream, which must neither poll nor close it any more.

    None when the peer has gone. `detach` gives the IOStream only, and that closes its socket with itself.
    """
    sock: socket.socket | None = stream.socket
    if sock is None or stream.closed():
        return None
    stream.io_loop.remove_handler(sock)
    stream.socket = None  # type: ignore[assignment]
    stream._closed = True
    return sock


class MeasuredStream(IOStream):
    """An IOStream whose buffers can be bounded: Tornado tells of neither."""

    @property
    def unread(self) -> int:
        """Bytes that have come and that nobody has asked for."""
        return self._read_buffer_size

    def on_written(self, unsent: int) -> None:
        """Called after each try to write, with the bytes that the peer has not taken."""

    def _handle_write(self) -> None:
        super()._handle_write()
        self.on_written(0 if self.closed() else len(self._write_buffer))


class SocketServer(HTTPServer):
    """An HTTPServer whose listening sockets are watched by code of ours: its own spins when descriptors run short."""

    def watch(self, sock: socket.socket, stop: Callable[[], None]) -> None:
        """Takes a listening socket, to be closed when the server stops; `stop` ends the watching."""
        self._sockets[sock.fileno()] = sock
        self._handlers[sock.fileno()] = stop

    @property
    def streams(self) -> list[IOStream]:
        """The connections that the server still looks after: not those that were detached."""
        return [connection.stream for connection in self._connections]

    @property
    def stopped(self) -> bool:
        """Whether it accepts no more."""
        return self._stopped


def _nothing() -> None:
    pass
