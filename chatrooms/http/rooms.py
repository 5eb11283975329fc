"""Rooms and their messages (section 3)."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import names
from chatrooms.errors import BadRequest, TooMany
from chatrooms.http.base import Handler
from chatrooms.identity import Identity
from chatrooms.rooms.message import Draft, Posted
from chatrooms.rooms.presence import Key
from chatrooms.rooms.rules import Rules
from chatrooms.rooms.settings import SettingsChange

MAX_BATCH = 500
MAX_BATCH_BYTES = 1 << 20
MAX_PAGE = 200
MAX_SLOW_MODE = 86_400  # seconds


class PostBody(msgspec.Struct, rename="camel"):
    message: str
    client_message_id: str | None = None
    username: str | None = None
    client_id: str | None = None


class BatchItem(msgspec.Struct, rename="camel"):
    message: str
    client_message_id: str | None = None


class BatchBody(msgspec.Struct, rename="camel"):
    messages: list[BatchItem]
    username: str | None = None
    client_id: str | None = None


class EditBody(msgspec.Struct):
    message: str


class ClientBody(msgspec.Struct, rename="camel"):
    client_id: str


class TypingBody(msgspec.Struct, rename="camel"):
    username: str | None = None
    client_id: str | None = None


class SettingsBody(msgspec.Struct, rename="camel"):
    private: bool | UnsetType = UNSET
    slow_mode: Annotated[float, msgspec.Meta(ge=0, le=MAX_SLOW_MODE)] | UnsetType = UNSET
    title: str | UnsetType | None = UNSET


class RoomList(Handler):
    async def get(self) -> None:
        who = self.identity()
        limit = self.number("limit", 100, 1, MAX_PAGE)
        after = self.query("after")
        ids = await self.server.directory.page(who, names.room_id(after) if after else "", limit + 1)
        rooms = [await self._listed(id) for id in ids[:limit]]
        self.answer({"rooms": rooms, "hasMore": len(ids) > limit})

    async def _listed(self, room_id: str) -> dict[str, object]:
        rules = await self.server.policy.of(room_id)
        online = self.server.rooms.online(room_id)
        return {"roomId": room_id, "onlineCount": online, "private": rules.private, "title": rules.title}


class RoomInfo(Handler):
    async def get(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        rules = await self.server.directory.find(who, room_id)
        members = self.server.rooms.members(room_id, None, MAX_PAGE)
        online = self.server.rooms.online(room_id)
        listed = self.server.rooms.described(room_id, members)
        info = {**described(who, room_id, rules), "onlineCount": online, "members": listed}
        if online > len(members):
            info["membersTruncated"] = True
        self.answer(info)

    async def put(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        rules = await self.server.policy.readable(who, room_id)
        self.server.room_settings.check(who, room_id, rules)
        body = self.body(SettingsBody) if self.request.body else SettingsBody()
        title = names.title(body.title) if body.title else None if body.title is not UNSET else UNSET
        wanted = SettingsChange(body.private, body.slow_mode, title)
        done = await self.server.room_settings.change(who, room_id, wanted)
        self.answer(described(who, room_id, done.rules), 201 if done.created else 200)


class MemberList(Handler):
    async def get(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.readable(who, room_id)
        limit = self.number("limit", 100, 1, MAX_PAGE)
        after = _decoded(self.query("after"))
        page = self.server.rooms.members(room_id, after, limit + 1)
        members = page[:limit]
        answer = {
            "members": self.server.rooms.described(room_id, members),
            "onlineCount": self.server.rooms.online(room_id),
            "hasMore": len(page) > limit,
        }
        if len(page) > limit:
            answer["next"] = _encoded(members[-1])
        self.answer(answer)


class Posting(Handler):
    """Posts messages; those to the assistant are answered in the room."""

    async def answer_mentions(self, who: Identity, name: str, room_id: str, posted: list[Posted]) -> None:
        new = [one.data for one in posted if not one.repeated]
        await self.server.room_replies.consider(who, name, room_id, new)


class MessageList(Posting):
    async def get(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.readable(who, room_id)
        limit = self.number("limit", 50, 1, MAX_PAGE)
        page = await self.server.messages.history(room_id, self.query("before"), self.query("after"), limit)
        messages = b",".join(page.messages)
        more = b"true" if page.has_more else b"false"
        self.answer(b'{"messages":[' + messages + b'],"hasMore":' + more + b"}")

    async def post(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        rules = await self.server.policy.writable(who, room_id)
        body = self.body(PostBody)
        name = self.username(who, body.username, body.client_id)
        drafts = [Draft(body.message, body.client_message_id)]
        (posted,) = await self.server.messages.post(who, name, room_id, drafts, rules)
        await self.answer_mentions(who, name, room_id, [posted])
        self.answer(posted.data, 200 if posted.repeated else 201)


class Batch(Posting):
    async def post(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        rules = await self.server.policy.writable(who, room_id)
        body = self.body(BatchBody, MAX_BATCH_BYTES)
        if not 1 <= len(body.messages) <= MAX_BATCH:
            raise BadRequest("bad-field", f"messages must have 1 to {MAX_BATCH} entries.")
        name = self.username(who, body.username, body.client_id)
        drafts = [Draft(item.message, item.client_message_id) for item in body.messages]
        posted = await self.server.messages.post(who, name, room_id, drafts, rules)
        await self.answer_mentions(who, name, room_id, posted)
        self.answer(b'{"messages":[' + b",".join(p.data for p in posted) + b"]}", _status(posted))


class Message(Handler):
    async def patch(self, room_id: str, message_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.writable(who, room_id)
        body = self.body(EditBody)
        self.answer(await self.server.messages.edit(who, room_id, message_id, body.message))

    async def delete(self, room_id: str, message_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        rules = await self.server.policy.readable(who, room_id)
        for reply_id in await self.server.messages.delete(who, room_id, message_id, rules):
            await self.server.replies.stop_by_id(reply_id, who.username or who.user_id)
        self.set_status(204)


class Typing(Handler):
    async def post(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.writable(who, room_id)
        body = self.body(TypingBody) if self.request.body else TypingBody()
        name = self.username(who, body.username, body.client_id)
        try:
            self.server.rooms.typing(room_id, who, name)
        except TooMany:
            pass  # told a moment ago: nothing is lost by not telling again
        self.set_status(204)


class Leave(Handler):
    async def post(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.readable(who, room_id)
        body = self.body(ClientBody)
        await self.server.orders.leave(room_id, who.user_id, names.client_id(body.client_id))
        self.set_status(204)


def described(who: Identity, room_id: str, rules: Rules) -> dict[str, object]:
    """A room as its rules have it; `role` is that of the caller in the room."""
    role = rules.rank_of(who.user_id).name.lower()
    return {
        "roomId": room_id,
        "private": rules.private,
        "title": rules.title,
        "slowMode": rules.slow_mode,
        "role": role,
    }


def _status(posted: list[Posted]) -> int:
    return 200 if all(p.repeated for p in posted) else 201


def _encoded(key: Key) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def _decoded(after: str) -> Key | None:
    """The member that a page ended with; raises BadRequest for what is no `next` of ours."""
    if not after:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(after), type=tuple[str, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadRequest("bad-field", "after must be the `next` of the previous page.") from None


ROUTES = [
    (r"/api/rooms", RoomList),
    (r"/api/rooms/([^/]+)", RoomInfo),
    (r"/api/rooms/([^/]+)/members", MemberList),
    (r"/api/rooms/([^/]+)/messages", MessageList),
    (r"/api/rooms/([^/]+)/messages/batch", Batch),
    (r"/api/rooms/([^/]+)/messages/([^/]+)", Message),
    (r"/api/rooms/([^/]+)/typing", Typing),
    (r"/api/rooms/([^/]+)/leave", Leave),
]
