"""Queries about refresh families: one row a sign-in that is alive."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.storage import revocations
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.retention import remove_before

_COLUMNS = "family, user_id, username, role, used, expires_at, guest"


class Family(NamedTuple):
    """A sign-in. `used` is the number of the newest refresh token that was used, -1 for none.

    `expires_at` is in seconds since 1970.
    """

    family: str
    user_id: str
    username: str | None
    role: str
    used: int
    expires_at: int
    guest: int


async def add(tx: Transaction, family: Family) -> None:
    sql = f"insert into refresh_families ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7)"
    await tx.execute(sql, *family)


async def find(tx: Transaction, family: str) -> Family | None:
    rows = await tx.fetch(f"select {_COLUMNS} from refresh_families where family = $1", family)
    return Family._make(rows[0]) if rows else None


async def use(tx: Transaction, family: str, number: int, expires_at: int) -> None:
    sql = "update refresh_families set used = $2, expires_at = $3 where family = $1"
    await tx.execute(sql, family, number, expires_at)


async def end(tx: Transaction, family: str, expires_at: int) -> None:
    """Ends a sign-in; its access tokens are refused until that time, when all have expired."""
    await tx.execute("delete from refresh_families where family = $1", family)
    await revocations.add(tx, family, expires_at)


async def end_all(tx: Transaction, user_id: str, expires_at: int) -> list[str]:
    """Ends all sign-ins of a user; returns them."""
    rows = await tx.fetch("select family from refresh_families where user_id = $1", user_id)
    for (family,) in rows:
        await end(tx, family, expires_at)
    return [family for (family,) in rows]


async def forget_expired(database: Database, now: int) -> int:
    """Removes sign-ins that ended before that time, in short steps; says how many."""
    return await remove_before(database, "refresh_families", "family", "expires_at", now)
