"""`serve`: runs the server, or one of its workers, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from chatrooms import logs, options
from chatrooms.app import application
from chatrooms.cluster.bus.base import Worker
from chatrooms.commands.workers import READY, Supervisor
from chatrooms.errors import ConfigError, StartFailure, Unavailable
from chatrooms.http.front import Front, listen
from chatrooms.server import Server

PATIENCE = 30.0  # seconds within which a remote database or bus must answer at startup
RETRY = 1.0  # seconds between two attempts
SPARE = 500  # file descriptors in addition to those of streams: calls, files, the database

log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serves; returns 0 after an orderly stop."""
    parser = options.parser("chatrooms serve", "Run the chat-room server.")
    settings = options.Options(options.overrides(parser.parse_args(argv)), os.environ)
    logs.configure(settings.log_format, settings.log_level)
    supervisor = Supervisor(settings) if settings.workers > 1 else None
    outcome = supervisor.run() if supervisor else None  # in a worker, too, it keeps the data folder locked
    if isinstance(outcome, int):
        return outcome
    if outcome is not None:
        logs.configure(settings.log_format, settings.log_level, outcome.number)
    asyncio.run(_serve(settings, outcome))
    return 0


async def _serve(settings: options.Options, worker: Worker | None) -> None:
    _allow_descriptors(settings.max_streams)
    server = Server(settings, Path(settings.data_dir), worker)
    try:
        http = Front(application(server), settings.write_timeout, _tls(settings), lambda: server.admission.crowded)
        sockets = listen(settings.address, settings.port) if worker is None else []
        await _start(server)
        gc.freeze()  # otherwise each full collection scans all modules again while blocking the event loop
        if worker is not None:  # only now: until then the other workers get the connections
            sockets = listen(settings.address, worker.port, reuse_port=True)
        http.add_sockets(sockets)
        if worker is None:
            log.info("serving %s (process %d)", settings.url(sockets[0].getsockname()[1]), os.getpid())
        else:
            log.info("ready (process %d)", os.getpid())
            worker.control.send(READY)
        drains = await _stopped(server, worker)
        log.info("draining %d streams", len(server.hub.streams))
        http.stop()
        if drains:
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


def _tls(settings: options.Options) -> ssl.SSLContext | None:
    if not settings.ssl_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.ssl_cert, settings.ssl_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"--ssl-cert, --ssl-key: {error}") from None
    return context


async def _stopped(server: Server, worker: Worker | None) -> bool:
    """Waits for a signal, or the end of the supervisor; whether there is time to drain."""
    loop = asyncio.get_running_loop()
    drains: asyncio.Future[bool] = loop.create_future()

    def stop(with_drain: bool) -> None:
        if not drains.done():
            drains.set_result(with_drain)

    def hear(control: socket.socket) -> None:
        with suppress(ConnectionResetError):
            if ended := control.recv(256):
                return server.on_nodes_ended(ended.decode())
        log.error("the supervisor has ended")
        loop.remove_reader(control)
        stop(False)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, True)
    if worker is not None:
        loop.add_reader(worker.control, hear, worker.control)
    return await drains


def _allow_descriptors(max_streams: int) -> None:
    """Raises the limit of file descriptors, as far as allowed, for that many streams (0: no bound), one each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_streams + SPARE if max_streams else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        log.warning("only %d file descriptors are allowed: too few for %d streams", soft, max_streams)
