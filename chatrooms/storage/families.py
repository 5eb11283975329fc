"""Queries about refresh families: one row a sign-in."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.storage.database import Transaction


class Family(NamedTuple):
    """A sign-in. `used` is the number of the newest refresh token that was used, -1 for none.

    `expires_at` is in seconds since 1970.
    """

    family: str
    user_id: str
    username: str | None
    role: str
    used: int
    revoked: bool
    expires_at: int


async def add(tx: Transaction, family: Family) -> None:
    sql = """insert into refresh_families (family, user_id, username, role, used, revoked, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7)"""
    await tx.execute(sql, 
        family.family, family.user_id, family.username, family.role, family.used,
        int(family.revoked), family.expires_at,
    )  # fmt: skip


async def find(tx: Transaction, family: str) -> Family | None:
    sql = """select family, user_id, username, role, used, revoked, expires_at
    from refresh_families where family = $1"""
    rows = await tx.fetch(sql, family)
    return Family._make(rows[0])._replace(revoked=bool(rows[0][5])) if rows else None


async def use(tx: Transaction, family: str, number: int, expires_at: int) -> None:
    sql = "update refresh_families set used = $2, expires_at = $3 where family = $1"
    await tx.execute(sql, family, number, expires_at)


async def revoke(tx: Transaction, family: str) -> None:
    await tx.execute("update refresh_families set revoked = 1 where family = $1", family)


async def forget_expired(tx: Transaction, now: int) -> None:
    await tx.execute("delete from refresh_families where expires_at < $1", now)
