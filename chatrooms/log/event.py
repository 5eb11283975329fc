"""An event: one thing that happened, its topics, and its place in the log. Pure.

The id on the wire is `<epoch>-<seq>`. `epoch` names one life of one database (made new by a
restore), so that a position from another one is recognised instead of misread.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

CONTROL = "control"  # the topic of orders that every node applies: revoke, kick, rules changed
MAX_SEQ = 2**53 - 1  # the largest integer that JavaScript holds exactly

PURGED = "log-purged"  # the order to drop cached events of the log: they are about to be removed

_ID = re.compile(r"([0-9a-z]{1,16})-(0|[1-9][0-9]{0,15})\Z", re.ASCII)


class Event(msgspec.Struct, gc=False):
    """One durable event. `seq` is 0 until the log has committed it.

    type    the name on the wire, as `room-message`
    data    a JSON object in UTF-8 without its `id`, which is spliced in when the event is encoded
    topics  the topics whose readers get it, as `("room:lobby",)`
    key     for idempotency: a second event with the same key is not appended, the first is returned
    ref     the `seq` of the event that this one is about (an edit's message), or None
    """

    type: str
    data: bytes
    topics: tuple[str, ...]
    key: str | None = None
    ref: int | None = None
    seq: int = 0


class Position(NamedTuple):
    """A place in the log as a client gave it: after the event `seq` of that epoch."""

    epoch: str
    seq: int


def purged(until: int = MAX_SEQ) -> Event:
    """The order to every node to drop events up to that seq from its tails, before they are removed."""
    return Event(PURGED, msgspec.json.encode({"until": until}), (CONTROL,))


def event_id(epoch: str, seq: int) -> str:
    """The id on the wire of the event `seq`."""
    return f"{epoch}-{seq}"


def parse_id(text: str) -> Position | None:
    """The position that an id names; None for anything else."""
    match = _ID.match(text)
    if match is None or int(match[2]) > MAX_SEQ:
        return None
    return Position(match[1], int(match[2]))


def identified(data: bytes, id: str) -> bytes:
    """The JSON object `data` with `"id"` as its first member. Ids need no escaping."""
    separator = b"" if data == b"{}" else b","
    return b'{"id":"' + id.encode() + b'"' + separator + data[1:]
