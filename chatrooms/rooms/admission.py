"""The entrance: what is checked before somebody may read a room, in the order of the contract."""

from __future__ import annotations

from chatrooms import lookalikes, names
from chatrooms.errors import Conflict, Forbidden
from chatrooms.rooms.attendee import Attendee, JoinRequest
from chatrooms.rooms.policy import Policy
from chatrooms.rooms.rooms import Rooms
from chatrooms.streams.resume import Start
from chatrooms.users.authenticator import Authenticator
from chatrooms.users.quotas import Quotas
from chatrooms.users.tokens import Identity

MAX_HISTORY = 200


def check_free(who: Identity, username: str) -> None:
    """Raises Conflict `name-taken` for the server's own name, where no token gives one.

    Other reserved names are the business of the program that made the token.
    """
    if not who.trusted and username != who.user_id and lookalikes.is_spoken(username):
        raise Conflict("name-taken", "That name is reserved.")


class Admission:
    """Lets readers into rooms."""

    def __init__(self, rooms: Rooms, policy: Policy, quotas: Quotas, authenticator: Authenticator) -> None:
        self._rooms = rooms
        self._policy = policy
        self._quotas = quotas
        self._authenticator = authenticator

    def attendee(self, who: Identity, request: JoinRequest) -> Attendee:
        """Who wants to sit where. Raises Forbidden, then BadRequest, then Conflict `name-taken`."""
        if request.user_id and request.user_id != who.user_id:
            raise Forbidden("user-mismatch", "userId does not match the token.")
        if who.username is not None and request.username and not names.same_name(request.username, who.username):
            raise Forbidden("username-mismatch", "username does not match the token.")
        room_id = names.room_id(request.room_id)
        username = names.username(request.username or None)
        if who.username is None:
            check_free(who, username)
        client_id = names.client_id(request.client_id) if request.client_id else names.new_client_id()
        name = who.username or username
        return Attendee(room_id, who.user_id, name, client_id, who.session, who.expires_at, who.trusted, who.guest)

    async def start(self, who: Identity, attendee: Attendee, request: JoinRequest) -> Start:
        """Where the reader starts. Raises Forbidden, BadRequest, TooMany, Unavailable."""
        await self._policy.readable(who, attendee.room_id)
        history = names.whole_number(request.history, "history", 0, MAX_HISTORY) if request.history else 0
        self._quotas.open_stream(who)
        self._rooms.check_open(attendee)
        return await self._rooms.start_of(attendee.room_id, request.position, history)

    async def admit(self, who: Identity, attendee: Attendee) -> None:
        """Asks again, for much may have changed meanwhile: who opens the stream without an `await`
        opens it by the rules as they are, and a ban that comes later finds it.

        Raises Forbidden, TooMany, Unavailable, Unauthorized, Conflict.
        """
        await self._policy.readable(who, attendee.room_id)
        self._rooms.check_open(attendee)
        self._authenticator.check(who)
        self._rooms.admit(attendee)
