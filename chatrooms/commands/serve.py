"""`serve`: runs the server until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import resource
import signal
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from tornado.netutil import bind_sockets

from chatrooms import logs, options
from chatrooms.app import application
from chatrooms.errors import ConfigError, StartFailure, Unavailable
from chatrooms.http.front import Front
from chatrooms.server import Server

BACKLOG = 4096  # the default of 128 drops connections in a storm
ADDRESSES = {"localhost": ("127.0.0.1", "::1")}
PATIENCE = 30.0  # seconds within which a remote database or bus must answer at startup
RETRY = 1.0  # seconds between two attempts
SPARE = 500  # file descriptors in addition to those of streams: calls, files, the database
PASSING = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, socket.EAI_AGAIN)  # an interface or DNS may come up later

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serves; returns 0 after an orderly stop."""
    parser = options.parser("chatrooms serve", "Run the chat-room server.")
    settings = options.Options(options.overrides(parser.parse_args(argv)), os.environ)
    logs.configure(settings.log_format, settings.log_level)
    asyncio.run(_serve(settings))
    return 0


async def _serve(settings: options.Options) -> None:
    _allow_descriptors(settings.max_streams)
    server = Server(settings, Path(settings.data_dir))
    try:
        http = Front(application(server), settings.write_timeout, _tls(settings), lambda: server.admission.crowded)
        sockets = _listen(settings)
        await _start(server)
        gc.freeze()  # otherwise each full collection scans all modules again while blocking the event loop
        http.add_sockets(sockets)
        port = sockets[0].getsockname()[1]
        scheme = "https" if settings.ssl_cert else "http"
        host = "127.0.0.1" if settings.address == "localhost" else settings.address
        log.info("serving %s://%s:%d/ (process %d)", scheme, host, port, os.getpid())
        await _signalled()
        log.info("draining %d streams", len(server.hub.streams))
        http.stop()
        await server.drain()
    finally:
        await server.stop()
    log.info("stopped")


async def _start(server: Server) -> None:
    """Starts once database and bus answer. Raises ConfigError; StartFailure if they do not within PATIENCE."""
    loop = asyncio.get_running_loop()
    elsewhere = server.options.database_url or server.options.bus_url
    deadline = loop.time() + (PATIENCE if elsewhere else 0.0)
    while True:
        try:
            return await server.start()
        except (StartFailure, Unavailable) as problem:
            failure = f"cannot start: {problem.__cause__ or problem}"
        if loop.time() + RETRY > deadline:
            raise StartFailure(failure)
        log.warning("%s; trying again", failure)
        await asyncio.sleep(RETRY)


def _listen(settings: options.Options) -> list[socket.socket]:
    """Sockets for each address, all on one port. Raises ConfigError; StartFailure if the port is taken."""
    sockets: list[socket.socket] = []
    port = settings.port
    for address in ADDRESSES.get(settings.address, (settings.address,)):
        try:
            sockets += bind_sockets(port, address, backlog=BACKLOG)
        except OSError as error:
            if address == "::1":  # a machine without IPv6
                continue
            kind = StartFailure if error.errno in PASSING else ConfigError
            raise kind(f"cannot listen on {address} port {port}: {error.strerror}") from None
        port = port or sockets[0].getsockname()[1]
    return sockets


def _tls(settings: options.Options) -> ssl.SSLContext | None:
    if not settings.ssl_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.ssl_cert, settings.ssl_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"--ssl-cert, --ssl-key: {error}") from None
    return context


async def _signalled() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def _allow_descriptors(max_streams: int) -> None:
    """Raises the limit of file descriptors, as far as allowed, for that many streams (0: no bound), one each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_streams + SPARE if max_streams else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        log.warning("only %d file descriptors are allowed: too few for %d streams", soft, max_streams)
