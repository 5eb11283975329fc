"""Removal of old rows, in steps that each hold a lock for milliseconds; between them posts go first.

Each step commits by itself: what was removed before a restart or a failure stays removed, and the next
round goes on from there.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from chatrooms.log.database import Database, Source, Transaction
from chatrooms.log.event import PURGED, Event
from chatrooms.log.group import event_of

FIRST_STEP = 50  # rows
LEAST_EVENTS = 200  # removed in one step
LEAST_ROWS = 20  # of other tables, which may be large
LARGEST_STEP = 2000  # rows
STEP_TIME = 0.005  # seconds of work per step: steps grow and shrink towards it
PAUSE = 0.01  # seconds between two steps, at least
PART = 4  # the pause after a step is this many times as long as the step

Step = Callable[[Transaction, int], Awaitable[int]]

_LAST_BEFORE = """
select coalesce(
  (select min(seq) - 1 from events where created_at = (select min(created_at) from events where created_at >= $1)),
  (select max(seq) from events), 0)"""
_STEP = """
select count(*), max(seq) from
(select seq from events where seq > $1 and seq <= $2 order by seq limit $3) as step"""


async def in_steps(database: Database, step: Step, least: int = 1) -> int:
    """Repeats a step, each time under the lock of the log, until it removes nothing; how many it removed.

    The step is told how many rows it may remove, `least` or more: however slow the way to the database is, so many
    are no burden. Raises what it raises; then the steps before are done.
    """
    removed, most = 0, FIRST_STEP
    while True:
        async with database.appending() as tx:
            began = time.monotonic()
            done = await step(tx, most)
            await tx.fetch("select 1")  # all was written now, but for the commit: a slow disk makes no step smaller
            took = time.monotonic() - began
        if not done:
            return removed
        removed += done
        most = max(least, min(LARGEST_STEP, int(most * min(2.0, STEP_TIME / took))))
        await asyncio.sleep(max(PAUSE, PART * (time.monotonic() - began)))


async def remove_before(database: Database, table: str, key: str, at: str, before: int) -> int:
    """Removes the rows of a table whose column `at`, which has an index, lies before that one; how many.

    The names are never a caller's from outside.
    """
    after = 0  # or each step would scan rows that PostgreSQL has yet to vacuum after earlier ones
    finding = f"select {key}, {at} from {table} where {at} >= $1 and {at} < $2 order by {at} limit $3"

    async def step(tx: Transaction, most: int) -> int:
        nonlocal after
        rows = await tx.fetch(finding, after, before, most)
        if rows:
            after = rows[-1][1]
            await tx.executemany(f"delete from {table} where {key} = $1", [row[:1] for row in rows])
        return len(rows)

    return await in_steps(database, step, LEAST_ROWS)


async def last_before(source: Source, before_ms: int) -> int:
    """The seq up to which the log is older than that time: the last one before the oldest event that stays.

    An event that a wrong clock dated far off neither holds the others up nor takes them along.
    """
    return int((await source.fetch(_LAST_BEFORE, before_ms))[0][0])


async def any_between(source: Source, after: int, last: int) -> bool:
    """Whether there is an event after a seq and up to another, apart from orders to drop such events."""
    sql = "select 1 from events where seq > $1 and seq <= $2 and type <> $3 limit 1"
    return bool(await source.fetch(sql, after, last, PURGED))


async def remove_old_events(database: Database, before_ms: int, on_floor: Callable[[int], None]) -> int:
    """Removes the events made before that time (milliseconds since 1970); how many.

    `on_floor` is told the new floor before each commit: nobody may be told that all is there which is about to go.
    """
    last, (_, floor, _) = await last_before(database, before_ms), await extent_of(database)

    async def step(tx: Transaction, most: int) -> int:
        nonlocal floor
        removed, floor = await _remove_events(tx, floor, last, most)
        on_floor(floor)
        return removed

    return await in_steps(database, step, LEAST_EVENTS)


async def _remove_events(tx: Transaction, floor: int, last: int, most: int) -> tuple[int, int]:
    """Removes the next events after a floor and up to a seq, at most so many; how many, and the new floor.

    Under the lock of the log, as with all that changes rows of events: or two that remove the same ones
    could wait for each other.
    """
    ((count, end),) = await tx.fetch(_STEP, floor, last, most)
    if not count:
        return 0, floor
    await tx.execute("delete from events where seq > $1 and seq <= $2", floor, end)
    await tx.execute("delete from event_topics where seq > $1 and seq <= $2", floor, end)
    await tx.execute(
        "insert into meta values ('floor', $1) on conflict (name) do update set value = excluded.value", str(end)
    )
    return count, end


# The last event of the log may have been removed (of a task, by retention): its seq is not used again.
_HEAD = """
select (select max(seq) from events), (select max(seq) from log_mark),
(select cast(value as bigint) from meta where name = 'floor'), (select value from meta where name = 'epoch')"""
_BETWEEN = "select seq, type, data, ref from events where seq > $1 and seq <= $2 and type <> 'erased' order by seq"
_TOPICS_BETWEEN = "select seq, topic from event_topics where seq > $1 and seq <= $2"


class Extent(NamedTuple):
    """The extent of the log: the last seq assigned, the last one removed by retention, and the epoch."""

    head: int
    floor: int
    epoch: str


async def extent_of(source: Source) -> Extent:
    """The extent of the log, as the database or a transaction in it sees it."""
    ((last, mark, floor, epoch),) = await source.fetch(_HEAD)
    return Extent(max(last or 0, mark or 0, floor or 0), floor or 0, epoch)


def new_epoch() -> str:
    """A name for a new life of a database."""
    return secrets.token_hex(4)


async def renewed(tx: Transaction, epoch: str, head: int) -> Extent:
    """The extent of the log, under its lock; in a new epoch if it ends before what a node has read of this one.

    So after a failover to a replica that lacked the last events: numbers are given a second time, and only the
    epoch tells the new events from those that readers have.
    """
    extent = await extent_of(tx)
    if extent.epoch == epoch and extent.head < head:
        extent = extent._replace(epoch=new_epoch())
        await tx.execute("update meta set value = $1 where name = 'epoch'", extent.epoch)
    return extent


async def between(source: Source, after: int, last: int) -> list[Event]:
    """All events after a seq, up to and including the last, except erased ones."""
    topics: dict[int, list[str]] = {}
    for seq, topic in await source.fetch(_TOPICS_BETWEEN, after, last):
        topics.setdefault(seq, []).append(topic)
    return [event_of(row, tuple(topics.get(row[0], ()))) for row in await source.fetch(_BETWEEN, after, last)]
