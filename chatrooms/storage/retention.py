"""Removing the oldest events, in steps that each hold the write lock briefly."""

from __future__ import annotations

from chatrooms.storage.database import Database

STEP = 1000  # events


async def remove_some(database: Database, floor: int, before_ms: int) -> tuple[int, int]:
    """Removes the next events after `floor` that were made before that time; how many, and the new floor."""
    async with database.appending() as tx:
        rows = await tx.fetch(
            "select seq from events where seq > $1 and created_at < $2 order by seq limit $3", floor, before_ms, STEP
        )
        if not rows:
            return 0, floor
        floor = rows[-1][0]
        await tx.execute("delete from event_topics where seq <= $1", floor)
        await tx.execute("delete from events where seq <= $1", floor)
        await tx.execute(
            "insert into meta values ('floor', $1) on conflict (name) do update set value = excluded.value", str(floor)
        )
    return len(rows), floor
