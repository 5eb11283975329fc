"""AI replies over HTTP: begun, streamed, resumed, stopped (section 4)."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from chatrooms import names
from chatrooms.ai.base import Prompt, Turn
from chatrooms.errors import BadRequest
from chatrooms.http.base import Handler
from chatrooms.http.streaming import stream_head, take_socket
from chatrooms.replies.reply import Reply
from chatrooms.replies.stream import UI_HEADER, Content, UIMessages
from chatrooms.users.tokens import Identity

HISTORY = 10  # the last entries that count
ROLES = ("user", "assistant", "system")
MAX_BODY = 1 << 20  # a `useChat` page sends the whole conversation each time

_INDEX = re.compile(r"-?[0-9]{1,9}\Z", re.ASCII)

ConversationId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class TurnBody(msgspec.Struct):
    role: str
    content: str


class PartBody(msgspec.Struct):
    type: str = ""
    text: str = ""


class MessageBody(msgspec.Struct):
    """A message of the AI SDK; parts that are no text do not count."""

    role: str
    content: str = ""
    parts: list[PartBody] = []

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if part.type == "text") or self.content


class ChatBody(msgspec.Struct, rename="camel"):
    """What is asked: `message` and `history`, or as a `useChat` page sends it, `messages` and `id`."""

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


class ReplyHandler(Handler):
    """Streams replies. A reader that goes away stops only its own reading."""

    def wants_ui_messages(self) -> bool:
        """Whether the client asks for the AI SDK's form, by header or by `?format=ui-message-stream`."""
        return UI_HEADER in self.request.headers or self.query("format") == "ui-message-stream"

    def stream(self, who: Identity, reply: Reply, index: int = 0, ui: bool = False) -> None:
        """Makes the connection a stream of the chunks from an index on, how it ended, and `[DONE]`.

        Raises TooMany or Unavailable when there are too many streams, Unauthorized for who was shut out meanwhile.
        """
        self.server.hub.check_room_for(who.user_id)
        self.server.authenticator.check(who)
        form = UIMessages(reply) if ui else Content(reply)
        head = stream_head(self, *form.headers, ("X-Message-Id", reply.id))
        sock = take_socket(self)
        if sock is not None:
            self.server.reply_streams.open(sock, who, reply, index, form, head)


class Chat(ReplyHandler):
    """Begins a reply and streams it."""

    async def post(self) -> None:
        who = self.identity()
        body = self.body(ChatBody, MAX_BODY)
        prompt = body.prompt()
        name = self.username(who, body.username, None)
        ui = body.messages is not None or self.wants_ui_messages()
        self.server.quotas.reply(who)
        self.server.hub.check_room_for(who.user_id)  # before a reply begins that nobody would read
        self.stream(who, await self._begin(who, name, body, prompt), ui=ui)

    async def _begin(self, who: Identity, name: str, body: ChatBody, prompt: Prompt) -> Reply:
        conversation = body.conversation_id or body.id
        if body.room_id is None:
            return await self.server.replies.start(who, name, prompt, conversation)
        room_id = names.room_id(body.room_id)
        await self.server.reply_rights.check_ask(who, room_id)
        return await self.server.room_replies.ask(who, name, room_id, prompt, conversation)


class ChatReply(ReplyHandler):
    """The rest of a reply, running or ended; or its end."""

    async def get(self, reply_id: str) -> None:
        who = await self.stream_identity()
        reply = await self.server.replies.find(reply_id)
        await self.server.reply_rights.check_read(who, reply)
        self.stream(who, reply, self._index(), self.wants_ui_messages())

    async def delete(self, reply_id: str) -> None:
        who = self.identity()
        reply = await self.server.replies.find(reply_id)
        await self.server.reply_rights.check_stop(who, reply)
        await self.server.replies.stop(reply, who.username or who.user_id)
        self.set_status(204)

    def _index(self) -> int:
        """The first index wanted: the AI SDK's form has no indexes and always begins at the beginning."""
        after = self.request.headers.get("Last-Event-ID") or self.query("after") or "-1"
        if not _INDEX.match(after):
            raise BadRequest("bad-field", "after must be the index of a chunk.")
        return 0 if self.wants_ui_messages() else max(0, int(after) + 1)


class Regenerate(ReplyHandler):
    """Begins another reply to the same question, and streams it."""

    async def post(self, reply_id: str) -> None:
        who = self.identity()
        reply = await self.server.replies.find(reply_id)
        await self.server.reply_rights.check_repeat(who, reply)
        self.server.quotas.reply(who)
        self.server.hub.check_room_for(who.user_id)
        name = who.username or who.user_id
        if reply.row.room_id is None:
            prompt = self.server.replies.asked(reply)
            again = await self.server.replies.start(who, name, prompt, reply.row.conversation_id)
        else:
            again = await self.server.room_replies.again(who, name, reply)
        self.stream(who, again, ui=self.wants_ui_messages())


class Conversation(ReplyHandler):
    """The reply that a conversation is getting now, from its beginning: a `useChat` page that resumes."""

    async def get(self, conversation_id: str) -> None:
        who = await self.stream_identity()
        reply = self.server.replies.of_conversation(who.user_id, conversation_id)
        if reply is None:
            self.set_status(204)
            return
        await self.server.reply_rights.check_read(who, reply)
        self.stream(who, reply, ui=True)


ROUTES = [
    (r"/api/chat/stream", Chat),
    (r"/api/chat/stream/([^/]+)", ChatReply),
    (r"/api/chat/stream/([^/]+)/regenerate", Regenerate),
    (r"/api/chat/stream/([^/]+)/stream", Conversation),
]
