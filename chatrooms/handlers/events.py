"""Room streams: GET /events (section 3)."""

from __future__ import annotations

import secrets

from chatrooms import names
from chatrooms.errors import Forbidden, Problem, TooMany, Unavailable
from chatrooms.handlers.base import check_same_user
from chatrooms.handlers.detach import take_socket
from chatrooms.handlers.softly import Streaming
from chatrooms.identity.tokens import Identity
from chatrooms.rooms.seat import Seat, Start

MAX_HISTORY = 200


class Events(Streaming):
    """Opens a room's stream, or answers a poll."""

    async def get(self) -> None:
        who = await self.stream_identity()
        seat = self._seat(who)
        asked = self.asked()
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
            self._refuse(who, asked, problem)
            return
        self.server.gate.check(who)  # again: it may have been shut out meanwhile
        self.server.rooms.admit(seat)
        sock = take_socket(self)
        if sock is not None:
            self.server.rooms.open(sock, seat, start, self.head_of_stream())

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

    def _refuse(self, who: Identity, asked: str, problem: Problem) -> None:
        if self.query("poll") == "1":
            raise problem
        self.refuse_softly(who, asked, problem)


ROUTES = [(r"/events", Events)]
