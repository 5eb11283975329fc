"""The bus between nodes.

It is not trusted with anything that must not be lost: everything durable is in the log, which each node polls
once a second, and whatever else is sent is only true for the moment.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import socket
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from mmap import mmap
from typing import NamedTuple, Protocol

ALL = "all"  # the channel of every node; each has one more, by its name
MAX_WAITING = 10_000  # messages waiting to be sent; the oldest are dropped

log = logging.getLogger(__name__)

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
    - It carries events (`carries_events`) only where nobody but nodes of the same database can send.
    """

    carries_events: bool

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

    carries_events = False

    async def open(self, node: str, on_message: OnMessage, on_health: OnHealth) -> None:
        pass

    async def close(self) -> None:
        pass

    def send(self, channel: str, message: bytes) -> None:
        pass


MAX_PART = 32 << 10  # bytes in one packet
BUFFER = 1 << 20  # bytes that the kernel may hold for one worker; it may allow less
AT_ONCE = 200  # packets read before the event loop gets its turn
METRICS_SIZE = 128 << 10  # bytes of shared memory for the metrics of one worker, as text, twice
COUNTS_SIZE = 2 << 20  # for its streams by topic, of which some 20,000 fit


class SharedMemory:
    """Memory of all workers: each writes to a slot of its own, of `size` bytes, and all read it.

    A slot has two halves. The one that is not current is written and then becomes current, so that nobody waits.
    """

    def __init__(self, slots: int, size: int) -> None:
        self._memory = mmap(-1, slots * size)
        self._size = size

    def write(self, slot: int, data: bytes) -> None:
        """Replaces what a slot holds, unless it is too large."""
        start = slot * self._size
        half = 1 - self._memory[start]
        begin = self._begin(slot, half)
        if len(data) > self._size // 2 - 8:
            return log.debug("%d bytes are too many to be shared with other workers", len(data))
        self._memory[begin - 4 : begin] = len(data).to_bytes(4, "big")
        self._memory[begin : begin + len(data)] = data
        self._memory[start] = half

    def read(self, slot: int) -> bytes:
        """What a slot holds; nothing at first."""
        begin = self._begin(slot, self._memory[slot * self._size])
        length = int.from_bytes(self._memory[begin - 4 : begin], "big")
        return self._memory[begin : begin + length]

    def _begin(self, slot: int, half: int) -> int:
        return slot * self._size + 8 + half * (self._size // 2 - 2)


class Worker(NamedTuple):
    """One of several processes that serve one port.

    number     from 1; the worker that replaces it has the same
    name       the name of its node, new with each process
    alone      no other worker is running
    ended      the nodes of workers that ended before this one started
    port       where it listens, together with the others
    control    tells the supervisor that this one is ready; says which nodes have ended; closed with the supervisor
    inbox      where it receives messages; `outboxes` lead to the others, by number
    metrics    those of all workers; slot 0 has those of workers that have ended
    counts     the open streams of all workers by topic
    """

    number: int
    name: str
    alone: bool
    ended: tuple[str, ...]
    port: int
    control: socket.socket
    inbox: socket.socket
    outboxes: Mapping[int, socket.socket]
    metrics: SharedMemory
    counts: SharedMemory


def node_name(number: int) -> str:
    """A new name for the node of a worker; it begins with the number."""
    return f"{number:02x}{secrets.token_hex(5)}"


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that carry whole packets and never block."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return ends


class WorkerBus:
    """Carries messages through one socket pair per worker: all others write to its one end, and it reads the other.

    A worker that does not read has as many waiting for it as the kernel holds, and MAX_WAITING packets here.
    """

    carries_events = True

    def __init__(self, worker: Worker) -> None:
        self._node = worker.name
        self._inbox = worker.inbox
        self._outboxes = worker.outboxes
        self._waiting: dict[int, deque[bytes]] = {n: deque(maxlen=MAX_WAITING) for n in worker.outboxes}
        self._joiner = Joiner()
        self._numbers = itertools.count()
        self._loop = asyncio.get_running_loop()

    async def open(self, node: str, on_message: OnMessage, on_health: OnHealth) -> None:
        self._on_message = on_message
        while self._packet() is not None:  # for the worker that was here before
            pass
        self._loop.add_reader(self._inbox, self._read)

    async def close(self) -> None:
        self._loop.remove_reader(self._inbox)
        for number, waiting in self._waiting.items():
            if waiting:
                self._loop.remove_writer(self._outboxes[number])
                waiting.clear()

    def send(self, channel: str, message: bytes) -> None:
        numbers = [*self._outboxes] if channel == ALL else [int(channel[:2], 16)]
        for part in split(message, f"{self._node}-{next(self._numbers)}", MAX_PART):
            for number in numbers:
                if number in self._outboxes:
                    self._send_to(number, part)

    def _send_to(self, number: int, packet: bytes) -> None:
        waiting, outbox = self._waiting[number], self._outboxes[number]
        if waiting or not _sent(outbox, packet):
            if not waiting:
                self._loop.add_writer(outbox, self._flush, number)
            waiting.append(packet)

    def _flush(self, number: int) -> None:
        waiting, outbox = self._waiting[number], self._outboxes[number]
        while waiting and _sent(outbox, waiting[0]):
            waiting.popleft()
        if not waiting:
            self._loop.remove_writer(outbox)

    def _packet(self) -> bytes | None:
        try:
            return self._inbox.recv(MAX_PART)
        except BlockingIOError:
            return None

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            packet = self._packet()
            if not packet:
                return
            message = self._joiner.join(packet)
            if message is not None:
                self._on_message(message)


def _sent(outbox: socket.socket, packet: bytes) -> bool:
    """Sends a packet if there is room for it."""
    try:
        outbox.send(packet)
    except BlockingIOError:
        return False
    except OSError as error:  # no memory for it: news of the moment
        log.debug("not sent: %s", error)
    return True
