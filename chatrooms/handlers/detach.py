"""Taking a connection out of Tornado's hands, with the socket and nothing else."""

from __future__ import annotations

import socket

from tornado.iostream import IOStream
from tornado.web import RequestHandler

from chatrooms.core.stream import say_goodbye
from chatrooms.logs import log_access


def take_socket(handler: RequestHandler) -> socket.socket | None:
    """Ends the request for Tornado without an answer and returns its non-blocking socket.

    None when the peer has gone. The access is logged here, because Tornado logs no detached request.
    """
    handler.set_status(200)
    log_access(handler)
    handler.on_finish()
    stream = handler.detach()
    return _release(stream)


def _release(stream: IOStream) -> socket.socket | None:
    """Makes the IOStream let go of its socket: it must neither poll nor close it any more."""
    sock: socket.socket | None = stream.socket
    if sock is None or stream.closed():
        return None
    stream.io_loop.remove_handler(sock)
    stream.socket = None  # type: ignore[assignment]
    stream._closed = True
    return sock


def say_last(sock: socket.socket, data: bytes) -> None:
    """Writes a short last answer and closes."""
    try:
        sock.send(data)
        say_goodbye(sock)
    except OSError:
        pass
    finally:
        sock.close()
