"""Queries about the devices from which accounts were signed in to."""

from __future__ import annotations

from collections.abc import Sequence

from chatrooms.storage.database import Database, Transaction


async def known(database: Database, user_id: str, devices: Sequence[str], since: int) -> set[str]:
    """Which of two devices are known since then (seconds since 1970)."""
    sql = "select device from known_devices where user_id = $1 and device in ($2, $3) and seen_at >= $4"
    return {device for (device,) in await database.fetch(sql, user_id, *devices, since)}


async def add(tx: Transaction, user_id: str, devices: Sequence[str], now: int, most: int) -> None:
    """Keeps devices, and of all of a user those that were seen last."""
    sql = """insert into known_devices (user_id, device, seen_at) values ($1, $2, $3)
    on conflict (user_id, device) do update set seen_at = excluded.seen_at"""
    await tx.executemany(sql, [(user_id, device, now) for device in devices])
    newest = "select device from known_devices where user_id = $1 order by seen_at desc limit $2"
    await tx.execute(f"delete from known_devices where user_id = $1 and device not in ({newest})", user_id, most)


async def forget(tx: Transaction, user_id: str) -> None:
    await tx.execute("delete from known_devices where user_id = $1", user_id)


async def forget_before(tx: Transaction, time: int) -> None:
    await tx.execute("delete from known_devices where seen_at < $1", time)
