"""AI replies over HTTP: begun, streamed, resumed, stopped (section 4)."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, cast

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from chatrooms import names, sse
from chatrooms.ai.base import Prompt, Turn
from chatrooms.errors import BadRequest, Problem
from chatrooms.http.base import Handler
from chatrooms.http.openapi import EVENTS, operation
from chatrooms.identity import Identity
from chatrooms.replies.forms import UI_HEADER, Content, Form, UIMessages
from chatrooms.replies.reply import ERROR, Ending, Reader, Reply
from chatrooms.streams.stream import tune

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


TICK = 1.0  # seconds between two looks at the clock and the authenticator


BEGINNING = ("forbidden", "banned", "muted", "slow-mode", "too-large", "too-many-replies")


class ReplyHandler(Handler):
    """Streams replies. A reader that goes away stops only its own reading."""

    _reader: Reader | None = None
    _gone = False

    def wants_ui_messages(self) -> bool:
        """Whether the client asks for the AI SDK's form, by header or by `?format=ui-message-stream`."""
        return UI_HEADER in self.request.headers or self.query("format") == "ui-message-stream"

    def on_connection_close(self) -> None:
        self._gone = True
        if self._reader is not None:
            self._reader.wake()

    async def stream(self, who: Identity, reply: Reply, index: int = 0, ui: bool = False) -> None:
        """Writes the chunks from an index on as they come, how it ended, and `[DONE]`.

        Raises TooMany or Unavailable when there are too many readers.
        """
        form = UIMessages(reply) if ui else Content(reply)
        with self.server.reply_readers.one_of(who.user_id), Reader(reply, index) as reader:
            self._reader = reader
            for name, value in (*sse.HEADERS, *form.headers, ("X-Message-Id", reply.id)):
                self.set_header(name, value)
            try:
                await self._write_all(who, reader, form)
            except (StreamClosedError, TimeoutError):
                self._connection.close()
            finally:
                self._reader = None  # or the handler, which Tornado lets go of late, keeps the text

    async def _write_all(self, who: Identity, reader: Reader, form: Form) -> None:
        sock = self._connection.stream.socket
        if sock is not None:
            tune(sock, self.server.options.write_timeout)
        await self._send(form.opening())
        ending = await self._write_chunks(who, reader, form)
        self.write(form.ending(ending))
        self.finish()

    async def _write_chunks(self, who: Identity, reader: Reader, form: Form) -> Ending:
        """Writes until there is no more; returns how it ended, for this reader."""
        reply, position = reader.reply, 0
        clock = _Clock(reader, self.server.options.heartbeat)
        try:
            while not reader.done:
                if clock.ticked():
                    self.server.authenticator.check(who)
                    await self.server.reply_rights.check_read(who, reply)
                    self._put(form.heartbeat() if clock.beats() else b"")
                if reply.position and reply.position != position:
                    position = reply.position
                    self._put(form.queued(position))
                await self._send(self._chunks(reader, form))
                if not reader.behind and not reader.done:
                    await reader.wait()
        except Problem as problem:  # signed out or banned meanwhile
            return Ending(ERROR, code=problem.code, sentence=problem.sentence)
        finally:
            clock.stop()
        assert reply.ending is not None
        return reply.ending

    def _chunks(self, reader: Reader, form: Form) -> bytes:
        first = reader.index
        return b"".join([form.chunk(first + n, text) for n, text in enumerate(reader.take())])

    def _put(self, frame: bytes) -> None:
        if frame:
            self.write(frame)

    async def _send(self, frame: bytes) -> None:
        """Writes, and waits while the reader does not read; raises StreamClosedError, TimeoutError."""
        if self._gone:
            raise StreamClosedError
        self._put(frame)
        if self._write_buffer or not self._headers_written:
            written = self.flush()
            if not written.done():
                await asyncio.wait_for(written, self.server.options.write_timeout or None)

    @property
    def _connection(self) -> HTTP1Connection:
        return cast(HTTP1Connection, self.request.connection)


class _Clock:
    """Wakes a reader every TICK, and says when a heartbeat is due (`every` seconds; 0: never)."""

    def __init__(self, reader: Reader, every: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._every = every
        self._next_beat = self._loop.time() + every
        self._ticked = False
        self._arm()

    def ticked(self) -> bool:
        """Whether a tick has passed since the last call."""
        ticked, self._ticked = self._ticked, False
        return ticked

    def beats(self) -> bool:
        if not self._every or self._loop.time() < self._next_beat:
            return False
        self._next_beat += self._every
        return True

    def stop(self) -> None:
        self._timer.cancel()

    def _arm(self) -> None:
        self._timer = self._loop.call_later(min(TICK, self._every or TICK), self._tick)

    def _tick(self) -> None:
        self._ticked = True
        self._reader.wake()
        self._arm()


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
        ui = body.messages is not None or self.wants_ui_messages()
        self.server.quotas.reply(who)
        self.server.reply_readers.check(who.user_id)  # before a reply begins that nobody would read
        await self.stream(who, await self._begin(who, name, body, prompt), ui=ui)

    async def _begin(self, who: Identity, name: str, body: ChatBody, prompt: Prompt) -> Reply:
        conversation = body.conversation_id or body.id
        if body.room_id is None:
            return await self.server.replies.start(who, name, prompt, conversation)
        room_id = names.room_id(body.room_id)
        await self.server.reply_rights.check_ask(who, room_id)
        return await self.server.room_replies.ask(who, name, room_id, prompt, conversation)


class ChatReply(ReplyHandler):
    @operation({200: EVENTS}, query=("after", "format"), errors=("not-found", "forbidden", "banned"))
    async def get(self, reply_id: str) -> None:
        """Streams the rest of a reply, running or ended."""
        who = await self.stream_identity()
        reply = await self.server.replies.find(reply_id)
        await self.server.reply_rights.check_read(who, reply)
        await self.stream(who, reply, self._index(), self.wants_ui_messages())

    @operation({204: None}, errors=("not-found", "not-author", "forbidden", "banned"))
    async def delete(self, reply_id: str) -> None:
        """Stops a reply; the partial text is kept."""
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
    @operation({200: EVENTS}, query=("format",), errors=(*BEGINNING, "not-found", "not-author", "conflict"))
    async def post(self, reply_id: str) -> None:
        """Starts another reply to the same question and streams it."""
        who = self.identity()
        reply = await self.server.replies.find(reply_id)
        await self.server.reply_rights.check_repeat(who, reply)
        self.server.quotas.reply(who)
        self.server.reply_readers.check(who.user_id)
        name = who.username or who.user_id
        if reply.row.room_id is None:
            prompt = self.server.replies.asked(reply)
            again = await self.server.replies.start(who, name, prompt, reply.row.conversation_id)
        else:
            again = await self.server.room_replies.again(who, name, reply)
        await self.stream(who, again, ui=self.wants_ui_messages())


class Conversation(ReplyHandler):
    @operation({200: EVENTS, 204: None}, errors=("forbidden", "banned", "not-found"))
    async def get(self, conversation_id: str) -> None:
        """Streams the running reply of a conversation from its beginning, for `useChat` pages that resume."""
        who = await self.stream_identity()
        reply = self.server.replies.of_conversation(who.user_id, conversation_id)
        if reply is None:
            self.set_status(204)
            return
        await self.server.reply_rights.check_read(who, reply)
        await self.stream(who, reply, ui=True)


ROUTES = [
    (r"/api/chat/stream", Chat),
    (r"/api/chat/stream/([^/]+)", ChatReply),
    (r"/api/chat/stream/([^/]+)/regenerate", Regenerate),
    (r"/api/chat/stream/([^/]+)/stream", Conversation),
]
