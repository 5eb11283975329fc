"""AI replies (section 4)."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from tornado.iostream import StreamClosedError

from chatrooms import sse
from chatrooms.ai.base import Prompt, Turn
from chatrooms.errors import BadRequest
from chatrooms.handlers.base import Handler
from chatrooms.replies import Reply

HISTORY = 10  # the last entries that count
MAX_CONVERSATION_ID = 128

_INDEX = re.compile(r"-?[0-9]{1,9}\Z", re.ASCII)


class TurnBody(msgspec.Struct):
    role: str
    content: str


class ChatBody(msgspec.Struct, rename="camel"):
    message: str
    conversation_id: Annotated[str, msgspec.Meta(max_length=MAX_CONVERSATION_ID)] | None = None
    history: list[TurnBody] = []
    model: str | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    room_id: str | None = None


class Chat(Handler):
    """Begins a reply and streams it."""

    async def post(self) -> None:
        who = self.identity()
        body = self.body(ChatBody)
        if not body.message.strip():
            raise BadRequest("empty-message", "The message is empty.")
        self.server.quotas.reply(who)
        turns = [Turn(turn.role, turn.content) for turn in body.history[-HISTORY:]]
        prompt = Prompt(body.message, turns, body.model, body.temperature)
        reply = self.server.replies.start(who, prompt, body.conversation_id)
        await write_reply(self, reply, -1)


class ChatReply(Handler):
    """The rest of a reply, running or finished; or its end."""

    async def get(self, reply_id: str) -> None:
        reply = self.server.replies.get(self.identity(), reply_id)
        after = self.request.headers.get("Last-Event-ID") or self.query("after") or "-1"
        if not _INDEX.match(after):
            raise BadRequest("bad-field", "after must be the index of a chunk.")
        await write_reply(self, reply, max(-1, int(after)))

    async def delete(self, reply_id: str) -> None:
        self.server.replies.stop(self.identity(), reply_id)
        self.set_status(204)


async def write_reply(handler: Handler, reply: Reply, after: int) -> None:
    """Writes the chunks after an index as they come, how it ended, and `[DONE]`.

    A reader that goes away stops only its own reading.
    """
    for name, value in sse.HEADERS:
        handler.set_header(name, value)
    handler.set_header("X-Message-Id", reply.id)
    try:
        await handler.flush()
        async for index, text in reply.read(after):
            handler.write(_chunk(reply, index, text))
            await handler.flush()
        handler.write(_ending(reply) + sse.encode(b"[DONE]"))
        handler.finish()
    except StreamClosedError:
        pass


def _chunk(reply: Reply, index: int, text: str) -> bytes:
    data = {
        "type": "content", "text": text, "messageId": reply.id,
        "conversationId": reply.conversation_id, "index": index,
    }  # fmt: skip
    return sse.encode(msgspec.json.encode(data), "content", str(index))


def _ending(reply: Reply) -> bytes:
    """What stands between the last chunk and `[DONE]`: nothing for a complete reply."""
    if reply.fault is not None:
        code, sentence = reply.fault
        return sse.encode(msgspec.json.encode({"type": "error", "code": code, "message": sentence}))
    if reply.state == "stopped":
        return sse.encode(msgspec.json.encode({"type": "stopped", "by": reply.stopped_by}))
    return b""


ROUTES = [
    (r"/api/chat/stream", Chat),
    (r"/api/chat/stream/([^/]+)", ChatReply),
]
