"""Queries about who is shut out: revoked sessions, blocked users."""

from __future__ import annotations

from chatrooms.storage.database import SQLite, Transaction


async def add(tx: Transaction, session: str, expires_at: int) -> None:
    """Shuts a session out until all its tokens have expired by themselves (seconds since 1970)."""
    sql = "insert into revocations (session, expires_at) values ($1, $2) on conflict (session) do nothing"
    await tx.execute(sql, session, expires_at)


async def sessions(database: SQLite) -> set[str]:
    return {session for (session,) in await database.fetch("select session from revocations")}


async def blocked_users(database: SQLite) -> set[str]:
    """The users whose account is disabled or deleted."""
    return {user_id for (user_id,) in await database.fetch("select user_id from accounts where state <> 'active'")}


async def forget_expired(tx: Transaction, now: int) -> None:
    await tx.execute("delete from revocations where expires_at < $1", now)
