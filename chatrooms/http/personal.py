"""Streams that are a user's own: the personal stream (section 6) and notifications (section 7)."""

from __future__ import annotations

from typing import Any

import msgspec

from chatrooms import names
from chatrooms.errors import BadRequest, Forbidden, TooMany, Unavailable
from chatrooms.http.base import Handler
from chatrooms.http.openapi import operation
from chatrooms.http.streaming import STREAM, position_asked, refuse_softly, stream_head, take_socket
from chatrooms.personal.notifications import notification_event
from chatrooms.personal.personal import UNNAMED
from chatrooms.streams.encoding import NAMED, Encoding
from chatrooms.streams.reading import Reading
from chatrooms.users.tokens import Identity

# What asks for a room's stream, be it empty.
ROOM_FORM = frozenset({"roomId", "username", "clientId", "token"})


class OwnStream(Handler):
    """Opens streams that are no presence, and answers polls of them."""

    async def serve_personal(self, who: Identity, user_id: str) -> None:
        """The caller's personal stream; by `access_token` in the unnamed form. `user_id`, if given, must be theirs."""
        if user_id and user_id != who.user_id:
            raise Forbidden("user-mismatch", "userId does not match the token.")
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
        self.server.authenticator.check(reading.who)  # again: it may have been shut out meanwhile
        reading.admit()
        sock = take_socket(self)
        if sock is not None:
            reading.open(sock, stream_head(self))

    def _asked(self) -> str:
        return position_asked(self)

    def _polls(self) -> bool:
        return self.query("poll") == "1"


class NotificationBody(msgspec.Struct, rename="camel", kw_only=True):
    type: str
    data: Any
    user_id: str | int | None = None
    user_ids: list[str | int] | None = None
    session_id: str | int | None = None
    source_client_id: str | None = None


class NotificationId(msgspec.Struct):
    id: str


class NotificationList(Handler):
    @operation(
        {201: NotificationId}, body=NotificationBody, errors=("forbidden",),
        example={"userId": "ada", "type": "client_updated", "data": {"color": "red"}},
    )  # fmt: skip
    async def post(self) -> None:
        """Tells one user or several something, in one commit."""
        who = self.identity()
        if not who.trusted:
            raise Forbidden("forbidden", "Only service and admin may send notifications.")
        body = self.body(NotificationBody)
        if (body.user_id is None) == (body.user_ids is None):
            raise BadRequest("bad-field", "Give userId or userIds.")
        users = [body.user_id] if body.user_ids is None else body.user_ids
        event = notification_event(
            [names.user_id(user) for user in users], body.type, body.data, body.session_id, body.source_client_id,
            self.server.notifications.max_bytes,
        )  # fmt: skip
        (id,) = await self.server.notifications.send([event])
        self.answer({"id": id}, 201)


class NotificationStream(OwnStream):
    @operation({200: STREAM}, query=("session_id", "clientId", "lastEventId", "poll"), errors=("user-mismatch",))
    async def get(self, user_id: str) -> None:
        """Streams the notifications of a user, or of one of their sessions."""
        who = await self.stream_identity()
        if user_id != who.user_id and not who.trusted:
            raise Forbidden("user-mismatch", "Only service and admin may read the notifications of others.")
        user_id = names.user_id(user_id)
        session = self.query("session_id")
        session_id = names.session_id(session) if session else None
        given = self.query("clientId")
        client_id = names.client_id(given) if given else names.new_client_id()
        await self.serve(self.server.notifications.reading(who, client_id, user_id, session_id))


ROUTES = [
    (r"/api/notifications", NotificationList),
    (r"/api/clients/([^/]+)/sse", NotificationStream),
]
