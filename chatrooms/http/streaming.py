"""What handlers that open streams share: the position asked for, the response head, soft refusals."""

from __future__ import annotations

import random
import socket
from typing import Any

import msgspec
from tornado.iostream import IOStream
from tornado.web import RequestHandler

from chatrooms import sse
from chatrooms.errors import Problem
from chatrooms.http.base import Handler
from chatrooms.http.openapi import EVENTS
from chatrooms.log.event import event_id, parse_id
from chatrooms.logs import log_access
from chatrooms.streams.encoding import NAMED, Encoding
from chatrooms.streams.stream import say_goodbye
from chatrooms.users.tokens import Identity

SOFT_RETRY_MS = (5000, 15000)  # a soft refusal asks to come back after this, at random


class PolledEvent(msgspec.Struct):
    """An event of the stream."""

    event: str
    id: str
    data: Any


class Poll(msgspec.Struct, rename="camel"):
    """The next events of a stream; the next poll goes on from `last_event_id`, at once if there are `more`."""

    events: list[PolledEvent]
    more: bool
    last_event_id: str
    recovered: bool


STREAM = (EVENTS, Poll)  # what a stream that can also be polled answers


def position_asked(handler: Handler) -> str:
    """The position asked for: the header's, else the query's, else none."""
    return handler.request.headers.get("Last-Event-ID", "") or handler.query("lastEventId")


def refuse_softly(handler: Handler, who: Identity, asked: str, problem: Problem, encoding: Encoding = NAMED) -> None:
    """A refusal that passes, told as a stream that ends; to who does not wait, raises TooMany.

    `asked` is the position that the reader came with, which it keeps. A native EventSource gives up
    for good on any status but 200 (WHATWG, 9.2.3).
    """
    handler.server.quotas.refuse_softly(who)
    log = handler.server.log
    id = asked if parse_id(asked) else event_id(log.epoch, log.head)
    data = {"reason": problem.code, "reconnect": True}
    frame = encoding.signal("closing", data, id, random.randint(*SOFT_RETRY_MS))
    sock = take_socket(handler)
    if sock is not None:
        say_last(sock, stream_head(handler) + frame)


def stream_head(handler: Handler) -> bytes:
    """The response head of a stream, with what CORS asks for."""
    return sse.head(tuple(handler.access.cors_headers(handler.request)))


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
