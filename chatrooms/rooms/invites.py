"""Invites: how users become members of a room, and how they leave it."""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from chatrooms.errors import Conflict, NotFound
from chatrooms.identity import Identity
from chatrooms.log.database import Database, Row, Source, Transaction
from chatrooms.rooms.audit import Acts
from chatrooms.rooms.rules import Act, Rank, Rules, remove_member, rules_of, set_member

INVITE_BYTES = 24  # 192 random bits
MAX_INVITES = 100  # usable invites per room


class Made(NamedTuple):
    """A new invite, the only time its text is shown. `expires_at` in milliseconds since 1970."""

    invite: str
    invite_id: str
    expires_at: int


class Invites:
    """Creates and accepts invites, and lets members leave. All methods raise TooMany and Unavailable."""

    def __init__(self, acts: Acts, database: Database) -> None:
        self._acts = acts
        self._database = database

    async def create(self, who: Identity, room_id: str, expires_in: float, uses: int | None) -> Made:
        """An invite valid for that many seconds and uses (None: any number).

        Raises Forbidden for others than owner and moderators; NotFound for a room that nobody made;
        Conflict when there are too many.
        """
        text = secrets.token_urlsafe(INVITE_BYTES)
        now = self._acts.now()
        made = Made(text, secrets.token_urlsafe(9), now + int(expires_in * 1000))

        async def change(tx: Transaction, rules: Rules) -> Act:
            if not rules.stored:
                raise NotFound("not-found", "There is no such room.")
            await forget_ended_invites(tx, room_id, now)
            if len(await invites_of(tx, room_id, now)) >= MAX_INVITES:
                raise Conflict("conflict", f"This room has {MAX_INVITES} valid invites: revoke some.")
            invite = Invite(_hash(text), made.invite_id, room_id, who.user_id, now, made.expires_at, uses)
            await add_invite(tx, invite)
            return Act(room_id, "invited", who.user_id, now, invite_id=made.invite_id)

        await self._acts.run(who, room_id, Rank.MODERATOR, change)
        return made

    async def accept(self, who: Identity, text: str) -> str:
        """Makes the bearer a member; returns the room's id. An existing member does not use the invite up.

        Raises NotFound for an invite that is unknown, expired, used up, or older than the bearer's last
        kick; Forbidden for the banned.
        """
        room_id = ""

        async def change(tx: Transaction) -> Act | None:
            nonlocal room_id
            now = self._acts.now()
            invite = await find_invite(tx, _hash(text), now)
            if invite is None:
                raise _no_invite()
            room_id = invite.room_id
            rules = await rules_of(tx, room_id, who.user_id)
            rules.check_not_banned(who, now)
            if rules.rank_of(who.user_id) >= Rank.MEMBER:
                return None
            if await kicked_since(tx, invite, who.user_id):
                raise _no_invite()
            await use_invite(tx, invite.hash)
            await set_member(tx, room_id, who.user_id, Rank.MEMBER, now)
            return Act(room_id, "joined", who.user_id, now, who.user_id, invite_id=invite.invite_id)

        await self._acts.run_anywhere(who, change)
        return room_id

    async def of_room(self, room_id: str) -> list[Invite]:
        """The usable invites of a room, newest first."""
        return await invites_of(self._database, room_id, self._acts.now())

    async def revoke(self, who: Identity, room_id: str, invite_id: str) -> None:
        """Revokes an invite. Raises Forbidden for anybody but owner and moderators; NotFound."""

        async def change(tx: Transaction, _: Rules) -> Act:
            # Our ids are ASCII, and the database would reject what is not UTF-8.
            if not invite_id.isascii() or not await revoke_invite(tx, room_id, invite_id):
                raise NotFound("not-found", "There is no such invite.")
            return Act(room_id, "invite-revoked", who.user_id, self._acts.now(), invite_id=invite_id)

        await self._acts.run(who, room_id, Rank.MODERATOR, change)

    async def leave(self, who: Identity, room_id: str) -> None:
        """Ends the caller's membership; in a private room their streams end, too. Harmless for non-members.

        Raises Conflict for the owner.
        """

        async def change(tx: Transaction, rules: Rules) -> Act | None:
            if who.user_id == rules.owner:
                raise Conflict("conflict", "The owner of a room cannot leave it.")
            if who.user_id not in rules.roles:
                return None
            await remove_member(tx, room_id, who.user_id)
            private = rules.private or None
            return Act(room_id, "left", who.user_id, self._acts.now(), who.user_id, private=private)

        await self._acts.run(who, room_id, Rank.NONE, change)


def _no_invite() -> NotFound:
    return NotFound("not-found", "There is no such invite, or it is no longer valid.")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


MAX_KICKS = 10_000  # remembered per room; beyond it the oldest are dropped

_COLUMNS = "hash, invite_id, room_id, created_by, created_at, expires_at, uses"


class Invite(NamedTuple):
    """One invite; `uses` is how many are left, None for any number."""

    hash: str
    invite_id: str
    room_id: str
    created_by: str
    created_at: int
    expires_at: int
    uses: int | None


async def add_invite(tx: Transaction, invite: Invite) -> None:
    await tx.execute(f"insert into room_invites ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7)", *invite)


async def find_invite(tx: Transaction, hash: str, now: int) -> Invite | None:
    """The invite of that hash, unless it has expired or been used up."""
    sql = f"select {_COLUMNS} from room_invites where hash = $1 and expires_at > $2 and (uses is null or uses > 0)"
    rows = await tx.fetch(sql, hash, now)
    return Invite(*rows[0]) if rows else None


async def use_invite(tx: Transaction, hash: str) -> None:
    await tx.execute("update room_invites set uses = uses - 1 where hash = $1 and uses is not null", hash)


async def invites_of(source: Source, room_id: str, now: int) -> list[Invite]:
    """The usable invites of a room, newest first."""
    sql = (
        f"select {_COLUMNS} from room_invites where room_id = $1 and expires_at > $2 "
        "and (uses is null or uses > 0) order by created_at desc, invite_id"
    )
    return [_invite(row) for row in await source.fetch(sql, room_id, now)]


async def revoke_invite(tx: Transaction, room_id: str, invite_id: str) -> bool:
    """False if there was no such invite."""
    sql = "delete from room_invites where room_id = $1 and invite_id = $2 returning 1"
    return bool(await tx.fetch(sql, room_id, invite_id))


async def forget_ended_invites(tx: Transaction, room_id: str, now: int) -> None:
    """Removes the expired and used-up invites of a room."""
    await tx.execute("delete from room_invites where room_id = $1 and (expires_at <= $2 or uses <= 0)", room_id, now)


async def note_kick(tx: Transaction, room_id: str, user_id: str, now: int) -> None:
    """Remembers that a user was removed from a room, for as long as earlier invites to it are usable."""
    await tx.execute("delete from room_kicks where room_id = $1 and until <= $2", room_id, now)
    await tx.execute(
        "insert into room_kicks (room_id, user_id, kicked_at, until) "
        "select room_id, $2, $3, max(expires_at) from room_invites "
        "where room_id = $1 and expires_at > $3 and (uses is null or uses > 0) group by room_id "
        "on conflict (room_id, user_id) do update set kicked_at = excluded.kicked_at, until = excluded.until",
        room_id, user_id, now,
    )  # fmt: skip
    ((kept,),) = await tx.fetch("select count(*) from room_kicks where room_id = $1", room_id)
    if kept > MAX_KICKS:
        oldest = "select min(kicked_at) from room_kicks where room_id = $1"
        await tx.execute(f"delete from room_kicks where room_id = $1 and kicked_at = ({oldest})", room_id)


async def kicked_since(tx: Transaction, invite: Invite, user_id: str) -> bool:
    """Whether a user was removed from the room after an invite to it was created."""
    sql = "select 1 from room_kicks where room_id = $1 and user_id = $2 and kicked_at >= $3"
    return bool(await tx.fetch(sql, invite.room_id, user_id, invite.created_at))


def _invite(row: Row) -> Invite:
    return Invite(*row)
