"""What handlers that open streams share: the position asked for, the head, and soft refusals."""

from __future__ import annotations

import random

from chatrooms import sse
from chatrooms.core.hub import closing
from chatrooms.errors import Problem
from chatrooms.event import event_id, parse_id
from chatrooms.handlers.base import Handler
from chatrooms.handlers.detach import say_last, take_socket
from chatrooms.identity.tokens import Identity

SOFT_RETRY_MS = (5000, 15000)  # a soft refusal asks to come back after this, at random


class Streaming(Handler):
    """A request that is answered with a stream."""

    def asked(self) -> str:
        """The position asked for: the header's, else the query's, else none."""
        return self.request.headers.get("Last-Event-ID", "") or self.query("lastEventId")

    def head_of_stream(self) -> bytes:
        return sse.head(tuple(self.access.cors_headers(self.request)))

    def refuse_softly(self, who: Identity, asked: str, problem: Problem) -> None:
        """A refusal that passes, told as a stream that ends; to who does not wait, TooMany.

        A native EventSource gives up for good on any other status than 200 (WHATWG, 9.2.3).
        """
        self.server.quotas.refuse_softly(who)
        log = self.server.log
        id = asked if parse_id(asked) else event_id(log.epoch, log.head)
        frame = closing(problem.code, True, id, random.randint(*SOFT_RETRY_MS))
        sock = take_socket(self)
        if sock is not None:
            say_last(sock, self.head_of_stream() + frame)
