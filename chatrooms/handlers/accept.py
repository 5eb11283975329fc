"""Accepting connections, also when file descriptors run short."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

AT_ONCE = 32  # connections accepted before the event loop gets its turn; each takes 0.2 ms
RESERVE = 16  # descriptors kept for files: static ones, the database's
PAUSE = 0.25  # seconds without accepting when descriptors run short
LOG_INTERVAL = 5.0  # seconds between two lines that say so

log = logging.getLogger(__name__)


class Acceptor:
    """Hands the connections of one listening socket to `take`, until `stop`.

    When descriptors run short it leaves them to the kernel's queue for a moment. Tornado would be
    called again at once, for as long as accept() fails.
    """

    def __init__(self, sock: socket.socket, take: Callable[[socket.socket, Any], None]) -> None:
        self._sock = sock
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0
        self._listen()

    def stop(self) -> None:
        """Accepts no more; the socket is the caller's to close."""
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
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
    """Whether more than RESERVE could be opened: the kernel gives the lowest number that is free."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return True
    lowest = os.dup(sock.fileno())
    os.close(lowest)
    return lowest < limit - RESERVE
