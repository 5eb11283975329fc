"""Message sessions (section 5)."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec

from chatrooms import names
from chatrooms.errors import Forbidden, TooMany, Unauthorized, Unavailable
from chatrooms.http.base import SAFE_METHODS, Handler
from chatrooms.http.openapi import Number, operation
from chatrooms.http.streaming import STREAM, position_asked, refuse_softly, stream_head, take_socket
from chatrooms.sessions.owners import READERS_OF_ALL, visitor
from chatrooms.sessions.sessions import Draft, Reading, within
from chatrooms.sessions.store import UNNAMED, SessionMessage
from chatrooms.streams.resume import Start
from chatrooms.users.tokens import Identity

MAX_HISTORY = 200  # messages in one answer, or told first on a stream
LIMIT = Number("limit", 50, 1, MAX_HISTORY)
HISTORY = Number("history", 0, 0, MAX_HISTORY)


class SessionMessageBody(msgspec.Struct, rename="camel"):
    session_id: str | int
    content: str
    is_human: bool | None = None
    is_from_bot: bool | None = None
    intent: str | None = None
    robot_id: str | int | None = None


class OwnerBody(msgspec.Struct, rename="camel"):
    user_id: str | int
    with_history: bool = False


class PostedSessionMessage(SessionMessage):
    """A message of a session; `created_at` in ISO 8601, UTC."""

    id: str


class SessionMessagePage(msgspec.Struct, rename="camel"):
    messages: list[PostedSessionMessage]
    has_more: bool


class OwnedSession(msgspec.Struct, rename="camel"):
    session_id: str
    user_id: str


class StreamCounts(msgspec.Struct, rename="camel"):
    """The number of streams of each channel that the caller may read."""

    total_connections: int
    channels: dict[str, int]


T = TypeVar("T")


class Success(msgspec.Struct, Generic[T]):
    """The envelope of every response of this family."""

    success: Literal[True]
    data: T


class SessionHandler(Handler):
    """A call of this family: also without a token where guests are allowed, and errors say so twice."""

    error_extras = {"success": False}

    async def caller(self) -> Identity:
        """Who asks. Raises Unauthorized; Forbidden for a write of a foreign page without a token."""
        reads = self.request.method in SAFE_METHODS
        try:
            return await self.stream_identity() if reads else self.identity()
        except Unauthorized as problem:
            if problem.code != "token-missing" or not self.server.options.guests:
                raise
        if not reads:
            self.access.check_origin(self.request)
        return visitor(self.access.address(self.request))

    def reading(self, who: Identity) -> Reading:
        """What is asked for."""
        session_id, robot_id = self.query("sessionId"), self.query("robotId")
        return Reading(
            who, names.session_id(session_id) if session_id else None, names.robot_id(robot_id) if robot_id else None
        )


class SessionMessages(SessionHandler):
    @operation(
        {200: Success[SessionMessagePage]}, query=("sessionId", "robotId", "before", "after", LIMIT),
        errors=("forbidden",), token="optional",
    )  # fmt: skip
    async def get(self) -> None:
        """Returns the last messages of a session or of all readable ones, or those before or after an id."""
        reading = self.reading(await self.caller())
        limit = self.number(*LIMIT)
        sessions = self.server.sessions
        await sessions.check_read(reading)
        await sessions.claim(reading)
        messages, more = await sessions.page(reading, self.query("before"), self.query("after"), limit)
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
        draft = Draft(
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
        """Assigns a session to a user, who reads it from then on; with `withHistory` also what was said before."""
        who = self.identity()
        if who.role not in READERS_OF_ALL:
            raise Forbidden("forbidden", "Only agent, service and admin may assign sessions.")
        body = self.body(OwnerBody)
        session_id, user_id = names.session_id(session_id), names.user_id(body.user_id)
        await self.server.sessions.assign(who, session_id, user_id, body.with_history)
        self.answer({"success": True, "data": {"sessionId": session_id, "userId": user_id}})


class SessionEvents(SessionHandler):
    @operation(
        {200: STREAM}, query=("sessionId", "robotId", "lastEventId", HISTORY, "poll"), errors=("forbidden",),
        token="optional",
    )  # fmt: skip
    async def get(self) -> None:
        """Streams the messages of a session, or of all; with `poll` returns them as JSON."""
        reading = self.reading(await self.caller())
        asked, polls = position_asked(self), self.query("poll") in ("1", "true", "True")
        try:
            start = await self._start(reading, asked)
            if polls:
                self.answer(await self.server.sessions.poll(reading, start))
                return
            # Again, with no await from here until the stream is open: a claim that comes later finds it.
            since = await self.server.sessions.check_read(reading)
            self.server.hub.check_room_for(reading.who.user_id)
        except (TooMany, Unavailable) as problem:
            if polls or not asked:
                raise
            refuse_softly(self, reading.who, asked, problem, UNNAMED)
            return
        self.server.authenticator.check(reading.who)  # again: it may have been shut out meanwhile
        start = within(start, since, self.server.log.head)
        sock = take_socket(self)
        if sock is not None:
            self.server.sessions.open(sock, reading, start, stream_head(self))

    async def _start(self, reading: Reading, asked: str) -> Start:
        """Where to start, for who may read; the session is the caller's from here on if it may be."""
        sessions = self.server.sessions
        await sessions.check_read(reading)
        history = self.number(*HISTORY)
        self.server.quotas.open_stream(reading.who)
        self.server.hub.check_room_for(reading.who.user_id)
        await sessions.claim(reading)
        return await sessions.start_of(reading, asked, history)


class Stats(SessionHandler):
    @operation({200: Success[StreamCounts]}, token="optional")
    async def get(self) -> None:
        """Counts the streams of this node by channel, as far as the caller may read them."""
        who = await self.caller()
        channels = await self.server.stream_stats.counts(who)
        self.answer({"success": True, "data": {"totalConnections": sum(channels.values()), "channels": channels}})


ROUTES = [
    (r"/api/messages", SessionMessages),
    (r"/api/sessions/([^/]+)", SessionOwner),
    (r"/api/sse/messages", SessionEvents),
    (r"/api/sse/stats", Stats),
]
