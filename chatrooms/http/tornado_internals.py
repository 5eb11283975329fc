"""Every use of Tornado beyond its public interface, each with its reason.

setup.cfg allows only versions that these were tried with, and a test checks that they exist.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer, _HTTPRequestContext
from tornado.httputil import (
    HTTPHeaders,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError, UnsatisfiableReadError
from tornado.web import RequestHandler

KNOWN_LINES = 20  # header lines remembered for each connection
KNOWN_LINE = 512  # characters of each

log = logging.getLogger(__name__)

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


class LeanHandler(RequestHandler):
    """Begins its answers with `ready_headers`, names and values that need no check: `set_header` checks each time."""

    ready_headers: Mapping[str, str] = {}

    def clear(self) -> None:
        self._headers = HTTPHeaders()
        # Fresh lists: adding a header appends to them.
        self._headers._as_list = {name: [value] for name, value in self.ready_headers.items()}
        self._headers._as_list["Date"] = [_date(int(time.time()))]
        self._write_buffer = []
        self.set_status(200)
        self.set_default_headers()


@lru_cache(1)
def _date(second: int) -> str:
    return format_timestamp(second)


class MeasuredStream(IOStream):
    """An IOStream that shows how full its buffers are, so that they can be bounded.

    It spares the system calls that IOStream makes between the requests of a connection: it listens all the
    time, does not read before the kernel says that there is something, and leaves TCP_NODELAY on.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.known_lines: dict[str, tuple[tuple[str, str], ...]] = {}
        super().__init__(*args, **kwargs)
        self.plain = not isinstance(self, SSLIOStream)  # TLS keeps input of its own, which the kernel does not know of

    @property
    def unread(self) -> int:
        """Bytes received and not consumed yet."""
        return self._read_buffer_size

    def on_written(self, unsent: int) -> None:
        """Called after each attempt to write, with the number of bytes the peer has not taken."""

    def set_nodelay(self, value: bool) -> None:
        """Leaves it on, as `tune` has set it."""

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        """Sends at once what is all taken at once, as nearly every answer is; else IOStream keeps the rest."""
        if not self.plain or self._write_buffer or not data or self.closed():
            return super().write(data)
        sent = 0
        with suppress(OSError):  # raised again by the next attempt
            sent = self.socket.send(data)
        if sent < len(data):
            return super().write(memoryview(data)[sent:])
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return written

    def _handle_write(self) -> None:
        super()._handle_write()
        self.on_written(0 if self.closed() else len(self._write_buffer))

    def _handle_events(self, fd: Any, events: int) -> None:
        """Goes on listening after a head whose body is yet to be read; IOStream would stop and start again."""
        listening = self._state == IOLoop.READ | IOLoop.ERROR
        if not self.plain or events != IOLoop.READ or self._read_future is None or not listening:
            super()._handle_events(fd, events)
            return
        try:
            self._handle_read()
        except UnsatisfiableReadError as error:
            log.info("Unsatisfiable read, closing connection: %s", error)
            self.close(exc_info=error)

    def _try_inline_read(self) -> None:
        listening = self._state is not None and self._state & IOLoop.READ
        if not self.plain or self._read_buffer_size or not listening or self.closed():
            super()._try_inline_read()


class Connection(HTTP1Connection):
    """One request and its answer, with shorter ways for what is common; anything else is left to Tornado."""

    stream: MeasuredStream

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        """The same, but each line is parsed once for a connection: its requests have most of them in common."""
        start_line, _, rest = data.decode("latin1").lstrip("\r\n").partition("\n")
        headers = HTTPHeaders()
        known = self.stream.known_lines
        for line in rest.split("\n"):
            fields = known.get(line)
            if fields is None:
                fields = tuple(HTTPHeaders.parse(line + "\n").get_all())
                if len(known) >= KNOWN_LINES:
                    known.clear()
                if len(line) <= KNOWN_LINE:
                    known[line] = fields
            for name, value in fields:
                headers._as_list.setdefault(name, []).append(value)
        return start_line.rstrip("\r"), headers

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        head = self._plain_head(start_line, headers, chunk)
        if head is None or chunk is None:
            return super().write_headers(start_line, headers, chunk)
        self._expected_content_remaining = 0
        self._pending_write = self.stream.write(head + chunk)
        return self._pending_write

    def _plain_head(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None
    ) -> bytes | None:
        """The head of a whole answer on a connection that stays open; None for any other, and for a bad one."""
        request = self._request_start_line
        if request is None or request.version != "HTTP/1.1" or request.method == "HEAD" or self._disconnect_on_finish:
            return None
        if not chunk or self.stream.closed() or headers.get("Content-Length") != str(len(chunk)):
            return None
        fields = [f"{name}: {value}\r\n" for name, value in headers.get_all()]
        head = f"HTTP/1.1 {start_line[1]} {start_line[2]}\r\n{''.join(fields)}\r\n"
        lines = len(fields) + 2
        return head.encode("latin1") if head.count("\r") == head.count("\n") == lines else None


class ServerConnection(HTTP1ServerConnection):
    """The requests of a connection, one after the other."""

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        try:
            while await self._serve_request(delegate):
                if self.stream._read_buffer_size:
                    await asyncio.sleep(0)  # the next request is here already: others have their turn first
        finally:
            delegate.on_close(self)

    async def _serve_request(self, delegate: HTTPServerConnectionDelegate) -> bool:
        """Whether another request may follow."""
        connection = Connection(self.stream, False, self.params, self.context)
        try:
            return await connection.read_response(delegate.start_request(self, connection))
        except (StreamClosedError, UnsatisfiableReadError, asyncio.CancelledError):
            return False
        except Exception:
            log.exception("Uncaught exception")
            connection.close()
            return False


class SocketServer(HTTPServer):
    """An HTTPServer with an accept loop of our own: Tornado's spins when file descriptors run short."""

    def initialize(self, *args: Any, **settings: Any) -> None:
        super().initialize(*args, **settings)
        self.conn_params.header_timeout = None  # a Wire has a deadline; Tornado's is a timer for each request

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        context = _HTTPRequestContext(stream, address, self.protocol, self.trusted_downstream)
        connection = ServerConnection(stream, self.conn_params, context)
        self._connections.add(connection)
        connection.start_serving(self)

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
