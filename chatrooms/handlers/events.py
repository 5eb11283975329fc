"""Room streams and the personal one: GET /events (sections 3 and 6)."""

from __future__ import annotations

import secrets

from chatrooms import names
from chatrooms.core.start import Start
from chatrooms.errors import Forbidden, Problem, TooMany, Unavailable
from chatrooms.handlers.base import check_same_user
from chatrooms.handlers.detach import take_socket
from chatrooms.handlers.personal import OwnStream, asks_for_personal
from chatrooms.handlers.refusal import refuse_softly, stream_head
from chatrooms.identity.tokens import Identity
from chatrooms.rooms.seat import Seat

MAX_HISTORY = 200


class Events(OwnStream):
    """Opens a room's stream, or answers a poll."""

    async def get(self) -> None:
        """A room's stream; with none of roomId, username, clientId and token the personal one."""
        who = await self.stream_identity()
        if asks_for_personal(self.request):
            await self.serve_personal(who)
            return
        seat = self._seat(who)
        asked = self._asked()
        try:
            await self.server.rulebook.readable(who, seat.room_id)
            history = self.number("history", 0, 0, MAX_HISTORY)
            self.server.quotas.open_stream(who)
            self.server.rooms.check_open(seat)
            start = await self.server.rooms.start_of(seat.room_id, asked, history)
            if self.query("poll") == "1":
                await self._poll(who, seat, start)
                return
            # Again, with no await from here until the stream is open: a ban that comes later finds it.
            await self.server.rulebook.readable(who, seat.room_id)
            self.server.rooms.check_open(seat)  # again: others came while the log was read
        except (TooMany, Unavailable) as problem:
            if not asked:
                raise
            self._refuse_softly(who, asked, problem)
            return
        self.server.gate.check(who)  # again: it may have been shut out meanwhile
        self.server.rooms.admit(seat)
        sock = take_socket(self)
        if sock is not None:
            self.server.rooms.open(sock, seat, start, stream_head(self))

    async def _poll(self, who: Identity, seat: Seat, start: Start) -> None:
        await self.server.rulebook.readable(who, seat.room_id)
        page = await self.server.rooms.poll(seat, start)
        await self.server.rulebook.readable(who, seat.room_id)  # by the rights at delivery
        self.answer(page)

    def _seat(self, who: Identity) -> Seat:
        """Who wants to sit where. The checks for 403 come before those for 400."""
        check_same_user(who, self.query("userId") or None)
        username = self.query("username")
        if who.username is not None and username and not names.same_name(username, who.username):
            raise Forbidden("username-mismatch", "username is not the one of the token.")
        room_id = names.room_id(self.query("roomId"))
        username = names.username(username or None)
        client_id = self.query("clientId")
        client_id = names.client_id(client_id) if client_id else secrets.token_urlsafe(9)
        return Seat(room_id, who.user_id, who.username or username, client_id, who.session, who.expires_at, who.trusted)

    def _asked(self) -> str:
        """The position asked for: the header's, else the query's, else none."""
        return self.request.headers.get("Last-Event-ID", "") or self.query("lastEventId")

    def _refuse_softly(self, who: Identity, asked: str, problem: Problem) -> None:
        """To a stream that comes back only; a poll asks again by itself."""
        if self.query("poll") == "1":
            raise problem
        refuse_softly(self, who, asked, problem)


ROUTES = [(r"/events", Events)]
