"""The nodes of one database: what they tell each other over the bus.

Only news of the moment: that the log has grown, who came and went, what is typed. All of it may be
lost; the log is looked into once a second, and presence is read again from its table (`rooms/remote.py`).
And the leases by which a node owns what it works on.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from chatrooms.clock import now_ms
from chatrooms.cluster.bus.base import ALL, Bus
from chatrooms.log.database import Row, Source, Transaction
from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.logs import tell

log = logging.getLogger(__name__)


class Ring(msgspec.Struct, tag="ring", tag_field="is"):
    """The log reaches that far."""

    node: str
    seq: int


class Say(msgspec.Struct, tag="say", tag_field="is"):
    """An ephemeral frame for the open streams of a topic."""

    node: str
    topic: str
    frame: str


class Seen(msgspec.Struct, tag="seen", tag_field="is"):
    """Who came to that node and who left it, as (roomId, userId, username); `guests` are userIds."""

    node: str
    come: list[tuple[str, str, str]]
    gone: list[tuple[str, str, str]]
    guests: list[str] = []


class Buried(msgspec.Struct, tag="buried", tag_field="is"):
    """A node is dead, with all who were there."""

    node: str
    dead: str


class Rows(msgspec.Struct, tag="rows", tag_field="is"):
    """Another program has inserted rows for the log; told by the database itself."""

    node: str


class Ask(msgspec.Struct, tag="ask", tag_field="is"):
    """That node lacks some of what was said in a room."""

    node: str
    room_id: str


News = Ring | Say | Seen | Buried | Rows | Ask


class Listeners(NamedTuple):
    """Who is told what comes over the bus.

    on_frame   gets each ephemeral frame of another node, and its topic
    on_seen    gets who came to another node and who left it
    on_dead    gets the name of a node that has died
    on_rows    is called when another program has written to the outbox
    on_ask     gets the room, and the node that wants to hear what is going on there
    on_health  is told when the bus goes away, and when it is back
    """

    on_frame: Callable[[str, bytes], None]
    on_seen: Callable[[Seen], None]
    on_dead: Callable[[str], None]
    on_rows: Callable[[], None]
    on_ask: Callable[[str, str], None]
    on_health: Callable[[bool], None]


class Nodes:
    """What this node tells the others, and hears of them. `name` is new with each life of the process."""

    def __init__(self, bus: Bus) -> None:
        self.name = secrets.token_hex(6)
        self.healthy = True
        self._bus = bus

    async def open(self, log: Log, listeners: Listeners) -> None:
        """Begins to listen. Raises StartFailure when the bus cannot be reached."""
        self._log = log
        self._listeners = listeners
        await self._bus.open(self.name, self._hear, self._tell_health)
        log.ring(log.head + 1)  # what was appended before somebody listened here

    async def close(self) -> None:
        await self._bus.close()

    def ring(self, events: Sequence[Event]) -> None:
        """Tells all nodes that this one has appended events."""
        self._send(ALL, Ring(self.name, events[-1].seq))

    def send(self, nodes: Sequence[str], topic: str, frame: bytes) -> None:
        """Gives an ephemeral frame to the readers of a topic on other nodes."""
        for node in nodes:
            self._send(node, Say(self.name, topic, frame.decode()))

    def send_seen(self, come: list[tuple[str, str, str]], gone: list[tuple[str, str, str]], guests: list[str]) -> None:
        """Tells who came to this node, which of those are guests, and who left it."""
        self._send(ALL, Seen(self.name, come, gone, guests))

    def send_dead(self, node: str) -> None:
        """Tells that a node is dead."""
        self._send(ALL, Buried(self.name, node))

    def ask(self, room_id: str) -> None:
        """Asks all nodes to say again what is going on in a room."""
        self._send(ALL, Ask(self.name, room_id))

    def _send(self, channel: str, news: News) -> None:
        self._bus.send(channel, msgspec.json.encode(news))

    def _hear(self, message: bytes) -> None:
        try:
            news = msgspec.json.decode(message, type=News)
        except msgspec.MsgspecError:
            log.warning("the bus brought what is not ours")
            return
        if news.node != self.name:
            tell(self._take, news)

    def _take(self, news: News) -> None:
        if isinstance(news, Ring):
            self._log.ring(news.seq)
        elif isinstance(news, Say):
            self._listeners.on_frame(news.topic, news.frame.encode())
        elif isinstance(news, Seen):
            self._listeners.on_seen(news)
        elif isinstance(news, Rows):
            self._listeners.on_rows()
        elif isinstance(news, Ask):
            self._listeners.on_ask(news.room_id, news.node)
        elif news.dead != self.name:  # else it was asleep: it takes a new lease with its next beat
            self._listeners.on_dead(news.dead)

    def _tell_health(self, healthy: bool) -> None:
        self.healthy = healthy
        if healthy:
            self._log.ring(self._log.head + 1)  # a ring may have been missed
        tell(self._listeners.on_health, healthy)


WORK_LEASE = 15.0  # seconds that a node is trusted to live after it was last heard of
LEASE_INTERVAL = WORK_LEASE / 3  # seconds between two renewals
EVERYBODY = 1 << 53  # milliseconds since 1970 by which all leases have run out


class Lease:
    """What this process works on is its own for as long as it renews that; `node` is new with each of its lives.

    Rows of work (AI replies, tasks) carry `node` and `lease_until`; any living node ends those whose lease ran out.
    """

    def __init__(self) -> None:
        self.node = secrets.token_hex(8)

    def until(self) -> int:
        """When a lease that is taken or renewed now ends, in milliseconds since 1970."""
        return now_ms() + int(WORK_LEASE * 1000)

    def run_out(self, alone: bool) -> int:
        """Leases that end before that time are void; when no other node can be alive, all of them."""
        return EVERYBODY if alone else now_ms()


async def renew_leases(tx: Transaction, table: str, node: str, lease_until: int) -> None:
    """Extends the lease of a node on all that it still works on."""
    await tx.execute(f"update {table} set lease_until = $1 where node = $2 and ended_at is null", lease_until, node)


async def orphans(source: Source, table: str, columns: str, node: str, now: int) -> list[Row]:
    """Unfinished work of other nodes whose lease ran out before `now`."""
    sql = f"select {columns} from {table} where ended_at is null and lease_until < $1 and node <> $2"
    return await source.fetch(sql, now, node)
