"""Presence across nodes: the members of rooms on the other nodes of a shared database.

Each node writes its own members to a table and then tells the others over the bus. They keep all members in
memory and reread the table when the bus was unavailable, and now and then. A table rather than heartbeats that
list all members: whatever the bus loses is found again, and a new node needs one query. A node renews its lease
every BEAT. One that has not done so for NODE_LEASE is declared dead by any other; its members leave, except
those that are on another node by then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from chatrooms.cluster import MembersChanged, Nodes
from chatrooms.log.database import Database, Transaction
from chatrooms.rooms.presence import Key
from chatrooms.rooms.rooms import Rooms

BEAT = 1.0  # seconds between two renewals of the lease
NODE_LEASE = (
    8.0  # seconds; longer than the retry of a drain plus the grace, or readers told to reconnect would seem to leave
)
REFRESH = 30.0  # seconds after which the table is reread, whatever the bus says
RETRY = 1.0  # seconds until a failed write is tried again
MEMBER_BATCH = 2000  # members read or entered before the event loop gets its turn, so that the lease is renewed in time
ROOM_BATCH = 100
MEMBERS_PER_MESSAGE = 50  # members in one message

log = logging.getLogger(__name__)


class PresenceChanges:
    """Members that arrived on this node or left it and are not written yet: the latest state of each."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, Key], bool] = {}
        self._changed = asyncio.Event()

    def note(self, room_id: str, key: Key, here: bool) -> None:
        """A member arrived in a room (`here`) or left it."""
        self._changes[room_id, key] = here
        self._changed.set()

    async def take(self) -> dict[tuple[str, Key], bool]:
        """Waits for changes and takes all of them."""
        await self._changed.wait()
        self._changed.clear()
        changes, self._changes = self._changes, {}
        return changes

    def put_back(self, changes: dict[tuple[str, Key], bool]) -> None:
        """Returns changes that could not be written; those noted since are newer."""
        self._changes = {**changes, **self._changes}
        self._changed.set()


class RemotePresence:
    """Tells other nodes the members on this one, and the rooms of this node the members on others.

    `on_arrival` gets a room and a node that has just got its first member there: from that step on the node
    receives the room's ephemerals.
    """

    def __init__(
        self, database: Database, nodes: Nodes, rooms: Rooms, changes: PresenceChanges,
        on_arrival: Callable[[str, str], None], clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._database = database
        self._nodes = nodes
        self._rooms = rooms
        self._clock = clock
        self._changes = changes
        self._on_arrival = on_arrival
        self._seen: dict[str, tuple[int, float]] = {}
        self._ended: dict[str, float] = {}
        self._missing: set[str] = set()
        self._meanwhile: dict[Whereabouts, bool] | None = None
        self._refresh_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, alone: bool = False) -> None:
        """Takes a lease and reads the members on other nodes; removes those nodes if this one is `alone`.

        Raises Unavailable.
        """
        if alone:
            async with self._database.transaction() as tx:
                await tx.execute("delete from nodes")
                await tx.execute("delete from presence")
        await self._beat()
        self._tasks = [asyncio.create_task(self._keep_beating()), asyncio.create_task(self._keep_writing())]

    async def close(self) -> None:
        """Stops. The lease is left to expire: members of a stopping node are expected on another."""
        for task in self._tasks:
            task.cancel()

    def on_ended(self, node: str, grace: float) -> None:
        """The process of a node has ended: it is dead in `grace` seconds, whatever its lease says."""
        self._ended[node] = self._clock() + grace

    def refresh(self) -> None:
        """Rereads the table with the next beat: something may have been missed."""
        self._refresh_at = 0.0

    # This node's members

    async def _keep_writing(self) -> None:
        while True:
            changes = await self._changes.take()
            try:
                await self._write(changes)
            except Exception as error:
                log.debug("presence is not written: %s", error)
                self._changes.put_back(changes)
                await asyncio.sleep(RETRY)

    async def _write(self, changes: dict[tuple[str, Key], bool]) -> None:
        """The table first, then the bus: a node that read the table before hears of the change after."""
        come = [(self._of(*place), self._is_guest(*place)) for place, here in changes.items() if here]
        gone = [self._of(*place) for place, here in changes.items() if not here]
        async with self._database.transaction(durable=False) as tx:  # live nodes write again what a crash loses
            await write_presence(tx, come, gone)
        for start in range(0, len(come), MEMBERS_PER_MESSAGE):
            rows = come[start : start + MEMBERS_PER_MESSAGE]
            self._nodes.send_members([row[1:] for row, _ in rows], [], [row.user_id for row, guest in rows if guest])
        for start in range(0, len(gone), MEMBERS_PER_MESSAGE):
            self._nodes.send_members([], [row[1:] for row in gone[start : start + MEMBERS_PER_MESSAGE]], [])

    def _of(self, room_id: str, key: Key) -> Whereabouts:
        return Whereabouts(self._nodes.name, room_id, *key)

    def _is_guest(self, room_id: str, key: Key) -> bool:
        presence = self._rooms.find_presence(room_id)
        return presence is not None and presence.is_guest(key)

    # The other nodes

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            try:
                await self._beat()
            except Exception as error:
                log.debug("the lease is not renewed: %s", error)
                self._seen.clear()  # nobody can renew without the database: start counting again

    async def _beat(self) -> None:
        async with self._database.transaction(durable=False) as tx:
            known = await write_beat(tx, self._nodes.name, self._database.now)
        if not known:
            for room_id, presence in self._rooms.presences():
                for key in presence.here():
                    self._changes.note(room_id, key, True)
        living = await living_nodes(self._database)
        await self._remove_dead(living)
        self._drop_unknown(living)
        if self._clock() >= self._refresh_at:
            await self._read_all()
            self._refresh_at = self._clock() + REFRESH

    async def _remove_dead(self, living: dict[str, int]) -> None:
        now = self._clock()
        for node, seen_at in living.items():
            before = self._seen.get(node)
            if before is None or before[0] != seen_at:
                self._seen[node] = (seen_at, now)
            elif now > self._ended.get(node, before[1] + NODE_LEASE) and node != self._nodes.name:
                await self._remove(node, seen_at)

    async def _remove(self, node: str, seen_at: int) -> None:
        async with self._database.transaction() as tx:
            removed = await declare_dead(tx, node, seen_at)
        if removed:
            log.info("node %s has died", node)
            self._nodes.send_dead(node)
            self.drop(node)

    def _drop_unknown(self, living: dict[str, int]) -> None:
        """Drops nodes found without a lease twice in a row: this node missed the news of their death."""
        missing = self._others() - living.keys()
        for node in missing & self._missing:
            self.drop(node)
        self._missing = missing
        for node in self._seen.keys() - living.keys():
            del self._seen[node]
            self._ended.pop(node, None)

    def drop(self, node: str) -> None:
        """Removes the members of a node that has died."""
        for _, presence in self._rooms.presences():
            for key in presence.on_node(node):
                presence.leave_elsewhere(key, node)

    def _others(self) -> set[str]:
        """The other nodes that have members."""
        return {node for _, presence in self._rooms.presences() for node in presence.nodes}

    async def _read_all(self) -> None:
        """Makes the members in memory those of the table and of the news received meanwhile, some at a time."""
        self._meanwhile = {}
        try:
            rows = await self._rows()
            for row in await self._held():
                if row not in rows and not self._meanwhile.get(row):
                    self._leave(row)
            for number, (row, guest) in enumerate(rows.items()):
                if self._meanwhile.get(row, True):
                    self._enter(row, guest)
                if number % MEMBER_BATCH == 0:
                    await asyncio.sleep(0)
        finally:
            self._meanwhile = None

    async def _rows(self) -> dict[Whereabouts, bool]:
        """The members on other nodes according to the table, and whether they are guests."""
        rows: dict[Whereabouts, bool] = {}
        last = Whereabouts("", "", "", "")
        while page := await members_elsewhere(self._database, self._nodes.name, last, MEMBER_BATCH):
            rows.update(page)
            last = page[-1][0]
        return rows

    async def _held(self) -> list[Whereabouts]:
        """The members on other nodes according to memory."""
        held: list[Whereabouts] = []
        for number, (room_id, presence) in enumerate(self._rooms.presences()):
            held += [Whereabouts(node, room_id, *key) for node in presence.nodes for key in presence.on_node(node)]
            if number % ROOM_BATCH == 0:
                await asyncio.sleep(0)
        return held

    def on_members(self, change: MembersChanged) -> None:
        """Applies the arrivals and departures of another node."""
        for place in change.come:
            self._enter(self._note_change(Whereabouts(change.node, *place), True), place[1] in change.guests)
        for place in change.gone:
            self._leave(self._note_change(Whereabouts(change.node, *place), False))

    def _note_change(self, row: Whereabouts, there: bool) -> Whereabouts:
        """Notes news that arrives while the table is being read: the rows may be older."""
        if self._meanwhile is not None:
            self._meanwhile[row] = there
        return row

    def _leave(self, row: Whereabouts) -> None:
        presence = self._rooms.find_presence(row.room_id)  # one that came and left within a write was never announced
        if presence is not None:
            presence.leave_elsewhere((row.user_id, row.username), row.node)

    def _enter(self, row: Whereabouts, guest: bool) -> None:
        presence = self._rooms.presence_of(row.room_id)
        arrives = row.node not in presence.nodes
        presence.enter_elsewhere((row.user_id, row.username), row.node, guest)
        if arrives:
            self._on_arrival(row.room_id, row.node)


class Whereabouts(NamedTuple):
    """One member of one room, on one node."""

    node: str
    room_id: str
    user_id: str
    username: str


async def write_beat(tx: Transaction, node: str, now: str) -> bool:
    """Renews a node's lease; false when it had none, so its rows may have been removed. `now` is SQL."""
    if await tx.fetch(f"update nodes set seen_at = {now} where node = $1 returning 1", node):
        return True
    await tx.execute(f"insert into nodes (node, seen_at) values ($1, {now})", node)
    return False


async def living_nodes(database: Database) -> dict[str, int]:
    """When each node last renewed its lease, by the database's clock; empty where the database is not shared."""
    if not database.shared:
        return {}
    return {node: seen_at for node, seen_at in await database.fetch("select node, seen_at from nodes")}


async def is_alive(database: Database, node: str) -> bool:
    """Whether another node of that name shares the database. Raises Unavailable."""
    return node in await living_nodes(database)


async def declare_dead(tx: Transaction, node: str, seen_at: int) -> bool:
    """Removes a node that has not renewed since `seen_at`; false if it has, or if another node was quicker."""
    if not await tx.fetch("delete from nodes where node = $1 and seen_at = $2 returning 1", node, seen_at):
        return False
    await tx.execute("delete from presence where node = $1", node)
    return True


async def write_presence(
    tx: Transaction, come: Sequence[tuple[Whereabouts, bool]], gone: Sequence[Whereabouts]
) -> None:
    sql = """insert into presence values ($1, $2, $3, $4, $5)
        on conflict (node, room_id, user_id, username) do update set guest = excluded.guest"""
    await tx.executemany(sql, [(*row, int(guest)) for row, guest in come])
    sql = "delete from presence where node = $1 and room_id = $2 and user_id = $3 and username = $4"
    await tx.executemany(sql, gone)


async def members_elsewhere(
    database: Database, node: str, after: Whereabouts, limit: int
) -> list[tuple[Whereabouts, bool]]:
    """The next members on other nodes, in order, after one; and whether they are guests."""
    sql = (
        "select node, room_id, user_id, username, guest from presence where node <> $1 "
        "and (node, room_id, user_id, username) > ($2, $3, $4, $5) order by node, room_id, user_id, username limit $6"
    )
    return [(Whereabouts(*row[:4]), bool(row[4])) for row in await database.fetch(sql, node, *after, limit)]
