"""Invites: how people become members of a room, and how they cease to be."""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from chatrooms.errors import Conflict, NotFound
from chatrooms.identity.tokens import Identity
from chatrooms.rules.act import Act
from chatrooms.rules.acts import Acts
from chatrooms.rules.rules import Rank, Rules
from chatrooms.storage import invites as stored
from chatrooms.storage import rules as room_rules
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.invites import Invite
from chatrooms.storage.rules import rules_of

INVITE_BYTES = 24  # 192 random bits
MAX_INVITES = 100  # that can be used, of one room at the same time


class Made(NamedTuple):
    """A new invite: the only time that its text is seen. `expires_at` in milliseconds since 1970."""

    invite: str
    invite_id: str
    expires_at: int


class Invites:
    """Makes invites, takes them, and lets members go. All methods raise TooMany and Unavailable."""

    def __init__(self, acts: Acts, database: Database) -> None:
        self._acts = acts
        self._database = database

    async def create(self, who: Identity, room_id: str, expires_in: float, uses: int | None) -> Made:
        """An invite good for that many seconds and uses (None: any number).

        Raises Forbidden for others than owner and moderators; NotFound for a room that nobody made;
        Conflict when there are too many.
        """
        text = secrets.token_urlsafe(INVITE_BYTES)
        now = self._acts.now()
        made = Made(text, secrets.token_urlsafe(9), now + int(expires_in * 1000))

        async def change(tx: Transaction, rules: Rules) -> Act:
            if not rules.stored:
                raise NotFound("not-found", "There is no such room.")
            await stored.forget_ended(tx, room_id, now)
            if len(await stored.of_room(tx, room_id, now)) >= MAX_INVITES:
                raise Conflict("conflict", f"This room has {MAX_INVITES} invites that are good: revoke some.")
            invite = Invite(_hash(text), made.invite_id, room_id, who.user_id, now, made.expires_at, uses)
            await stored.add(tx, invite)
            return Act(room_id, "invited", who.user_id, now, invite_id=made.invite_id)

        await self._acts.run(who, room_id, Rank.MODERATOR, change)
        return made

    async def accept(self, who: Identity, text: str) -> str:
        """Makes the bearer a member; returns the room's id. A member does not use an invite up.

        Raises NotFound for an invite that is unknown, expired, used up, or older than the bearer's last
        kick; Forbidden for the banned.
        """
        room_id = ""

        async def change(tx: Transaction) -> Act | None:
            nonlocal room_id
            now = self._acts.now()
            invite = await stored.find(tx, _hash(text), now)
            if invite is None:
                raise _no_invite()
            room_id = invite.room_id
            rules = await rules_of(tx, room_id, who.user_id)
            rules.check_not_banned(who, now)
            if rules.rank_of(who.user_id) >= Rank.MEMBER:
                return None
            if await stored.kicked_since(tx, invite, who.user_id):
                raise _no_invite()
            await stored.use(tx, invite.hash)
            await room_rules.set_member(tx, room_id, who.user_id, Rank.MEMBER, now)
            return Act(room_id, "joined", who.user_id, now, who.user_id, invite_id=invite.invite_id)

        await self._acts.run_anywhere(who, change)
        return room_id

    async def of_room(self, room_id: str) -> list[Invite]:
        """The invites of a room that can be used, newest first."""
        return await stored.of_room(self._database, room_id, self._acts.now())

    async def revoke(self, who: Identity, room_id: str, invite_id: str) -> None:
        """Takes an invite back. Raises Forbidden for others than owner and moderators; NotFound."""

        async def change(tx: Transaction, _: Rules) -> Act:
            # Ids of ours are ASCII, and what is no UTF-8 the database would not take.
            if not invite_id.isascii() or not await stored.revoke(tx, room_id, invite_id):
                raise NotFound("not-found", "There is no such invite.")
            return Act(room_id, "invite-revoked", who.user_id, self._acts.now(), invite_id=invite_id)

        await self._acts.run(who, room_id, Rank.MODERATOR, change)

    async def leave(self, who: Identity, room_id: str) -> None:
        """Ends one's own membership; of a private room the streams end, too. Harmless for who is none.

        Raises Conflict for the owner.
        """

        async def change(tx: Transaction, rules: Rules) -> Act | None:
            if who.user_id == rules.owner:
                raise Conflict("conflict", "The owner of a room cannot leave it.")
            if who.user_id not in rules.roles:
                return None
            await room_rules.remove_member(tx, room_id, who.user_id)
            private = rules.private or None
            return Act(room_id, "left", who.user_id, self._acts.now(), who.user_id, private=private)

        await self._acts.run(who, room_id, Rank.NONE, change)


def _no_invite() -> NotFound:
    return NotFound("not-found", "There is no such invite, or not any more.")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
