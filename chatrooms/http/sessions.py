"""Message sessions (section 5)."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec

from chatrooms import names
from chatrooms.errors import Forbidden
from chatrooms.http.base import SAFE_METHODS
from chatrooms.http.openapi import Number, operation
from chatrooms.http.streaming import SESSION, STREAM, StreamHandler, given
from chatrooms.identity import Identity
from chatrooms.sessions.owners import READERS_OF_ALL
from chatrooms.sessions.sessions import SessionDraft, SessionScope
from chatrooms.sessions.store import SessionMessage
from chatrooms.streams.opening import MAX_HISTORY, Fields

LIMIT = Number("limit", 50, 1, MAX_HISTORY)
HISTORY = Number("history", 0, 0, MAX_HISTORY)


class SessionMessageBody(msgspec.Struct, rename="camel"):
    """A message to post to a session."""

    session_id: str | int
    content: str
    is_human: bool | None = None
    is_from_bot: bool | None = None
    intent: str | None = None
    robot_id: str | int | None = None


class OwnerBody(msgspec.Struct, rename="camel"):
    """The user to whom a session is assigned."""

    user_id: str | int
    with_history: bool = False


class PostedSessionMessage(SessionMessage):
    """A message of a session; `createdAt` in ISO 8601, UTC."""

    id: str


class SessionMessagePage(msgspec.Struct, rename="camel"):
    """A page of a session's messages."""

    messages: list[PostedSessionMessage]
    has_more: bool


class OwnedSession(msgspec.Struct, rename="camel"):
    """A session and its owner."""

    session_id: str
    user_id: str


class StreamCounts(msgspec.Struct, rename="camel"):
    """The number of streams of each channel, for channels that the caller may read."""

    total_connections: int
    channels: dict[str, int]


T = TypeVar("T")


class Success(msgspec.Struct, Generic[T]):
    """The envelope of every response about message sessions."""

    success: Literal[True]
    data: T


class SessionHandler(StreamHandler):
    """Calls of this family: guests need no token where they are allowed, and errors also say `success: false`."""

    error_extras = {"success": False}

    async def caller(self) -> Identity:
        """The caller; tickets count only for reads. Raises Unauthorized, Forbidden."""
        reads = self.request.method in SAFE_METHODS
        return await self.reader(SESSION, self._credential("ticket") if reads else "")

    def fields(self) -> Fields:
        """The fields that the stream is requested with."""
        return given(sessionId=self.query("sessionId"), robotId=self.query("robotId"))


class SessionMessages(SessionHandler):
    @operation(
        {200: Success[SessionMessagePage]}, query=("sessionId", "robotId", "before", "after", LIMIT),
        errors=("forbidden",), token="optional",
    )  # fmt: skip
    async def get(self) -> None:
        """Returns the last messages of a session or of all readable ones, or those before or after an id."""
        scope = SessionScope.of(await self.caller(), self.fields())
        limit = self.number(*LIMIT)
        sessions = self.server.sessions
        await sessions.check_read(scope)
        await sessions.claim(scope)
        messages, more = await sessions.page(scope, self.query("before"), self.query("after"), limit)
        data = {"messages": [msgspec.Raw(message) for message in messages], "hasMore": more}
        self.answer({"success": True, "data": data})

    @operation(
        {201: Success[PostedSessionMessage]}, body=SessionMessageBody, example={"sessionId": "42", "content": "Hello"},
        errors=("forbidden", "empty-message"), token="optional",
    )  # fmt: skip
    async def post(self) -> None:
        """Posts a message to a session."""
        who = await self.caller()
        body = self.body(SessionMessageBody)
        draft = SessionDraft(
            names.session_id(body.session_id),
            body.content,
            bool(body.is_from_bot),
            bool(body.is_human),
            names.intent(body.intent) if body.intent is not None else None,
            names.robot_id(body.robot_id) if body.robot_id is not None else None,
        )
        message = await self.server.sessions.post(who, draft)
        self.answer({"success": True, "data": msgspec.Raw(message)}, 201)


class SessionOwner(SessionHandler):
    @operation({200: Success[OwnedSession]}, body=OwnerBody, example={"userId": "ada"}, errors=("forbidden",))
    async def put(self, session_id: str) -> None:
        """Assigns a session to a user, who reads it from then on; with `withHistory` also what was written before."""
        who = self.identity()
        if who.role not in READERS_OF_ALL:
            raise Forbidden("forbidden", "Only agent, service and admin may assign sessions.")
        body = self.body(OwnerBody)
        session_id, user_id = names.session_id(session_id), names.user_id(body.user_id)
        await self.server.sessions.assign(who, session_id, user_id, body.with_history)
        self.answer({"success": True, "data": {"sessionId": session_id, "userId": user_id}})


class SessionEvents(SessionHandler):
    @operation(
        {200: STREAM}, query=("sessionId", "robotId", "clientId", "lastEventId", HISTORY, "poll"),
        errors=("forbidden",), token="optional",
    )  # fmt: skip
    async def get(self) -> None:
        """Streams the messages of a session, or of all; with `poll` returns them as JSON."""
        who = await self.caller()
        more = given(history=self.query("history"), clientId=self.query("clientId"))
        await self.serve(SESSION, who, {**self.fields(), **more})


class Stats(SessionHandler):
    @operation({200: Success[StreamCounts]}, token="optional")
    async def get(self) -> None:
        """Counts the streams of this node, or of all its workers, by channel, for channels that the caller may read."""
        who = await self.caller()
        channels = await self.server.stream_stats.counts(who)
        self.answer({"success": True, "data": {"totalConnections": sum(channels.values()), "channels": channels}})


ROUTES = [
    (r"/api/messages", SessionMessages),
    (r"/api/sessions/([^/]+)", SessionOwner),
    (r"/api/sse/messages", SessionEvents),
    (r"/api/sse/stats", Stats),
]
