"""Every use of Tornado beyond its public interface, each with its reason.

setup.cfg allows only versions that these were tried with, and a test checks that they exist.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream
from tornado.web import RequestHandler

# A handler's method for an HTTP method it does not implement: for the Allow header of a 405 and for OpenAPI.
NOT_IMPLEMENTED = RequestHandler._unimplemented_method


def leave_body_alone(request: HTTPServerRequest) -> None:
    """Keeps Tornado from parsing forms: bodies are JSON whatever Content-Type says, and parsing would refuse some."""
    request._parse_body = _nothing  # type: ignore[method-assign]


def release(stream: IOStream) -> socket.socket | None:
    """Takes the socket out of a detached IOStream, which must no longer poll or close it.

    None when the peer has gone. `detach` returns only the IOStream, which would close the socket.
    """
    sock: socket.socket | None = stream.socket
    if sock is None or stream.closed():
        return None
    stream.io_loop.remove_handler(sock)
    stream.socket = None  # type: ignore[assignment]
    stream._closed = True
    return sock


class MeasuredStream(IOStream):
    """An IOStream that shows how full its buffers are, so that they can be bounded."""

    @property
    def unread(self) -> int:
        """Bytes received and not consumed yet."""
        return self._read_buffer_size

    def on_written(self, unsent: int) -> None:
        """Called after each attempt to write, with the number of bytes the peer has not taken."""

    def _handle_write(self) -> None:
        super()._handle_write()
        self.on_written(0 if self.closed() else len(self._write_buffer))


class SocketServer(HTTPServer):
    """An HTTPServer with an accept loop of our own: Tornado's spins when file descriptors run short."""

    def initialize(self, *args: Any, **settings: Any) -> None:
        super().initialize(*args, **settings)
        self.conn_params.header_timeout = None  # a Wire has a deadline; Tornado's is a timer for each request

    def watch(self, sock: socket.socket, stop: Callable[[], None]) -> None:
        """Registers a listening socket, closed when the server stops; `stop` ends its accept loop."""
        self._sockets[sock.fileno()] = sock
        self._handlers[sock.fileno()] = stop

    @property
    def streams(self) -> list[IOStream]:
        """The connections the server still serves; detached ones are not among them."""
        return [connection.stream for connection in self._connections]

    @property
    def stopped(self) -> bool:
        """Whether it has stopped accepting."""
        return self._stopped


def _nothing() -> None:
    pass
