"""How far the log reaches in the database, and what lies between two places in it."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.event import Event
from chatrooms.storage.database import Source
from chatrooms.storage.group import event_of

_HEAD = """
select (select max(seq) from events), (select cast(value as bigint) from meta where name = 'floor')"""
_BETWEEN = "select seq, type, data, ref from events where seq > $1 and seq <= $2 and type <> 'erased' order by seq"
_TOPICS_BETWEEN = "select seq, topic from event_topics where seq > $1 and seq <= $2"


class Extent(NamedTuple):
    """How far the log reaches: the seq of the last event, and of the last one that was removed."""

    head: int
    floor: int


async def extent_of(source: Source) -> Extent:
    """How far the log reaches in the database, or in a transaction in it."""
    ((head, floor),) = await source.fetch(_HEAD)
    return Extent(max(head or 0, floor or 0), floor or 0)


async def between(source: Source, after: int, last: int) -> list[Event]:
    """All events after a seq, up to and with the last; erased ones excepted."""
    topics: dict[int, list[str]] = {}
    for seq, topic in await source.fetch(_TOPICS_BETWEEN, after, last):
        topics.setdefault(seq, []).append(topic)
    return [event_of(row, tuple(topics.get(row[0], ()))) for row in await source.fetch(_BETWEEN, after, last)]
