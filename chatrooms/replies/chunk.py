"""A `bot-chunk`: some text of a reply that is being written in a room. Pure."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import sse

EVENT = "bot-chunk"


class Chunk(msgspec.Struct, rename="camel"):
    """Its data: the text of the pieces from `start` to `index`, of which the next chunk starts one on.

    The last one (`is_final`) has the index one beyond the last piece. With `reset` the text is all that
    the room was told so far.
    """

    message_id: str
    room_id: str
    chunk: str
    index: int
    start: int
    is_final: bool = False
    state: str | UnsetType = UNSET
    by: str | UnsetType = UNSET
    position: int | UnsetType = UNSET
    reset: bool | UnsetType = UNSET


def frame_of(chunk: Chunk) -> bytes:
    """The event on the wire."""
    return sse.encode(msgspec.json.encode(chunk), EVENT)


def chunk_of(frame: bytes) -> Chunk | None:
    """The chunk that a frame brings; None for any other event. Raises msgspec.MsgspecError for a broken one."""
    for event in sse.Parser().feed(frame) if frame.startswith(b"event: bot-chunk\n") else ():
        return msgspec.json.decode(event.data, type=Chunk)
    return None
