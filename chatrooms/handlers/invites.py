"""Invites to rooms, and the membership that they give."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chatrooms import names
from chatrooms.handlers.base import Handler
from chatrooms.rules.rules import Rank
from chatrooms.storage.invites import Invite

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
        await self.server.rulebook.ruled(who, room_id, Rank.MODERATOR)
        invites = await self.server.invites.of_room(room_id)
        self.answer({"invites": [_described(invite) for invite in invites]})

    async def post(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.rulebook.ruled(who, room_id, Rank.MODERATOR)
        body = self.body(InviteBody) if self.request.body else InviteBody()
        made = await self.server.invites.create(who, room_id, body.expires_in, body.uses)
        self.answer({"invite": made.invite, "inviteId": made.invite_id, "expiresAt": made.expires_at}, 201)


class OneInvite(Handler):
    async def delete(self, room_id: str, invite_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.rulebook.ruled(who, room_id, Rank.MODERATOR)
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
        await self.server.rulebook.readable(who, room_id)
        self.server.quotas.open_stream(who)
        await self.server.memberships.join(who, room_id)
        self.set_status(204)

    async def delete(self, room_id: str) -> None:
        """Ends the caller's membership: its events are in the personal stream no more."""
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.rulebook.readable(who, room_id)
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
    (r"/api/rooms/([^/]+)/invites", InviteList),
    (r"/api/rooms/([^/]+)/invites/([^/]+)", OneInvite),
    (r"/api/invites/accept", Accept),
    (r"/api/rooms/([^/]+)/membership", Membership),
]
