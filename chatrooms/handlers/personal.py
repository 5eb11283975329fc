"""Streams that are a user's own: the personal stream (section 6) and notifications (section 7)."""

from __future__ import annotations

import secrets

from tornado.httputil import HTTPServerRequest

from chatrooms import sse
from chatrooms.errors import TooMany, Unavailable
from chatrooms.handlers.base import Handler, check_same_user
from chatrooms.handlers.detach import take_socket
from chatrooms.handlers.refusal import refuse_softly, stream_head
from chatrooms.identity.tokens import Identity
from chatrooms.personal import unnamed
from chatrooms.personal.reading import Reading

# What asks for a room's stream, be it empty.
ROOM_FORM = ("roomId", "username", "clientId", "token")


def asks_for_personal(request: HTTPServerRequest) -> bool:
    """Whether a request for /events names no room and nobody to be there."""
    return not any(name in request.query_arguments for name in ROOM_FORM)


class OwnStream(Handler):
    """Opens streams that are no presence, and answers polls of them."""

    async def serve_personal(self, who: Identity) -> None:
        """The caller's personal stream; by `access_token` in the unnamed form."""
        check_same_user(who, self.query("userId") or None)
        encode: sse.Encoding = unnamed.encode if self.query("access_token") else sse.encode
        await self.serve(self.server.personal.reading(who, new_client_id(), encode))

    async def serve(self, reading: Reading) -> None:
        """Opens a stream, or answers a poll. Raises what refuses it, softly to who comes back."""
        asked = self.request.headers.get("Last-Event-ID", "") or self.query("lastEventId")
        polls = self.query("poll") == "1"
        try:
            self.server.quotas.open_stream(reading.who)
            self._check_open(reading)
            await reading.begin(asked)
            if polls:
                self.answer(await reading.poll())
                return
            self._check_open(reading)  # again: others came while the log was read
        except (TooMany, Unavailable) as problem:
            if not asked or polls:
                raise
            refuse_softly(self, reading.who, asked, problem, reading.encode)
            return
        self.server.gate.check(reading.who)  # again: it may have been shut out meanwhile
        reading.admit()
        sock = take_socket(self)
        if sock is not None:
            reading.open(sock, stream_head(self))

    def _check_open(self, reading: Reading) -> None:
        if self.server.draining:
            raise Unavailable("draining", "The server is about to stop.", 5)
        reading.check_open()


def new_client_id() -> str:
    """For a client that does not name itself."""
    return secrets.token_urlsafe(9)
