"""Queries about who is shut out: revoked sessions, blocked users."""

from __future__ import annotations

from chatrooms.storage.database import Database, Transaction

_ALL = "select session, expires_at from revocations"


async def add(tx: Transaction, session: str, expires_at: int) -> None:
    """Shuts a session out until all its tokens have expired by themselves (seconds since 1970)."""
    sql = """insert into revocations (session, expires_at) values ($1, $2) on conflict (session)
    do update set expires_at = excluded.expires_at where revocations.expires_at < excluded.expires_at"""
    await tx.execute(sql, session, expires_at)


async def sessions(database: Database) -> dict[str, float]:
    """The sessions that are shut out, with the time at which the last of their tokens expires."""
    return {session: expires_at for session, expires_at in await database.fetch(_ALL)}


async def blocked_users(database: Database) -> set[str]:
    """The users whose account is disabled or deleted."""
    return {user_id for (user_id,) in await database.fetch("select user_id from accounts where state <> 'active'")}


async def forget_expired(tx: Transaction, now: int) -> None:
    await tx.execute("delete from revocations where expires_at < $1", now)
