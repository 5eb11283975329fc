"""The front door: connections in, requests to the application, and bounds on both."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.http1connection import HTTP1ServerConnection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.netutil import bind_sockets, ssl_wrap_socket
from tornado.web import Application

from chatrooms.errors import ConfigError, StartFailure
from chatrooms.http.access import counted, parsed
from chatrooms.http.tornado_internals import SocketServer
from chatrooms.http.wire import BODY_TOO_LARGE, HEAD_TOO_LARGE, TARGET_TOO_LONG, Backlog, TLSWire, Wire
from chatrooms.streams.sockets import tune

MAX_HEAD = 16 << 10  # bytes of a request's line and headers; reading 32 KiB of them takes 50 ms
MAX_HEADERS = 100
MAX_TARGET = 12 << 10  # characters of a path with its query; a token may have 8192
MAX_BODY = 2 << 20  # bytes; each route has its own lower bound
CHECK_INTERVAL = 1.0  # seconds between checks of the deadlines


BACKLOG = 4096  # the default of 128 drops connections in a storm
ADDRESSES = {"localhost": ("127.0.0.1", "::1")}
PASSING = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, socket.EAI_AGAIN)  # an interface or DNS may come up later


def listen(name: str, port: int, reuse_port: bool = False) -> list[socket.socket]:
    """Sockets for each address of a name, all on one port. Raises ConfigError; StartFailure if the port is taken."""
    sockets: list[socket.socket] = []
    for address in ADDRESSES.get(name, (name,)):
        try:
            sockets += bind_sockets(port, address, backlog=BACKLOG, reuse_port=reuse_port)
        except OSError as error:
            if address == "::1":  # a machine without IPv6
                continue
            kind = StartFailure if error.errno in PASSING else ConfigError
            raise kind(f"cannot listen on {address} port {port}: {error.strerror}") from None
        port = port or sockets[0].getsockname()[1]
    return sockets


class Front(SocketServer):
    """An HTTP server for an application, with a deadline for every part of a request.

    While it is `crowded`, new connections come in one by one: the kernel keeps the others.
    Streams leave it when they begin (`take_socket`) and are not affected.
    """

    def initialize(  # type: ignore[override]
        self, application: Application, write_timeout: float, tls: ssl.SSLContext | None = None,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        super().initialize(application, ssl_options=tls, max_header_size=MAX_HEAD, max_body_size=MAX_BODY)
        self._write_timeout = write_timeout
        self._crowded = crowded
        self._timer: asyncio.TimerHandle | None = None
        self.backlog = Backlog()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        for sock in sockets:
            self.watch(sock, Acceptor(sock, self._take, self._crowded).stop)
        if self._timer is None:
            self._check_deadlines()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        assert isinstance(server_conn, HTTP1ServerConnection)
        wire = server_conn.stream
        assert isinstance(wire, Wire)
        wire.await_request()
        return _Guard(super().start_request(server_conn, request_conn), wire)

    def _take(self, connection: socket.socket, address: Any) -> None:
        try:
            tune(connection, self._write_timeout)
            wire = self._wire(connection, address)
        except OSError:  # the peer is gone already
            connection.close()
            return
        self.handle_stream(wire, address)

    def _wire(self, connection: socket.socket, address: Any) -> Wire:
        host = parsed(str(address[0])) if address else None
        peer = counted(host) if host else ""
        if self.ssl_options is None:
            return Wire(connection, backlog=self.backlog, peer=peer)
        tls = ssl_wrap_socket(connection, self.ssl_options, server_side=True, do_handshake_on_connect=False)
        return TLSWire(tls, backlog=self.backlog, peer=peer)

    def _check_deadlines(self) -> None:
        """Cuts connections past their deadline. Continues after `stop` until the last connection has ended."""
        loop = asyncio.get_running_loop()
        for wire in self.streams:
            assert isinstance(wire, Wire)
            wire.check(loop.time())
        if self.stopped and not self.streams:
            self._timer = None
        else:
            self._timer = loop.call_later(CHECK_INTERVAL, self._check_deadlines)


class _Guard(HTTPMessageDelegate):
    """Refuses what is too large before it is read, and reports a request's progress to the wire."""

    def __init__(self, inner: HTTPMessageDelegate, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        assert isinstance(start_line, RequestStartLine)
        self._wire.await_body()
        if len(start_line.path) > MAX_TARGET:
            self._refuse(TARGET_TOO_LONG)
        if sum(1 for _ in headers.get_all()) > MAX_HEADERS:
            self._refuse(HEAD_TOO_LARGE)
        length = headers.get("Content-Length", "")
        if len(length) > 15 or (length.isascii() and length.isdigit() and int(length) > MAX_BODY):
            self._refuse(BODY_TOO_LARGE)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._wire.await_answer()
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()

    def _refuse(self, words: bytes) -> None:
        self._wire.refusal = words
        raise HTTPInputError("over a limit")


ACCEPT_BATCH = 8  # connections accepted before the event loop gets its turn; each takes 0.2 ms, and its head as much
RESERVE = 16  # descriptors kept for files: static ones, the database's
PAUSE = 0.25  # seconds without accepting when descriptors run short
LOG_INTERVAL = 5.0  # seconds between log lines about it

log = logging.getLogger(__name__)


class Acceptor:
    """Hands the connections of one listening socket to `take`, until `stop`.

    When descriptors run short, connections wait in the kernel's queue for a moment; Tornado would be
    called again at once, for as long as accept() fails.
    """

    def __init__(
        self, sock: socket.socket, take: Callable[[socket.socket, Any], None], crowded: Callable[[], bool]
    ) -> None:
        self._sock = sock
        self._take = take
        self._crowded = crowded
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0
        self._listen()

    def stop(self) -> None:
        """Stops accepting; closing the socket is up to the caller."""
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(1 if self._crowded() else ACCEPT_BATCH):
            try:
                if not _descriptors_left(self._sock):
                    return self._wait("few file descriptors are left")
                connection, address = self._sock.accept()
            except BlockingIOError:
                return None
            except ConnectionAbortedError:
                continue
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM
                return self._wait(error.strerror or "accept failed")
            self._take(connection, address)
        return None

    def _wait(self, reason: str) -> None:
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(PAUSE, self._listen)
        if self._loop.time() >= self._quiet_until:
            self._quiet_until = self._loop.time() + LOG_INTERVAL
            log.warning("new connections wait: %s", reason)


def _descriptors_left(sock: socket.socket) -> bool:
    """Whether more than RESERVE descriptors are free: the kernel hands out the lowest free number."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return True
    lowest = os.dup(sock.fileno())
    os.close(lowest)
    return lowest < limit - RESERVE
