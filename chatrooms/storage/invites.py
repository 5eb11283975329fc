"""Queries about invites to rooms. Times are in milliseconds since 1970."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.storage.database import Row, Source, Transaction

MAX_KICKS = 10_000  # kept in mind of one room; then the oldest give way

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


async def add(tx: Transaction, invite: Invite) -> None:
    await tx.execute(f"insert into room_invites ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7)", *invite)


async def find(tx: Transaction, hash: str, now: int) -> Invite | None:
    """The invite of that hash, unless it has expired or been used up."""
    sql = f"select {_COLUMNS} from room_invites where hash = $1 and expires_at > $2 and (uses is null or uses > 0)"
    rows = await tx.fetch(sql, hash, now)
    return Invite(*rows[0]) if rows else None


async def use(tx: Transaction, hash: str) -> None:
    await tx.execute("update room_invites set uses = uses - 1 where hash = $1 and uses is not null", hash)


async def of_room(source: Source, room_id: str, now: int) -> list[Invite]:
    """The invites of a room that can be used, newest first."""
    sql = (
        f"select {_COLUMNS} from room_invites where room_id = $1 and expires_at > $2 "
        "and (uses is null or uses > 0) order by created_at desc, invite_id"
    )
    return [_invite(row) for row in await source.fetch(sql, room_id, now)]


async def revoke(tx: Transaction, room_id: str, invite_id: str) -> bool:
    """Whether there was such an invite."""
    sql = "delete from room_invites where room_id = $1 and invite_id = $2 returning 1"
    return bool(await tx.fetch(sql, room_id, invite_id))


async def forget_ended(tx: Transaction, room_id: str, now: int) -> None:
    """Removes the invites of a room that nobody can use any more."""
    await tx.execute("delete from room_invites where room_id = $1 and (expires_at <= $2 or uses <= 0)", room_id, now)


async def note_kick(tx: Transaction, room_id: str, user_id: str, now: int) -> None:
    """Keeps in mind that a user was put out, for as long as there are invites to the room from before."""
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
    """Whether a user was put out of the room after an invite to it was made."""
    sql = "select 1 from room_kicks where room_id = $1 and user_id = $2 and kicked_at >= $3"
    return bool(await tx.fetch(sql, invite.room_id, user_id, invite.created_at))


def _invite(row: Row) -> Invite:
    return Invite(*row)
