"""Messages in parts, for a bus that takes only short ones. Pure.

A part is `<id> <number> <count> <piece>`; a message that fits is one part. Parts are cut between
characters, so that each is text by itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

HALF_DONE = 100  # messages of which some parts are here; the oldest is given up


def split(message: bytes, id: str, size: int) -> Iterator[bytes]:
    """The parts of a message, each of at most `size` bytes."""
    room = size - len(id) - 24
    pieces: list[bytes] = []
    start = 0
    while start < len(message) or not pieces:
        end = min(start + room, len(message))
        while end < len(message) and message[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        pieces.append(message[start:end])
        start = end
    for number, piece in enumerate(pieces):
        yield b"%b %d %d %b" % (id.encode(), number, len(pieces), piece)


class Joiner:
    """Puts messages together; one of which a part was lost never comes."""

    def __init__(self) -> None:
        self._half_done: OrderedDict[bytes, dict[int, bytes]] = OrderedDict()

    def join(self, part: bytes) -> bytes | None:
        """The message that this part completes, or None. Raises ValueError for what is no part."""
        id, number, count, piece = part.split(b" ", 3)
        if int(count) == 1:
            return piece
        pieces = self._half_done.setdefault(id, {})
        pieces[int(number)] = piece
        if len(pieces) < int(count):
            if len(self._half_done) > HALF_DONE:
                self._half_done.popitem(last=False)
            return None
        del self._half_done[id]
        return b"".join(pieces[n] for n in sorted(pieces))
