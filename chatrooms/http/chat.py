"""AI replies over HTTP: started, streamed, resumed, stopped (section 4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import msgspec

from chatrooms import names
from chatrooms.ai.base import Prompt, Turn
from chatrooms.errors import BadRequest
from chatrooms.http.openapi import EVENTS, operation
from chatrooms.http.streaming import STREAM, StreamHandler, given
from chatrooms.identity import Identity
from chatrooms.replies.reply import UI_HEADER, Reply
from chatrooms.replies.stream import NewReply

HISTORY = 10  # only this many last entries count
ROLES = ("user", "assistant", "system")
MAX_BODY = 1 << 20  # a `useChat` page sends the whole conversation each time

ConversationId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class TurnBody(msgspec.Struct):
    """A turn of a conversation."""

    role: str
    content: str


class PartBody(msgspec.Struct):
    """A part of a message of the AI SDK."""

    type: str = ""
    text: str = ""


class MessageBody(msgspec.Struct):
    """A message of the AI SDK; parts other than text are ignored."""

    role: str
    content: str = ""
    parts: list[PartBody] = []

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if part.type == "text") or self.content


class ChatBody(msgspec.Struct, rename="camel"):
    """The question: `message` and `history`, or `messages` and `id` as `useChat` sends it."""

    message: str | None = None
    conversation_id: ConversationId | None = None
    history: list[TurnBody] = []
    model: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    room_id: str | None = None
    username: str | None = None
    messages: list[MessageBody] | None = None
    id: ConversationId | None = None

    def prompt(self) -> Prompt:
        """Raises BadRequest without a non-empty message."""
        turns = [Turn(turn.role, turn.content) for turn in self.history]
        message = self.message
        if message is None and self.messages is not None:
            turns = [Turn(m.role, m.text) for m in self.messages if m.text]
            message = turns.pop().content if turns and turns[-1].role == "user" else ""
        if message is None or not message.strip():
            raise BadRequest("empty-message", "The message is empty.")
        if any(turn.role not in ROLES for turn in turns):
            raise BadRequest("bad-field", "role must be one of " + ", ".join(ROLES) + ".")
        return Prompt(message, turns[-HISTORY:], self.model, self.temperature)


BEGINNING = ("forbidden", "banned", "muted", "slow-mode", "too-large", "too-many-replies")


class ReplyHandler(StreamHandler):
    """Streams replies. A reader that leaves does not stop the reply."""

    def position_asked(self) -> str:
        return ""

    def polls(self) -> bool:
        return False

    def form(self, ui: bool = False) -> str:
        """The form of a reply; a header or the query may also ask for `ui`, the AI SDK's."""
        ui = ui or UI_HEADER in self.request.headers or self.query("format") == "ui-message-stream"
        return "ui" if ui else "content"

    async def begin(self, who: Identity, begin: Callable[[], Awaitable[Reply]], ui: bool = False) -> None:
        """Starts a reply and streams it over this connection."""
        self.server.quotas.reply(who)
        await self.open(NewReply(self.server.reply_topics, who, {"form": self.form(ui)}, begin))


class Chat(ReplyHandler):
    @operation(
        {200: EVENTS}, body=ChatBody, example={"message": "What is an event stream?"}, query=("format",),
        errors=(*BEGINNING, "empty-message", "name-taken"),
    )  # fmt: skip
    async def post(self) -> None:
        """Starts a reply and streams it."""
        who = self.identity()
        body = self.body(ChatBody, MAX_BODY)
        prompt = body.prompt()
        name = self.username(who, body.username, None)
        await self.begin(who, partial(self._begin, who, name, body, prompt), body.messages is not None)

    async def _begin(self, who: Identity, name: str, body: ChatBody, prompt: Prompt) -> Reply:
        conversation = body.conversation_id or body.id
        if body.room_id is None:
            return await self.server.replies.start(who, name, prompt, conversation)
        room_id = names.room_id(body.room_id)
        await self.server.reply_rights.check_ask(who, room_id)
        return await self.server.room_replies.ask(who, name, room_id, prompt, conversation)


class ChatReply(ReplyHandler):
    @operation(
        {200: STREAM, 204: None}, query=("after", "lastEventId", "clientId", "format", "poll"),
        errors=("not-found", "forbidden", "banned"),
    )  # fmt: skip
    async def get(self, reply_id: str) -> None:
        """Streams the rest of a reply after `Last-Event-ID` or `after`, and `[DONE]`; or polls it."""
        who = await self.stream_identity()
        fields = given(messageId=reply_id, form=self.form(), clientId=self.query("clientId"))
        await self.serve("reply", who, fields)

    @operation({204: None}, errors=("not-found", "not-author", "forbidden", "banned"))
    async def delete(self, reply_id: str) -> None:
        """Stops a reply; the partial text is kept."""
        who = self.identity()
        reply = await self.server.replies.find(reply_id)
        await self.server.reply_rights.check_stop(who, reply)
        await self.server.replies.stop(reply, who.username or who.user_id)
        self.set_status(204)

    def position_asked(self) -> str:
        return StreamHandler.position_asked(self) or self.query("after")

    def polls(self) -> bool:
        return StreamHandler.polls(self)


class Regenerate(ReplyHandler):
    @operation({200: EVENTS}, query=("format",), errors=(*BEGINNING, "not-found", "not-author", "conflict"))
    async def post(self, reply_id: str) -> None:
        """Starts another reply to the same question and streams it."""
        who = self.identity()
        reply = await self.server.replies.find(reply_id)
        await self.server.reply_rights.check_repeat(who, reply)
        await self.begin(who, partial(self._again, who, reply))

    async def _again(self, who: Identity, reply: Reply) -> Reply:
        name = who.username or who.user_id
        if reply.row.room_id is not None:
            return await self.server.room_replies.again(who, name, reply)
        prompt = self.server.replies.asked(reply)
        return await self.server.replies.start(who, name, prompt, reply.row.conversation_id)


class Conversation(ReplyHandler):
    @operation({200: EVENTS, 204: None}, errors=("forbidden", "banned", "not-found"))
    async def get(self, conversation_id: str) -> None:
        """Streams the running reply of a conversation from its beginning, for `useChat` pages that resume."""
        who = await self.stream_identity()
        reply = self.server.replies.of_conversation(who.user_id, conversation_id)
        if reply is None:
            self.set_status(204)
        else:
            await self.serve("reply", who, {"messageId": reply.id, "form": "ui"})


ROUTES = [
    (r"/api/chat/stream", Chat),
    (r"/api/chat/stream/([^/]+)", ChatReply),
    (r"/api/chat/stream/([^/]+)/regenerate", Regenerate),
    (r"/api/chat/stream/([^/]+)/stream", Conversation),
]
