"""Where a stream starts in its topic."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.core.hub import Hub
from chatrooms.event import parse_id
from chatrooms.storage.log import Log


class Start(NamedTuple):
    """Where a stream starts: after the event `position`.

    `recovered` is true when there was nothing to resume, or all of it follows; `missed` counts
    what follows, and is None when that cannot be known. `resumes` is true when a position was given
    and is known.
    """

    position: int
    recovered: bool
    missed: int | None
    resumes: bool = False


async def start_of(log: Log, hub: Hub, topic: str, asked: str) -> Start:
    """Where a reader of a topic starts who asks for the position `asked`; at the head for "".

    A position that is unknown, from another epoch, in the future or past retention counts as none,
    and `recovered` says so. Raises Unavailable.
    """
    wanted = parse_id(asked) if asked else None
    if wanted is not None:
        await log.reach(wanted)  # another node may have gone further
    if wanted is not None and log.knows(wanted):
        in_tail = hub.count_in_tail(topic, wanted.seq)
        missed = await log.count(topic, wanted.seq) if in_tail is None else in_tail
        return Start(wanted.seq, True, missed, True)
    return Start(log.head, not asked, None if asked else 0)
