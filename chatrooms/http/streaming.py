"""What stream handlers share: the position asked for, taking the connection, soft refusals, polls."""

from __future__ import annotations

import re
import socket
from functools import partial
from typing import Any

import msgspec
from tornado.web import RequestHandler

from chatrooms import sse
from chatrooms.errors import TooMany, Unauthorized, Unavailable
from chatrooms.http.base import SAFE_METHODS, Handler
from chatrooms.http.openapi import EVENTS
from chatrooms.http.tornado_internals import release
from chatrooms.identity import Identity
from chatrooms.logs import log_access
from chatrooms.sessions.owners import visitor
from chatrooms.streams.opening import Fields, MakeStream, StreamKind
from chatrooms.streams.resume import Place
from chatrooms.streams.sockets import GzipBody, say_goodbye
from chatrooms.streams.stream import Stream

_CODING = re.compile(r"\s*([\w*-]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?\Z", re.ASCII | re.IGNORECASE)

SESSION = "session"  # the family that guests may read without a token, where they are allowed


class PolledEvent(msgspec.Struct):
    """An event of the stream."""

    event: str
    id: str
    data: Any


class Poll(msgspec.Struct, rename="camel"):
    """The next events of a stream; poll again from `lastEventId`, at once if there are `more`."""

    events: list[PolledEvent]
    more: bool
    last_event_id: str
    recovered: bool


STREAM = (EVENTS, Poll)  # the answers of a stream that can also be polled


class StreamHandler(Handler):
    """Opens streams, or answers polls of them."""

    _place: Place | None = None

    async def serve(self, family: str, who: Identity, fields: Fields) -> None:
        """Opens a family's stream, or answers a poll. Raises refusals, softly for a reader that comes back.

        204 for a reader that has seen the end: nothing else makes a native EventSource stop.
        """
        await self.open(self.server.opener.kind(family, who, fields))

    async def open(self, kind: StreamKind) -> None:
        """The same, for a kind made by the caller."""
        asked, polls = self.position_asked(), self.polls()
        try:
            if polls:
                over = await self._poll(kind, asked)
            else:
                over = not await self._open(kind, asked)
        except (TooMany, Unavailable) as problem:
            if polls or not asked:
                raise
            last = self.server.opener.refuse_softly(kind, asked, problem)
            sock = take_socket(self)
            if sock is not None:
                say_last(sock, self.stream_head(*kind.headers) + last)
            return
        if over:
            self.set_status(204)

    def position_asked(self) -> str:
        """The position asked for: from the header, else the query; "" for none."""
        return self.request.headers.get("Last-Event-ID", "") or self.query("lastEventId")

    def polls(self) -> bool:
        """Whether to answer with JSON at once."""
        return self.query("poll") in ("1", "true", "True")

    def stream_head(self, *more: tuple[str, str]) -> bytes:
        """The response head of a stream, with its CORS headers."""
        vary = (("Vary", "Accept-Encoding"),) if self.server.compressor is not None else ()
        return sse.head((*more, *vary, *self.access.cors_headers(self.request)))

    async def reader(self, family: str, ticket: str = "", token: str = "") -> Identity:
        """The reader of a stream: by its own ticket or token, else by the call's; sessions admit visitors.

        Raises Unauthorized; Forbidden, also for a write from a foreign page without a token.
        """
        if ticket:
            return await self.server.authenticator.redeem(ticket)
        try:
            return self.server.authenticator.verify(token) if token else self.identity()
        except Unauthorized as problem:
            if problem.code != "token-missing" or family != SESSION or not self.server.options.guests:
                raise
        if self.request.method not in SAFE_METHODS:
            self.access.check_origin(self.request)
        return visitor(self.access.address(self.request))

    async def _poll(self, kind: StreamKind, asked: str) -> bool:
        """Answers a poll; true if the reader has seen the end, and nothing was answered."""
        page = await self.server.opener.poll(kind, asked)
        if page is not None:
            self.answer(page)
        return page is None

    async def _open(self, kind: StreamKind, asked: str) -> bool:
        """Opens a stream when it is its turn; false if the reader has seen the end."""
        self._place = self.server.admission.place()
        if not await self._place:
            take_socket(self)  # which is closed
            return True
        return await self.server.opener.open(kind, asked, lambda: self._connect(kind))

    def on_connection_close(self) -> None:
        """The peer has gone: its place is free."""
        if self._place is not None:
            self.server.admission.leave(self._place)

    def _connect(self, kind: StreamKind) -> tuple[MakeStream, bytes] | None:
        sock, compressor = take_socket(self), self.server.compressor
        if sock is None:
            return None
        if compressor is None or not accepts_gzip(self.request.headers.get("Accept-Encoding", "")):
            return partial(Stream, self.server.hub, sock), self.stream_head(*kind.headers)
        head = self.stream_head(("Content-Encoding", "gzip"), *kind.headers)
        return partial(Stream, self.server.hub, sock, sink=GzipBody(sock, compressor)), head


def accepts_gzip(header: str) -> bool:
    """Whether a value of Accept-Encoding allows gzip (RFC 9110, 12.5.3)."""
    allowed: dict[str, bool] = {}
    for item in header.split(","):
        match = _CODING.match(item)
        if match is not None:
            allowed[match[1].lower()] = (match[2] or "1").strip("0.") != ""
    return allowed.get("gzip", allowed.get("*", False))


def given(**fields: str) -> Fields:
    """The non-empty fields of a request."""
    return {name: value for name, value in fields.items() if value}


def take_socket(handler: RequestHandler) -> socket.socket | None:
    """Ends the request for Tornado without an answer and returns its non-blocking socket.

    None when the peer has gone. Logs the access, because Tornado logs no detached request.
    """
    handler.set_status(200)
    log_access(handler)
    handler.on_finish()
    return release(handler.detach())


def say_last(sock: socket.socket, data: bytes) -> None:
    """Writes a short last answer and closes."""
    try:
        sock.send(data)
        say_goodbye(sock)
    except OSError:
        pass
    finally:
        sock.close()
