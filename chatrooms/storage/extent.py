"""How far the log reaches in the database, what lies between two places in it, and what to do when it has shrunk."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from chatrooms.event import Event
from chatrooms.storage.database import Source, Transaction
from chatrooms.storage.group import event_of

# The last event of the log may have been removed (of a task, by retention): its number is not given again.
_HEAD = """
select (select max(seq) from events), (select max(seq) from log_mark),
(select cast(value as bigint) from meta where name = 'floor'), (select value from meta where name = 'epoch')"""
_BETWEEN = "select seq, type, data, ref from events where seq > $1 and seq <= $2 and type <> 'erased' order by seq"
_TOPICS_BETWEEN = "select seq, topic from event_topics where seq > $1 and seq <= $2"


class Extent(NamedTuple):
    """How far the log reaches: the last seq that was given, and the last that retention has removed; its epoch."""

    head: int
    floor: int
    epoch: str


async def extent_of(source: Source) -> Extent:
    """How far the log reaches in the database, or in a transaction in it."""
    ((last, mark, floor, epoch),) = await source.fetch(_HEAD)
    return Extent(max(last or 0, mark or 0, floor or 0), floor or 0, epoch)


def new_epoch() -> str:
    """A name for a new life of a database."""
    return secrets.token_hex(4)


async def renewed(tx: Transaction, epoch: str, head: int) -> Extent:
    """How far the log reaches, under its lock; in a new epoch when it ends before what a node has had of this one.

    So after a failover to a replica that lacked the last events: numbers are given a second time, and only the
    epoch tells the new events from those that readers have.
    """
    extent = await extent_of(tx)
    if extent.epoch == epoch and extent.head < head:
        extent = extent._replace(epoch=new_epoch())
        await tx.execute("update meta set value = $1 where name = 'epoch'", extent.epoch)
    return extent


async def between(source: Source, after: int, last: int) -> list[Event]:
    """All events after a seq, up to and with the last; erased ones excepted."""
    topics: dict[int, list[str]] = {}
    for seq, topic in await source.fetch(_TOPICS_BETWEEN, after, last):
        topics.setdefault(seq, []).append(topic)
    return [event_of(row, tuple(topics.get(row[0], ()))) for row in await source.fetch(_BETWEEN, after, last)]
