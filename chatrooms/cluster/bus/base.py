"""The doorbell between nodes.

A bus is not trusted with anything that must not be lost: the log has all that is durable, each node
looks into it once a second, and whatever else is sent is only news of the moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

ALL = "all"  # the channel of every node; each has one more, by its name
MAX_WAITING = 10_000  # messages that wait to be sent; the oldest are dropped

Hear = Callable[[bytes], None]  # is given each message, in the event loop, and does not raise
Health = Callable[[bool], None]  # is told when the bus goes away, and when it is back
Answer = Callable[[bytes], None]  # answers the publisher of a message, if it asked for an answer
Take = Callable[[bytes, Answer], None]  # is given what other programs publish, as Hear


class Bus(Protocol):
    """Takes short messages from node to node.

    - It may lose messages, repeat them, and bring those of different nodes in any order.
    - `send` never blocks and never raises; what cannot be sent soon is dropped.
    - After it was away it says so (`Health`), because then something was missed.
    - A message is any bytes of UTF-8 without NUL, of any length up to 1 MiB.
    """

    async def open(self, node: str, hear: Hear, health: Health) -> None:
        """Begins to listen as that node. Raises StartFailure when it cannot be reached."""

    async def close(self) -> None:
        """Stops; what waits to be sent is sent if that can be done at once."""

    def send(self, channel: str, message: bytes) -> None:
        """Sends to ALL nodes, or to one by its name; the sender may hear it, too."""


class Intake(Protocol):
    """Where other programs publish; each message comes to one node, at most once."""

    async def open(self, take: Take) -> None:
        """Begins to take messages. Raises StartFailure when the server cannot be reached."""

    async def pause(self) -> None:
        """Takes no more, once what has come already is taken; answers can still be given."""

    async def close(self) -> None:
        """Gives the answers that wait, if that can be done at once, and stops."""


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


class LocalBus:
    """Sends nothing to nobody."""

    async def open(self, node: str, hear: Hear, health: Health) -> None:
        pass

    async def close(self) -> None:
        pass

    def send(self, channel: str, message: bytes) -> None:
        pass
