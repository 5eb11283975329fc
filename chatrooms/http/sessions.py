"""Message sessions (section 5)."""

from __future__ import annotations

import msgspec

from chatrooms import names
from chatrooms.errors import Forbidden
from chatrooms.http.base import SAFE_METHODS
from chatrooms.http.streaming import SESSION, StreamHandler, given
from chatrooms.identity import Identity
from chatrooms.sessions.owners import READERS_OF_ALL
from chatrooms.sessions.sessions import Draft, SessionScope
from chatrooms.streams.opening import MAX_HISTORY, Fields


class MessageBody(msgspec.Struct, rename="camel"):
    session_id: str | int
    content: str
    is_human: bool | None = None
    is_from_bot: bool | None = None
    intent: str | None = None
    robot_id: str | int | None = None


class OwnerBody(msgspec.Struct, rename="camel"):
    user_id: str | int
    with_history: bool = False


class SessionHandler(StreamHandler):
    """A call of this family: also without a token where guests are allowed, and errors say so twice."""

    error_extras = {"success": False}

    async def caller(self) -> Identity:
        """Who asks; tickets are for reading. Raises Unauthorized, Forbidden."""
        reads = self.request.method in SAFE_METHODS
        return await self.reader(SESSION, self._credential("ticket") if reads else "")

    def fields(self) -> Fields:
        """What is asked for."""
        return given(sessionId=self.query("sessionId"), robotId=self.query("robotId"))


class SessionMessages(SessionHandler):
    """The messages of a session, or of all that the caller may read."""

    async def get(self) -> None:
        """A page, oldest first: the last ones, those before an id, or those after one."""
        scope = SessionScope.of(await self.caller(), self.fields())
        limit = self.number("limit", 50, 1, MAX_HISTORY)
        sessions = self.server.sessions
        await sessions.check_read(scope)
        await sessions.claim(scope)
        messages, more = await sessions.page(scope, self.query("before"), self.query("after"), limit)
        data = {"messages": [msgspec.Raw(message) for message in messages], "hasMore": more}
        self.answer({"success": True, "data": data})

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


class SessionOwner(SessionHandler):
    """Gives a session to a user, who reads what is said from then on; with `withHistory` also what was said before."""

    async def put(self, session_id: str) -> None:
        who = self.identity()
        if who.role not in READERS_OF_ALL:
            raise Forbidden("forbidden", "Only agent, service and admin may assign sessions.")
        body = self.body(OwnerBody)
        session_id, user_id = names.session_id(session_id), names.user_id(body.user_id)
        await self.server.sessions.assign(who, session_id, user_id, body.with_history)
        self.answer({"success": True, "data": {"sessionId": session_id, "userId": user_id}})


class SessionEvents(SessionHandler):
    """Streams the messages of a session, or of all; with `poll` as JSON at once."""

    async def get(self) -> None:
        who = await self.caller()
        more = given(history=self.query("history"), clientId=self.query("clientId"))
        await self.serve(SESSION, who, {**self.fields(), **more})


class Stats(SessionHandler):
    """How many streams this node has, by channel, as far as the caller may read them."""

    async def get(self) -> None:
        who = await self.caller()
        channels = await self.server.stream_stats.counts(who)
        self.answer({"success": True, "data": {"totalConnections": sum(channels.values()), "channels": channels}})


ROUTES = [
    (r"/api/messages", SessionMessages),
    (r"/api/sessions/([^/]+)", SessionOwner),
    (r"/api/sse/messages", SessionEvents),
    (r"/api/sse/stats", Stats),
]
