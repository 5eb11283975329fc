"""Queries about one-use tickets."""

from __future__ import annotations

from chatrooms.storage.database import Row, Transaction


async def add(tx: Transaction, hash: str, who: Row, expires_at: int) -> None:
    """Keeps a ticket; `who` is (user_id, username, role, session, token_expires_at, guest)."""
    sql = """insert into tickets (hash, user_id, username, role, session, token_expires_at, guest,
    expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)"""
    await tx.execute(sql, hash, *who, expires_at)


async def take(tx: Transaction, hash: str, now: int) -> Row | None:
    """Removes a ticket and returns whose it was, in the order of `add`; None when it is not good."""
    sql = """delete from tickets where hash = $1
    returning user_id, username, role, session, token_expires_at, guest, expires_at"""
    rows = await tx.fetch(sql, hash)
    return rows[0][:6] if rows and rows[0][6] > now else None


async def forget_expired(tx: Transaction, now: int) -> None:
    await tx.execute("delete from tickets where expires_at < $1", now)
