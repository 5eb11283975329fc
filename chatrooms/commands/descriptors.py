"""File descriptors: one a stream. As many as may be needed, and patience when there are none."""

from __future__ import annotations

import errno
import logging
import resource
import socket
from typing import Any

from tornado.ioloop import IOLoop

SPARE = 500  # descriptors beyond those of the streams: calls, files, the database
PATIENCE = 0.5  # seconds until accepting is tried again

_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = logging.getLogger(__name__)


def allow(max_streams: int) -> None:
    """Raises this process's limit, as far as it may, to what that many streams need (0: no bound)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_streams + SPARE if max_streams else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < wanted:
        log.warning("only %d file descriptors are allowed: too few for %d streams", soft, max_streams)


class PatientSocket(socket.socket):
    """A listening socket that waits when the process has no descriptor left for a connection.

    Otherwise each turn of the event loop would try again, and log that it failed. The peers stay
    in the backlog.
    """

    @classmethod
    def of(cls, sock: socket.socket) -> PatientSocket:
        """Takes over a non-blocking listening socket."""
        patient = cls(fileno=sock.detach())
        patient.setblocking(False)
        return patient

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _NONE_LEFT:
                raise
            log.warning("cannot accept connections for %g s: %s", PATIENCE, error.strerror)
            loop = IOLoop.current()
            loop.update_handler(self.fileno(), 0)
            loop.call_later(PATIENCE, self._listen_again, loop)
            raise BlockingIOError from None

    def _listen_again(self, loop: IOLoop) -> None:
        if self.fileno() >= 0:  # else the server has stopped
            loop.update_handler(self.fileno(), IOLoop.READ)
