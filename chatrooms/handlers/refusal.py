"""Soft refusals: a native EventSource gives up for good on any status but 200 (WHATWG, 9.2.3)."""

from __future__ import annotations

import random

from chatrooms import sse
from chatrooms.core.encoding import NAMED, Encoding
from chatrooms.errors import Problem
from chatrooms.event import event_id, parse_id
from chatrooms.handlers.base import Handler
from chatrooms.handlers.detach import refuse, take_socket
from chatrooms.identity.tokens import Identity

SOFT_RETRY_MS = (5000, 15000)  # a soft refusal asks to come back after this, at random


def refuse_softly(handler: Handler, who: Identity, asked: str, problem: Problem, encoding: Encoding = NAMED) -> None:
    """A refusal that passes, told as a stream that ends; to who does not wait, raises TooMany.

    `asked` is the position that the reader came with, which it keeps.
    """
    handler.server.quotas.refuse_softly(who)
    log = handler.server.log
    id = asked if parse_id(asked) else event_id(log.epoch, log.head)
    data = {"reason": problem.code, "reconnect": True}
    frame = encoding.signal("closing", data, id, random.randint(*SOFT_RETRY_MS))
    sock = take_socket(handler)
    if sock is not None:
        refuse(sock, stream_head(handler) + frame)


def stream_head(handler: Handler) -> bytes:
    """The response head of a stream, with what CORS asks for."""
    return sse.head(tuple(handler.access.cors_headers(handler.request)))
