"""Notifications (section 7)."""

from __future__ import annotations

from typing import Any

import msgspec

from chatrooms import names
from chatrooms.errors import BadRequest, Forbidden
from chatrooms.http.base import Handler
from chatrooms.http.openapi import operation
from chatrooms.http.streaming import STREAM, StreamHandler, given
from chatrooms.personal.notifications import notification_event


class NotificationBody(msgspec.Struct, rename="camel", kw_only=True):
    """A notification for one user or several."""

    type: str
    data: Any
    user_id: str | int | None = None
    user_ids: list[str | int] | None = None
    session_id: str | int | None = None
    source_client_id: str | None = None


class NotificationId(msgspec.Struct):
    """The notification as it was stored."""

    id: str


class NotificationList(Handler):
    @operation(
        {201: NotificationId}, body=NotificationBody, errors=("forbidden",),
        example={"userId": "ada", "type": "client_updated", "data": {"color": "red"}},
    )  # fmt: skip
    async def post(self) -> None:
        """Notifies one user or several, in one commit."""
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


class NotificationStream(StreamHandler):
    @operation({200: STREAM}, query=("session_id", "clientId", "lastEventId", "poll"), errors=("user-mismatch",))
    async def get(self, user_id: str) -> None:
        """Streams a user's notifications, or those of one of their sessions."""
        who = await self.stream_identity()
        fields = given(userId=user_id, sessionId=self.query("session_id"), clientId=self.query("clientId"))
        await self.serve("notifications", who, fields)


ROUTES = [
    (r"/api/notifications", NotificationList),
    (r"/api/clients/([^/]+)/sse", NotificationStream),
]
