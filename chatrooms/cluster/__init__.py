"""The nodes that share one database: what they send each other over the bus, and the leases on their work.

The bus carries only what is true for the moment: the log has grown, users came and left, somebody is typing.
Any of it may be lost: each node polls the log once a second and rereads presence from its table (`rooms/remote.py`).
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
from chatrooms.logs import notify

MAX_CARRIED = 24 << 10  # bytes of events that go along with a ring

log = logging.getLogger(__name__)


class Ring(msgspec.Struct, tag="ring", tag_field="is"):
    """The log has grown up to `seq`, by these events of the epoch if the bus carries them."""

    node: str
    seq: int
    epoch: str = ""
    events: list[tuple[str, msgspec.Raw, tuple[str, ...], int | None]] = []


class Frame(msgspec.Struct, tag="say", tag_field="is"):
    """An ephemeral frame for the open streams of a topic."""

    node: str
    topic: str
    frame: str


class MembersChanged(msgspec.Struct, tag="seen", tag_field="is"):
    """Members that arrived on a node or left it, as (roomId, userId, username); `guests` are userIds."""

    node: str
    come: list[tuple[str, str, str]]
    gone: list[tuple[str, str, str]]
    guests: list[str] = []


class NodeDead(msgspec.Struct, tag="buried", tag_field="is"):
    """A node has died, and its members are gone."""

    node: str
    dead: str


class Rows(msgspec.Struct, tag="rows", tag_field="is"):
    """Another program has inserted rows for the outbox; sent by the database itself."""

    node: str


class Ask(msgspec.Struct, tag="ask", tag_field="is"):
    """A node missed something in a room and asks for it again."""

    node: str
    room_id: str


News = Ring | Frame | MembersChanged | NodeDead | Rows | Ask


class Listeners(NamedTuple):
    """Callbacks for what arrives over the bus.

    on_frame    an ephemeral frame from another node: its topic and its bytes
    on_members  members that arrived on another node or left it
    on_dead     the name of a node that has died
    on_rows     another program has written to the outbox
    on_ask      a room, and the node that asks for its present state
    on_health   the bus has become unavailable (False) or is back (True)
    """

    on_frame: Callable[[str, bytes], None]
    on_members: Callable[[MembersChanged], None]
    on_dead: Callable[[str], None]
    on_rows: Callable[[], None]
    on_ask: Callable[[str, str], None]
    on_health: Callable[[bool], None]


class Nodes:
    """Sends to the other nodes and listens to them. `name` is new each time the process starts."""

    def __init__(self, bus: Bus, name: str = "") -> None:
        self.name = name or secrets.token_hex(6)
        self.healthy = True
        self._bus = bus
        self._log: Log | None = None

    async def open(self, log: Log, listeners: Listeners) -> None:
        """Begins to listen. Raises StartFailure when the bus cannot be reached."""
        self._log = log
        self._listeners = listeners
        await self._bus.open(self.name, self._on_message, self._on_bus_health)
        log.ring(log.head + 1)  # events appended before this node was listening

    async def close(self) -> None:
        await self._bus.close()

    def ring(self, events: Sequence[Event]) -> None:
        """Tells all nodes that this one has appended events; small ones go along, so that nobody need read them."""
        ring = Ring(self.name, events[-1].seq)
        if self._bus.carries_events and self._log and sum(len(event.data) for event in events) < MAX_CARRIED:
            ring.epoch = self._log.epoch
            ring.events = [(event.type, msgspec.Raw(event.data), event.topics, event.ref) for event in events]
        self._send(ALL, ring)

    def send(self, nodes: Sequence[str], topic: str, frame: bytes) -> None:
        """Sends an ephemeral frame to the readers of a topic on other nodes."""
        for node in nodes:
            self._send(node, Frame(self.name, topic, frame.decode()))

    def send_members(
        self, come: list[tuple[str, str, str]], gone: list[tuple[str, str, str]], guests: list[str]
    ) -> None:
        """Announces members that arrived on this node, the guests among them, and members that left it."""
        self._send(ALL, MembersChanged(self.name, come, gone, guests))

    def send_dead(self, node: str) -> None:
        """Announces that a node is dead."""
        self._send(ALL, NodeDead(self.name, node))

    def ask(self, room_id: str) -> None:
        """Asks all nodes for the present state of a room."""
        self._send(ALL, Ask(self.name, room_id))

    def _send(self, channel: str, news: News) -> None:
        self._bus.send(channel, msgspec.json.encode(news))

    def _on_message(self, message: bytes) -> None:
        try:
            news = msgspec.json.decode(message, type=News)
        except msgspec.MsgspecError:
            log.warning("ignored a message on the bus that is not from chatrooms")
            return
        if news.node != self.name:
            notify(self._dispatch, news)

    def _dispatch(self, news: News) -> None:
        if isinstance(news, Ring):
            self._on_ring(news)
        elif isinstance(news, Frame):
            self._listeners.on_frame(news.topic, news.frame.encode())
        elif isinstance(news, MembersChanged):
            self._listeners.on_members(news)
        elif isinstance(news, Rows):
            self._listeners.on_rows()
        elif isinstance(news, Ask):
            self._listeners.on_ask(news.room_id, news.node)
        elif news.dead != self.name:  # else this node was asleep: its next heartbeat takes a new lease
            self._listeners.on_dead(news.dead)

    def _on_ring(self, ring: Ring) -> None:
        assert self._log is not None
        first = ring.seq - len(ring.events) + 1
        events = [
            Event(type, bytes(data), topics, ref=ref, seq=seq)
            for seq, (type, data, topics, ref) in enumerate(ring.events, first)
        ]
        if events:
            self._log.receive(ring.epoch, events)
        else:
            self._log.ring(ring.seq)

    def _on_bus_health(self, healthy: bool) -> None:
        self.healthy = healthy
        if healthy and self._log:
            self._log.ring(self._log.head + 1)  # a ring may have been missed
        notify(self._listeners.on_health, healthy)


WORK_LEASE = 15.0  # seconds for which a node counts as alive after its last renewal
LEASE_INTERVAL = WORK_LEASE / 3  # seconds between two renewals
AFTER_ALL_LEASES = 1 << 53  # milliseconds since 1970: after the expiry of every lease


class Lease:
    """This process's claim on its work, good for as long as it is renewed; `node` is new each time the process starts.

    Rows of work (AI replies, tasks) carry `node` and `lease_until`. Any live node ends those whose lease has expired.
    """

    def __init__(self) -> None:
        self.node = secrets.token_hex(8)

    def until(self) -> int:
        """When a lease taken or renewed now expires, in milliseconds since 1970."""
        return now_ms() + int(WORK_LEASE * 1000)

    def run_out(self, alone: bool) -> int:
        """The time before which leases count as expired: all of them when no other node can be alive."""
        return AFTER_ALL_LEASES if alone else now_ms()


async def renew_leases(tx: Transaction, table: str, node: str, lease_until: int) -> None:
    """Extends a node's lease on all of its unfinished work."""
    await tx.execute(f"update {table} set lease_until = $1 where node = $2 and ended_at is null", lease_until, node)


async def orphans(source: Source, table: str, columns: str, node: str, now: int) -> list[Row]:
    """Unfinished work of other nodes whose lease expired before `now`."""
    sql = f"select {columns} from {table} where ended_at is null and lease_until < $1 and node <> $2"
    return await source.fetch(sql, now, node)
