"""Message sessions (section 5)."""

from __future__ import annotations

import msgspec

from chatrooms import names
from chatrooms.errors import TooMany, Unauthorized, Unavailable
from chatrooms.handlers.base import SAFE_METHODS, Handler
from chatrooms.handlers.detach import take_socket
from chatrooms.handlers.refusal import refuse_softly, stream_head
from chatrooms.identity.tokens import Identity
from chatrooms.sessions.encoding import UNNAMED
from chatrooms.sessions.sessions import Draft, Reading, visitor


class MessageBody(msgspec.Struct, rename="camel"):
    session_id: str | int
    content: str
    is_human: bool | None = None
    is_from_bot: bool | None = None
    intent: str | None = None
    robot_id: str | int | None = None


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


class SessionMessages(SessionHandler):
    """Writes a message."""

    async def post(self) -> None:
        who = await self.caller()
        body = self.body(MessageBody)
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


class SessionEvents(SessionHandler):
    """Streams the messages of a session, or of all."""

    async def get(self) -> None:
        who = await self.caller()
        reading = self._reading(who)
        asked = self.request.headers.get("Last-Event-ID", "") or self.query("lastEventId")
        sessions = self.server.sessions
        try:
            await sessions.check_read(reading)
            self.server.quotas.open_stream(who)
            sessions.check_open(who)
            await sessions.claim(reading)
            start = await sessions.start_of(reading, asked)
            # Again, with no await from here until the stream is open: a claim that comes later finds it.
            await sessions.check_read(reading)
            sessions.check_open(who)
        except (TooMany, Unavailable) as problem:
            if not asked:
                raise
            refuse_softly(self, who, asked, problem, UNNAMED)
            return
        self.server.gate.check(who)  # again: it may have been shut out meanwhile
        sock = take_socket(self)
        if sock is not None:
            sessions.open(sock, reading, start, stream_head(self))

    def _reading(self, who: Identity) -> Reading:
        session_id, robot_id = self.query("sessionId"), self.query("robotId")
        return Reading(
            who, names.session_id(session_id) if session_id else None, names.robot_id(robot_id) if robot_id else None
        )


class Stats(SessionHandler):
    """How many streams this node has, by channel, as far as the caller may read them."""

    async def get(self) -> None:
        who = await self.caller()
        channels = await self.server.readership.counts(who)
        self.answer({"success": True, "data": {"totalConnections": sum(channels.values()), "channels": channels}})


ROUTES = [
    (r"/api/messages", SessionMessages),
    (r"/api/sse/messages", SessionEvents),
    (r"/api/sse/stats", Stats),
]
