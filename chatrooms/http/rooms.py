"""Rooms and their members (section 3)."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import names
from chatrooms.errors import BadRequest, TooMany
from chatrooms.http.base import Handler
from chatrooms.http.openapi import Number, operation
from chatrooms.identity import Identity
from chatrooms.rooms.presence import Key
from chatrooms.rooms.rules import Rank, Rules
from chatrooms.rooms.settings import SettingsChange

MAX_PAGE = 200
MAX_SLOW_MODE = 86_400  # seconds
ROOMS = MEMBERS = Number("limit", 100, 1, MAX_PAGE)
READING = ("forbidden", "banned")  # error codes of rooms that the caller may not read
WRITING = (*READING, "muted")


class LeaveBody(msgspec.Struct, rename="camel"):
    """Which client leaves the room."""

    client_id: str


class TypingBody(msgspec.Struct, rename="camel"):
    """Who is typing."""

    username: str | None = None
    client_id: str | None = None


class SettingsBody(msgspec.Struct, rename="camel"):
    """The settings to change; others stay."""

    private: bool | UnsetType = UNSET
    slow_mode: Annotated[float, msgspec.Meta(ge=0, le=MAX_SLOW_MODE)] | UnsetType = UNSET
    title: str | UnsetType | None = UNSET


class RoomSummary(msgspec.Struct, rename="camel"):
    """A room in a list."""

    room_id: str
    online_count: int
    private: bool
    title: str | None


class RoomPage(msgspec.Struct, rename="camel"):
    """A page of rooms."""

    rooms: list[RoomSummary]
    has_more: bool


class Room(msgspec.Struct, rename="camel"):
    """The settings of a room, and the caller's `role` in it; `slowMode` in seconds."""

    room_id: str
    private: bool
    title: str | None
    slow_mode: float
    role: str


class Member(msgspec.Struct, rename="camel"):
    """A member of a room; `guest` is present only for guests without an account."""

    user_id: str
    username: str
    guest: bool | UnsetType = UNSET


class RoomDetails(Room, kw_only=True):
    """A room and its members; `membersTruncated` is set if not all of them are listed."""

    online_count: int
    members: list[Member]
    members_truncated: bool | UnsetType = UNSET


class MemberPage(msgspec.Struct, rename="camel"):
    """A page of members; `next` is the `after` of the next page."""

    members: list[Member]
    online_count: int
    has_more: bool
    next: str | UnsetType = UNSET


class RoomHandler(Handler):
    """A call about a room. Each method below raises Unauthorized, BadRequest or Forbidden."""

    async def readable(self, room_id: str) -> tuple[Identity, str]:
        """The caller, who may read the room, and the room's id."""
        who, room_id = self.identity(), names.room_id(room_id)
        await self.server.policy.readable(who, room_id)
        return who, room_id

    async def ruled(self, room_id: str, rank: Rank = Rank.MODERATOR) -> tuple[Identity, str]:
        """The caller, who has this rank in the room, and the room's id."""
        who, room_id = self.identity(), names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, rank)
        return who, room_id

    async def writable(self, room_id: str) -> tuple[Identity, str, Rules]:
        """The caller, who may write in the room, the room's id and its rules."""
        who, room_id = self.identity(), names.room_id(room_id)
        return who, room_id, await self.server.policy.writable(who, room_id)


class RoomList(Handler):
    @operation({200: RoomPage}, query=("after", ROOMS))
    async def get(self) -> None:
        """Lists the rooms that the caller may read, by id; `after` is the last id of the previous page."""
        who = self.identity()
        limit = self.number(*ROOMS)
        after = self.query("after")
        ids = await self.server.directory.page(who, names.room_id(after) if after else "", limit + 1)
        rooms = [await self._listed(id) for id in ids[:limit]]
        self.answer(RoomPage(rooms, len(ids) > limit))

    async def _listed(self, room_id: str) -> RoomSummary:
        rules = await self.server.policy.of(room_id)
        return RoomSummary(room_id, self.server.rooms.online(room_id), rules.private, rules.title)


class RoomInfo(Handler):
    @operation({200: RoomDetails}, errors=("not-found", "banned"))
    async def get(self, room_id: str) -> None:
        """Returns a room and its members."""
        who = self.identity()
        room_id = names.room_id(room_id)
        rules = await self.server.directory.find(who, room_id)
        members = self.server.rooms.members(room_id, None, MAX_PAGE)
        online = self.server.rooms.online(room_id)
        listed = self.server.rooms.described(room_id, members)
        info = {**msgspec.to_builtins(described(who, room_id, rules)), "onlineCount": online, "members": listed}
        if online > len(members):
            info["membersTruncated"] = True
        self.answer(info)

    @operation(
        {200: Room, 201: Room}, body=SettingsBody, example={"title": "The lobby", "slowMode": 2.5},
        errors=(*READING, "conflict"),
    )  # fmt: skip
    async def put(self, room_id: str) -> None:
        """Creates a room owned by the caller, or changes its settings."""
        who = self.identity()
        room_id = names.room_id(room_id)
        rules = await self.server.policy.readable(who, room_id)
        self.server.room_settings.check(who, room_id, rules)
        body = self.body(SettingsBody) if self.request.body else SettingsBody()
        title = names.title(body.title) if body.title else None if body.title is not UNSET else UNSET
        wanted = SettingsChange(body.private, body.slow_mode, title)
        done = await self.server.room_settings.change(who, room_id, wanted)
        self.answer(described(who, room_id, done.rules), 201 if done.created else 200)


class MemberList(RoomHandler):
    @operation({200: MemberPage}, query=("after", MEMBERS), errors=READING)
    async def get(self, room_id: str) -> None:
        """Lists the members of a room; `after` is the `next` of the previous page."""
        _, room_id = await self.readable(room_id)
        limit = self.number(*MEMBERS)
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


class Typing(RoomHandler):
    @operation(
        {204: None}, body=TypingBody, example={"clientId": "tab-1"},
        errors=(*WRITING, "name-taken"),
    )  # fmt: skip
    async def post(self, room_id: str) -> None:
        """Tells the room that the caller is typing, at most once every 2 seconds."""
        who, room_id, _ = await self.writable(room_id)
        body = self.body(TypingBody) if self.request.body else TypingBody()
        name = self.username(who, body.username, body.client_id)
        try:
            self.server.rooms.typing(room_id, who, name)
        except TooMany:
            pass  # the room knows already: nothing is lost
        self.set_status(204)


class Leave(RoomHandler):
    @operation({204: None}, body=LeaveBody, example={"clientId": "tab-1"}, errors=READING)
    async def post(self, room_id: str) -> None:
        """Leaves a room at once, without the grace period of a lost connection."""
        who, room_id = await self.readable(room_id)
        body = self.body(LeaveBody)
        await self.server.orders.leave(room_id, who.user_id, names.client_id(body.client_id))
        self.set_status(204)


def described(who: Identity, room_id: str, rules: Rules) -> Room:
    role = rules.rank_of(who.user_id).name.lower()
    return Room(room_id, rules.private, rules.title, rules.slow_mode, role)


def _encoded(key: Key) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode()


def _decoded(after: str) -> Key | None:
    """The last member of the previous page; raises BadRequest unless `after` is a `next` of ours."""
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
    (r"/api/rooms/([^/]+)/typing", Typing),
    (r"/api/rooms/([^/]+)/leave", Leave),
]
