"""Leases in the tables of work: rows with `node`, `lease_until`, and `ended_at`, null while it goes on.

Times are in milliseconds since 1970. Table and column names are never a caller's.
"""

from __future__ import annotations

from chatrooms.storage.database import Row, Source, Transaction


async def renew(tx: Transaction, table: str, node: str, lease_until: int) -> None:
    """Extends the lease of a node on all that it still works on."""
    await tx.execute(f"update {table} set lease_until = $1 where node = $2 and ended_at is null", lease_until, node)


async def orphans(source: Source, table: str, columns: str, node: str, now: int) -> list[Row]:
    """Unfinished work of other nodes whose lease ran out before `now`."""
    sql = f"select {columns} from {table} where ended_at is null and lease_until < $1 and node <> $2"
    return await source.fetch(sql, now, node)
