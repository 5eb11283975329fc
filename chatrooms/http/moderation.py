"""Moderation of rooms: kick, bans, mutes, moderators and the audit log."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chatrooms import names
from chatrooms.http.base import Handler
from chatrooms.log.event import MAX_SEQ
from chatrooms.rooms.invites import Invite
from chatrooms.rooms.rules import BAN, MUTE, Rank

MAX_PAGE = 200
MAX_SECONDS = 10 * 365 * 86_400  # of a ban or mute that ends


class UserBody(msgspec.Struct, rename="camel"):
    user_id: str | Annotated[int, msgspec.Meta(ge=-MAX_SEQ, le=MAX_SEQ)]


class SecondsBody(msgspec.Struct):
    seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)] | None = None


class Kick(Handler):
    """Takes somebody out of a room."""

    async def post(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.MODERATOR)
        user_id = names.user_id(self.body(UserBody).user_id)
        await self.server.moderation.kick(who, room_id, user_id)
        self.set_status(204)


class RestrictionList(Handler):
    """Who is banned or muted."""

    def initialize(self, kind: str) -> None:
        self.kind = kind

    async def get(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.MODERATOR)
        limit = self.number("limit", MAX_PAGE, 1, MAX_PAGE)
        after = self.query("after")
        after = names.user_id(after) if after else ""
        page = await self.server.moderation.page(room_id, self.kind, after, limit + 1)
        listed = [{"userId": user_id, "until": until} for user_id, until in page[:limit]]
        self.answer({f"{self.kind}s": listed, "hasMore": len(page) > limit})


class Restriction(Handler):
    """One user's ban or mute."""

    def initialize(self, kind: str) -> None:
        self.kind = kind

    async def put(self, room_id: str, user_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.MODERATOR)
        user_id = names.user_id(user_id)
        body = self.body(SecondsBody) if self.request.body else SecondsBody()
        until = await self.server.moderation.restrict(who, room_id, self.kind, user_id, body.seconds)
        self.answer({"roomId": room_id, "userId": user_id, "until": until})

    async def delete(self, room_id: str, user_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.MODERATOR)
        await self.server.moderation.lift(who, room_id, self.kind, names.user_id(user_id))
        self.set_status(204)


class Moderator(Handler):
    """One user's right to moderate."""

    async def put(self, room_id: str, user_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.OWNER)
        await self.server.moderation.promote(who, room_id, names.user_id(user_id))
        self.set_status(204)

    async def delete(self, room_id: str, user_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.OWNER)
        await self.server.moderation.demote(who, room_id, names.user_id(user_id))
        self.set_status(204)


class AuditLog(Handler):
    """What was done in a room, newest first."""

    async def get(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.MODERATOR)
        limit = self.number("limit", 50, 1, MAX_PAGE)
        page = await self.server.audit.page(room_id, self.query("before"), limit)
        more = b"true" if page.has_more else b"false"
        self.answer(b'{"entries":[' + b",".join(page.acts) + b'],"hasMore":' + more + b"}")


DAY = 86_400
DEFAULT_EXPIRY = 7 * DAY
MAX_EXPIRY = 30 * DAY
MAX_USES = 1_000_000


class InviteBody(msgspec.Struct, rename="camel"):
    expires_in: Annotated[float, msgspec.Meta(gt=0, le=MAX_EXPIRY)] = DEFAULT_EXPIRY
    uses: Annotated[int, msgspec.Meta(ge=1, le=MAX_USES)] | None = None


class AcceptBody(msgspec.Struct):
    invite: str


class InviteList(Handler):
    async def get(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.MODERATOR)
        invites = await self.server.invites.of_room(room_id)
        self.answer({"invites": [_described(invite) for invite in invites]})

    async def post(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.MODERATOR)
        body = self.body(InviteBody) if self.request.body else InviteBody()
        made = await self.server.invites.create(who, room_id, body.expires_in, body.uses)
        self.answer({"invite": made.invite, "inviteId": made.invite_id, "expiresAt": made.expires_at}, 201)


class OneInvite(Handler):
    async def delete(self, room_id: str, invite_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.ruled(who, room_id, Rank.MODERATOR)
        await self.server.invites.revoke(who, room_id, invite_id)
        self.set_status(204)


class Accept(Handler):
    async def post(self) -> None:
        who = self.identity()
        invite = self.body(AcceptBody).invite
        self.answer({"roomId": await self.server.invites.accept(who, invite)})


class Membership(Handler):
    """The caller's own membership of a room."""

    async def put(self, room_id: str) -> None:
        """Joins a room that the caller may read: its events are in the personal stream from now on."""
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.readable(who, room_id)
        self.server.quotas.open_stream(who)
        await self.server.memberships.join(who, room_id)
        self.set_status(204)

    async def delete(self, room_id: str) -> None:
        """Ends the caller's membership: its events are in the personal stream no more."""
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.policy.readable(who, room_id)
        await self.server.invites.leave(who, room_id)
        await self.server.memberships.leave(who, room_id)
        self.set_status(204)


def _described(invite: Invite) -> dict[str, object]:
    return {
        "inviteId": invite.invite_id,
        "createdBy": invite.created_by,
        "createdAt": invite.created_at,
        "expiresAt": invite.expires_at,
        "uses": invite.uses,
    }


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
