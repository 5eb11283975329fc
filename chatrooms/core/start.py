"""Where a stream starts in its topic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from chatrooms.core.hub import Hub
from chatrooms.event import parse_id
from chatrooms.storage.log import Log

MAX_MISSED = 1000  # counted for `missed`: a reader that was away for long must not keep those of others waiting


class Start(NamedTuple):
    """Where a stream starts: after the event `position`.

    `recovered` is true when there was nothing to resume, or all of it follows; `missed` counts
    what follows, up to MAX_MISSED, and is None when that cannot be known. `resumes` is true when a position was given
    and is known.
    """

    position: int
    recovered: bool
    missed: int | None
    resumes: bool = False


async def start_of(
    log: Log, hub: Hub, topic: str, asked: str, count: Callable[[int, int], Awaitable[int]] | None = None
) -> Start:
    """Where a reader of a topic starts who asks for the position `asked`; at the head for "".

    A position that is unknown, from another epoch, in the future or past retention counts as none,
    and `recovered` says so. `count` counts what follows a seq, so many at most, where that is not the
    log's topic of that name. Raises Unavailable.
    """
    wanted = parse_id(asked) if asked else None
    if wanted is not None:
        await log.reach(wanted)  # another node may have gone further
    if wanted is not None and log.knows(wanted):
        missed = hub.count_in_tail(topic, wanted.seq)
        if missed is None:
            missed = await (count(wanted.seq, MAX_MISSED) if count else log.count(topic, wanted.seq, MAX_MISSED))
        return Start(wanted.seq, True, min(missed, MAX_MISSED), True)
    return Start(log.head, not asked, None if asked else 0)
