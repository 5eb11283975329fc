"""The messages of rooms (section 3)."""

from __future__ import annotations

import msgspec

from chatrooms import names
from chatrooms.errors import BadRequest
from chatrooms.http.openapi import Number, operation
from chatrooms.http.rooms import MAX_PAGE, READING, WRITING, RoomHandler
from chatrooms.identity import Identity
from chatrooms.rooms.message import Draft, Posted, RoomMessage

MAX_BATCH = 500
MAX_BATCH_BYTES = 1 << 20
LIMIT = Number("limit", 50, 1, MAX_PAGE)
POSTING = (*WRITING, "empty-message", "name-taken", "slow-mode")


class PostBody(msgspec.Struct, rename="camel"):
    """A message to post."""

    message: str
    client_message_id: str | None = None
    username: str | None = None
    client_id: str | None = None


class BatchItem(msgspec.Struct, rename="camel"):
    """A message of a batch."""

    message: str
    client_message_id: str | None = None


class BatchBody(msgspec.Struct, rename="camel"):
    """Several messages to post, in one commit."""

    messages: list[BatchItem]
    username: str | None = None
    client_id: str | None = None


class EditBody(msgspec.Struct):
    """The new text of a message."""

    message: str


class PostedMessage(RoomMessage, kw_only=True):
    """A message of a room; times in milliseconds since 1970. Fields that do not apply are absent."""

    id: str


class MessageBatch(msgspec.Struct):
    """The messages of a batch, as posted."""

    messages: list[PostedMessage]


class MessagePage(MessageBatch, rename="camel"):
    """A page of a room's messages."""

    has_more: bool


class Posting(RoomHandler):
    """Posts messages; those to the assistant are answered in the room."""

    async def answer_mentions(self, who: Identity, name: str, room_id: str, posted: list[Posted]) -> None:
        new = [one.data for one in posted if not one.repeated]
        await self.server.room_replies.consider(who, name, room_id, new)


class MessageList(Posting):
    @operation({200: MessagePage}, query=("before", "after", LIMIT), errors=READING)
    async def get(self, room_id: str) -> None:
        """Returns the last messages, or those before or after an id; oldest first."""
        _, room_id = await self.readable(room_id)
        limit = self.number(*LIMIT)
        page = await self.server.messages.history(room_id, self.query("before"), self.query("after"), limit)
        messages = b",".join(page.messages)
        more = b"true" if page.has_more else b"false"
        self.answer(b'{"messages":[' + messages + b'],"hasMore":' + more + b"}")

    @operation(
        {200: PostedMessage, 201: PostedMessage}, body=PostBody, example={"message": "Hello", "clientMessageId": "1"},
        errors=POSTING,
    )  # fmt: skip
    async def post(self, room_id: str) -> None:
        """Posts a message; 200 if this `clientMessageId` has been posted before.

        The response comes once the message is durable. A message that begins with `@ai` gets an AI reply in the room.
        """
        who, room_id, rules = await self.writable(room_id)
        body = self.body(PostBody)
        name = self.username(who, body.username, body.client_id)
        drafts = [Draft(body.message, body.client_message_id)]
        (posted,) = await self.server.messages.post(who, name, room_id, drafts, rules)
        await self.answer_mentions(who, name, room_id, [posted])
        self.answer(posted.data, 200 if posted.repeated else 201)


class Batch(Posting):
    @operation(
        {200: MessageBatch, 201: MessageBatch}, body=BatchBody, example={"messages": [{"message": "Hello"}]},
        errors=POSTING,
    )  # fmt: skip
    async def post(self, room_id: str) -> None:
        """Posts up to 500 messages in one commit; 200 if all of them have been posted before."""
        who, room_id, rules = await self.writable(room_id)
        body = self.body(BatchBody, MAX_BATCH_BYTES)
        if not 1 <= len(body.messages) <= MAX_BATCH:
            raise BadRequest("bad-field", f"messages must have 1 to {MAX_BATCH} entries.")
        name = self.username(who, body.username, body.client_id)
        drafts = [Draft(item.message, item.client_message_id) for item in body.messages]
        posted = await self.server.messages.post(who, name, room_id, drafts, rules)
        await self.answer_mentions(who, name, room_id, posted)
        self.answer(b'{"messages":[' + b",".join(p.data for p in posted) + b"]}", _status(posted))


class Message(RoomHandler):
    @operation(
        {200: PostedMessage}, body=EditBody, example={"message": "Hello, all"},
        errors=(*WRITING, "empty-message", "not-author", "not-found", "conflict"),
    )  # fmt: skip
    async def patch(self, room_id: str, message_id: str) -> None:
        """Edits a message; the old text is erased."""
        who, room_id, _ = await self.writable(room_id)
        body = self.body(EditBody)
        self.answer(await self.server.messages.edit(who, room_id, message_id, body.message))

    @operation({204: None}, errors=(*READING, "not-author", "not-found"))
    async def delete(self, room_id: str, message_id: str) -> None:
        """Deletes a message and the AI replies to it; their text is erased."""
        who = self.identity()
        room_id = names.room_id(room_id)
        rules = await self.server.policy.readable(who, room_id)
        for reply_id in await self.server.messages.delete(who, room_id, message_id, rules):
            await self.server.replies.stop_by_id(reply_id, who.username or who.user_id)
        self.set_status(204)


def _status(posted: list[Posted]) -> int:
    return 200 if all(p.repeated for p in posted) else 201


ROUTES = [
    (r"/api/rooms/([^/]+)/messages", MessageList),
    (r"/api/rooms/([^/]+)/messages/batch", Batch),
    (r"/api/rooms/([^/]+)/messages/([^/]+)", Message),
]
