"""Moderation of rooms: kick, bans, mutes, moderators and the audit log."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import names
from chatrooms.http.base import Handler
from chatrooms.http.openapi import Number, operation
from chatrooms.http.rooms import READING, RoomHandler
from chatrooms.log.event import MAX_SEQ
from chatrooms.rooms.invites import Invite
from chatrooms.rooms.rules import BAN, MUTE, Act, Rank

MAX_PAGE = 200
MAX_SECONDS = 10 * 365 * 86_400  # for a ban or mute with an end
RESTRICTED = Number("limit", MAX_PAGE, 1, MAX_PAGE)
ENTRIES = Number("limit", 50, 1, MAX_PAGE)
ACTING = (*READING, "bad-request", "conflict")


class UserBody(msgspec.Struct, rename="camel"):
    """The user whom an act of moderation is about."""

    user_id: str | Annotated[int, msgspec.Meta(ge=-MAX_SEQ, le=MAX_SEQ)]


class SecondsBody(msgspec.Struct):
    """How long a ban or mute lasts."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)] | None = None


class Restricted(msgspec.Struct, rename="camel"):
    """A ban or mute of a user; `until` in milliseconds since 1970, null if it never ends."""

    user_id: str
    until: int | None


class RestrictedHere(Restricted):
    """A ban or mute in a room."""

    room_id: str


class RestrictionPage(msgspec.Struct, rename="camel"):
    """Either `bans` or `mutes`, by userId."""

    has_more: bool
    bans: list[Restricted] | UnsetType = UNSET
    mutes: list[Restricted] | UnsetType = UNSET


class AuditEntry(Act, kw_only=True):
    """An act of moderation; times in milliseconds since 1970. Fields that do not apply are absent."""

    id: str


class AuditPage(msgspec.Struct, rename="camel"):
    """A page of the audit log."""

    entries: list[AuditEntry]
    has_more: bool


class Kick(RoomHandler):
    @operation({204: None}, body=UserBody, example={"userId": "bob"}, errors=ACTING)
    async def post(self, room_id: str) -> None:
        """Kicks a user: ends their streams of the room and their membership."""
        who, room_id = await self.ruled(room_id)
        user_id = names.user_id(self.body(UserBody).user_id)
        await self.server.moderation.kick(who, room_id, user_id)
        self.set_status(204)


class RestrictionList(RoomHandler):
    def initialize(self, kind: str) -> None:
        self.kind = kind

    @operation({200: RestrictionPage}, query=("after", RESTRICTED), errors=READING)
    async def get(self, room_id: str) -> None:
        """Lists bans or mutes by userId; `after` is the last userId of the previous page."""
        _, room_id = await self.ruled(room_id)
        limit = self.number(*RESTRICTED)
        after = self.query("after")
        after = names.user_id(after) if after else ""
        page = await self.server.moderation.page(room_id, self.kind, after, limit + 1)
        listed = [Restricted(*row) for row in page[:limit]]
        self.answer(RestrictionPage(len(page) > limit, **{f"{self.kind}s": listed}))


class Restriction(RoomHandler):
    def initialize(self, kind: str) -> None:
        self.kind = kind

    @operation({200: RestrictedHere}, body=SecondsBody, example={"seconds": 3600}, errors=ACTING)
    async def put(self, room_id: str, user_id: str) -> None:
        """Bans or mutes a user, permanently unless `seconds` is given."""
        who, room_id = await self.ruled(room_id)
        user_id = names.user_id(user_id)
        body = self.body(SecondsBody) if self.request.body else SecondsBody()
        until = await self.server.moderation.restrict(who, room_id, self.kind, user_id, body.seconds)
        self.answer(RestrictedHere(user_id, until, room_id))

    @operation({204: None}, errors=ACTING)
    async def delete(self, room_id: str, user_id: str) -> None:
        """Lifts a ban or mute."""
        who, room_id = await self.ruled(room_id)
        await self.server.moderation.lift(who, room_id, self.kind, names.user_id(user_id))
        self.set_status(204)


class Moderator(RoomHandler):
    @operation({204: None}, errors=ACTING)
    async def put(self, room_id: str, user_id: str) -> None:
        """Makes a user a moderator."""
        who, room_id = await self.ruled(room_id, Rank.OWNER)
        await self.server.moderation.promote(who, room_id, names.user_id(user_id))
        self.set_status(204)

    @operation({204: None}, errors=ACTING)
    async def delete(self, room_id: str, user_id: str) -> None:
        """Makes a moderator an ordinary member again."""
        who, room_id = await self.ruled(room_id, Rank.OWNER)
        await self.server.moderation.demote(who, room_id, names.user_id(user_id))
        self.set_status(204)


class AuditLog(RoomHandler):
    @operation({200: AuditPage}, query=("before", ENTRIES), errors=READING)
    async def get(self, room_id: str) -> None:
        """Returns the audit log of a room, newest first; `before` is the last id of the previous page."""
        _, room_id = await self.ruled(room_id)
        limit = self.number(*ENTRIES)
        page = await self.server.audit.page(room_id, self.query("before"), limit)
        more = b"true" if page.has_more else b"false"
        self.answer(b'{"entries":[' + b",".join(page.acts) + b'],"hasMore":' + more + b"}")


DAY = 86_400
DEFAULT_EXPIRY = 7 * DAY
MAX_EXPIRY = 30 * DAY
MAX_USES = 1_000_000


class InviteBody(msgspec.Struct, rename="camel"):
    """What a new invite allows."""

    expires_in: Annotated[float, msgspec.Meta(gt=0, le=MAX_EXPIRY)] = DEFAULT_EXPIRY
    uses: Annotated[int, msgspec.Meta(ge=1, le=MAX_USES)] | None = None


class AcceptBody(msgspec.Struct):
    """An invite to accept."""

    invite: str


class MadeInvite(msgspec.Struct, rename="camel"):
    """A new invite; its text is returned only here. Times in milliseconds since 1970."""

    invite: str
    invite_id: str
    expires_at: int


class ListedInvite(msgspec.Struct, rename="camel"):
    """A valid invite; `uses` is the number left, null for no limit."""

    invite_id: str
    created_by: str
    created_at: int
    expires_at: int
    uses: int | None


class Invites(msgspec.Struct):
    """The invites of a room."""

    invites: list[ListedInvite]


class JoinedRoom(msgspec.Struct, rename="camel"):
    """The room that was joined."""

    room_id: str


class InviteList(RoomHandler):
    @operation({200: Invites}, errors=READING)
    async def get(self, room_id: str) -> None:
        """Lists the valid invites to a room."""
        _, room_id = await self.ruled(room_id)
        invites = await self.server.invites.of_room(room_id)
        self.answer(Invites([_described(invite) for invite in invites]))

    @operation(
        {201: MadeInvite}, body=InviteBody, example={"expiresIn": 86_400, "uses": 1},
        errors=(*READING, "not-found", "conflict"),
    )  # fmt: skip
    async def post(self, room_id: str) -> None:
        """Creates an invite, by default valid for a week and any number of uses."""
        who, room_id = await self.ruled(room_id)
        body = self.body(InviteBody) if self.request.body else InviteBody()
        made = await self.server.invites.create(who, room_id, body.expires_in, body.uses)
        self.answer(MadeInvite(*made), 201)


class OneInvite(RoomHandler):
    @operation({204: None}, errors=(*READING, "not-found"))
    async def delete(self, room_id: str, invite_id: str) -> None:
        """Revokes an invite."""
        who, room_id = await self.ruled(room_id)
        await self.server.invites.revoke(who, room_id, invite_id)
        self.set_status(204)


class Accept(Handler):
    @operation(
        {200: JoinedRoom}, body=AcceptBody, example={"invite": "q5Zc1vJ8"},
        errors=(*READING, "not-found", "conflict"),
    )  # fmt: skip
    async def post(self) -> None:
        """Accepts an invite: makes the caller a member of its room."""
        who = self.identity()
        invite = self.body(AcceptBody).invite
        self.answer(JoinedRoom(await self.server.invites.accept(who, invite)))


class Membership(RoomHandler):
    @operation({204: None}, errors=(*READING, "conflict"))
    async def put(self, room_id: str) -> None:
        """Joins a room that the caller may read: its events appear in the personal stream from now on."""
        who, room_id = await self.readable(room_id)
        self.server.quotas.open_stream(who)
        await self.server.memberships.join(who, room_id)
        self.set_status(204)

    @operation({204: None}, errors=(*READING, "conflict"))
    async def delete(self, room_id: str) -> None:
        """Ends the caller's membership; the personal stream no longer has the room's events."""
        who, room_id = await self.readable(room_id)
        await self.server.invites.leave(who, room_id)
        await self.server.memberships.leave(who, room_id)
        self.set_status(204)


def _described(one: Invite) -> ListedInvite:
    return ListedInvite(one.invite_id, one.created_by, one.created_at, one.expires_at, one.uses)


ROUTES = [
    (r"/api/rooms/([^/]+)/kick", Kick),
    (r"/api/rooms/([^/]+)/bans", RestrictionList, {"kind": BAN}),
    (r"/api/rooms/([^/]+)/bans/([^/]+)", Restriction, {"kind": BAN}),
    (r"/api/rooms/([^/]+)/mutes", RestrictionList, {"kind": MUTE}),
    (r"/api/rooms/([^/]+)/mutes/([^/]+)", Restriction, {"kind": MUTE}),
    (r"/api/rooms/([^/]+)/moderators/([^/]+)", Moderator),
    (r"/api/rooms/([^/]+)/audit", AuditLog),
    (r"/api/rooms/([^/]+)/invites", InviteList),
    (r"/api/rooms/([^/]+)/invites/([^/]+)", OneInvite),
    (r"/api/invites/accept", Accept),
    (r"/api/rooms/([^/]+)/membership", Membership),
]
