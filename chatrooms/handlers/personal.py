"""Streams that are a user's own: the personal stream (section 6) and notifications (section 7)."""

from __future__ import annotations

from chatrooms import names
from chatrooms.core.encoding import NAMED, Encoding
from chatrooms.errors import Forbidden, TooMany, Unavailable
from chatrooms.handlers.base import Handler
from chatrooms.handlers.detach import take_socket
from chatrooms.handlers.streaming import position_asked, refuse_softly, stream_head
from chatrooms.identity.tokens import Identity
from chatrooms.personal.reading import Reading
from chatrooms.personal.unnamed import UNNAMED

# What asks for a room's stream, be it empty.
ROOM_FORM = frozenset({"roomId", "username", "clientId", "token"})


class OwnStream(Handler):
    """Opens streams that are no presence, and answers polls of them."""

    async def serve_personal(self, who: Identity, user_id: str) -> None:
        """The caller's personal stream; by `access_token` in the unnamed form. `user_id`, if given, must be theirs."""
        if user_id and user_id != who.user_id:
            raise Forbidden("user-mismatch", "userId is not the one of the token.")
        encoding: Encoding = UNNAMED if self._credential("access_token") else NAMED
        await self.serve(self.server.personal.reading(who, names.new_client_id(), encoding))

    async def serve(self, reading: Reading) -> None:
        """Opens a stream, or answers a poll. Raises what refuses it, softly to who comes back."""
        asked = self._asked()
        polls = self._polls()
        try:
            self.server.quotas.open_stream(reading.who)
            reading.check_open()
            await reading.begin(asked)
            if polls:
                self.answer(await reading.poll())
                return
            reading.check_open()  # again: others came while the log was read
        except (TooMany, Unavailable) as problem:
            if not asked or polls:
                raise
            refuse_softly(self, reading.who, asked, problem, reading.encoding)
            return
        self.server.gate.check(reading.who)  # again: it may have been shut out meanwhile
        reading.admit()
        sock = take_socket(self)
        if sock is not None:
            reading.open(sock, stream_head(self))

    def _asked(self) -> str:
        return position_asked(self)

    def _polls(self) -> bool:
        return self.query("poll") == "1"
