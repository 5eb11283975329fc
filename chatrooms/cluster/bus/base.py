"""The bus between nodes.

It is not trusted with anything that must not be lost: everything durable is in the log, which each node polls
once a second, and whatever else is sent is only true for the moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

ALL = "all"  # the channel of every node; each has one more, by its name
MAX_WAITING = 10_000  # messages waiting to be sent; the oldest are dropped

OnMessage = Callable[[bytes], None]  # gets each message, in the event loop; does not raise
OnHealth = Callable[[bool], None]  # called with False when the bus becomes unavailable and with True when it is back
Answer = Callable[[bytes], None]  # answers the publisher of a message, if it asked for an answer
OnPublished = Callable[[bytes, Answer], None]  # gets what other programs publish, like OnMessage


class Bus(Protocol):
    """Carries short messages between nodes.

    - It may lose messages, repeat them, and bring those of different nodes in any order.
    - `send` never blocks and never raises; what cannot be sent soon is dropped.
    - After it was away it says so (`OnHealth`), because then something was missed.
    - A message is any bytes of UTF-8 without NUL, of any length up to 1 MiB.
    """

    async def open(self, node: str, on_message: OnMessage, on_health: OnHealth) -> None:
        """Begins to listen as that node. Raises StartFailure when it cannot be reached."""

    async def close(self) -> None:
        """Stops; waiting messages are sent if that is possible at once."""

    def send(self, channel: str, message: bytes) -> None:
        """Sends to ALL nodes, or to one by its name; the sender may get it, too."""


class Intake(Protocol):
    """Where other programs publish; each message comes to one node, at most once."""

    async def open(self, on_published: OnPublished) -> None:
        """Begins to take messages. Raises StartFailure when the server cannot be reached."""

    async def pause(self) -> None:
        """Takes no further messages after those already received; answers can still be given."""

    async def close(self) -> None:
        """Sends waiting answers, if that is possible at once, and stops."""


HALF_DONE = 100  # incomplete messages kept; beyond it the oldest is given up


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
    """Reassembles messages; one that lost a part never completes."""

    def __init__(self) -> None:
        self._half_done: OrderedDict[bytes, dict[int, bytes]] = OrderedDict()

    def join(self, part: bytes) -> bytes | None:
        """The message that this part completes, or None. Raises ValueError for malformed input."""
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
    """For a single node: sends nothing."""

    async def open(self, node: str, on_message: OnMessage, on_health: OnHealth) -> None:
        pass

    async def close(self) -> None:
        pass

    def send(self, channel: str, message: bytes) -> None:
        pass
