"""Memberships: a user has joined a room durably; being there at the moment is presence.

A membership begins with the first stream of the room, on request, or with an invite; it ends on request, or by a
kick or ban. Joining and leaving are events of the user's own topic and of `control`, because every node keeps
track of the rooms its personal streams carry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from itertools import islice

import msgspec

from chatrooms.clock import now_ms
from chatrooms.errors import Conflict, Problem
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.database import Transaction
from chatrooms.log.event import CONTROL, Event
from chatrooms.log.log import Log
from chatrooms.options import Options
from chatrooms.rooms.joined import MAX_PAIRS, Asked, Pair, add, look_up, remove
from chatrooms.rooms.rules import Act, forbidden

JOINED = "room-joined"
LEFT = "room-left"


class Membership(msgspec.Struct, rename="camel", omit_defaults=True):
    """The data of `room-joined` and `room-left`.

    `timestamp` in milliseconds since 1970; `reason` of an end: left, kicked, banned.
    """

    room_id: str
    user_id: str
    timestamp: int
    reason: str | None = None

    @classmethod
    def of(cls, event: Event) -> Membership:
        return msgspec.json.decode(event.data, type=cls)


def joined(user_id: str, room_id: str) -> Event:
    """The event that a user has joined a room."""
    return _event(JOINED, Membership(room_id, user_id, now_ms()))


def left(user_id: str, room_id: str, reason: str) -> Event:
    """The event that a user has left a room or was removed from it."""
    return _event(LEFT, Membership(room_id, user_id, now_ms(), reason))


def _event(type: str, membership: Membership) -> Event:
    return Event(type, msgspec.json.encode(membership), (topic_of_user(membership.user_id), CONTROL))


def topic_of_user(user_id: str) -> str:
    """The topic of a user's own events."""
    return f"user:{user_id}"


KNOWN = 100_000  # memberships remembered
WAITING = 10_000  # joins waiting to be written; beyond it, the next stream of the room tries again
RETRY = 1.0  # seconds until failed joins are tried again

# Acts that end a membership; their names are also the reasons sent to clients.
_ENDS = ("left", "kicked", "banned")

log = logging.getLogger(__name__)


class Memberships:
    """Joins and leaves. A known join costs nothing; a new one waits for the next commit."""

    def __init__(self, log: Log, quotas: Quotas, options: Options) -> None:
        self._log = log
        self._quotas = quotas
        self._most: int = options.max_rooms_per_user
        self._known: dict[Pair, None] = {}
        self._waiting: dict[Pair, bool] = {}
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._left = 0  # how often somebody has left a room

    async def close(self) -> None:
        """Writes pending joins, if the database accepts them."""
        self._closing = True
        if self._writer is not None:
            await self._writer

    def note(self, user_id: str, room_id: str, trusted: bool) -> None:
        """A user has opened a stream of a room: joins it soon, unless already joined, if `join` would.

        The stream does not wait for it.
        """
        pair = (user_id, room_id)
        if pair in self._known or pair in self._waiting or self._closing or len(self._waiting) >= WAITING:
            return
        self._waiting[pair] = trusted
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    async def join(self, who: Identity, room_id: str) -> None:
        """Joins a room that `who` may read; returns when that is durable.

        Raises Forbidden for one that closed meanwhile; Conflict beyond `max-rooms-per-user`; TooMany for
        too many rooms that do not exist; Unavailable.
        """
        pair = (who.user_id, room_id)
        if pair not in self._known:
            refused = await self._join({pair: who.trusted})
            if pair in refused:
                raise refused[pair]

    async def leave(self, who: Identity, room_id: str) -> None:
        """Leaves a room; harmless if it was not joined. Raises Unavailable."""

        async def command(tx: Transaction) -> list[Event]:
            there = await remove(tx, who.user_id, room_id)
            return [left(who.user_id, room_id, "left")] if there else []

        await self._log.append((), command)

    async def _write(self) -> None:
        while self._waiting:
            some = dict(islice(self._waiting.items(), MAX_PAIRS))
            try:
                await self._join(some)
            except Exception as error:
                log.warning("joining rooms waits: %s", error)
                if self._closing:
                    break
                await asyncio.sleep(RETRY)
            else:
                for pair in some:
                    del self._waiting[pair]
        self._writer = None

    async def _join(self, pairs: Mapping[Pair, bool]) -> Mapping[Pair, Problem]:
        """Joins users to rooms; `pairs` says whether each is exempt. Returns those refused, and why."""
        refused: dict[Pair, Problem] = {}
        before: set[Pair] = set()
        left_then = 0

        async def command(tx: Transaction) -> list[Event]:
            nonlocal before, left_then
            refused.clear()
            asked = await look_up(tx, pairs, now_ms())
            before, left_then = asked.joined, self._left
            new = []
            for pair in pairs:
                if pair in asked.joined:
                    continue
                try:
                    self._check(pair, pairs[pair], asked)
                except Problem as problem:
                    refused[pair] = problem
                else:
                    asked.counts[pair[0]] += 1
                    new.append(pair)
            await add(tx, new, now_ms())
            return [joined(*pair) for pair in new]

        await self._log.append((), command)
        # New joins are remembered by their event. Earlier ones here, unless somebody has left since.
        if left_then == self._left:
            for pair in before:
                self._remember(pair)
        return refused

    def _check(self, pair: Pair, exempt: bool, asked: Asked) -> None:
        """Raises Forbidden, Conflict or TooMany if the user may not join."""
        if exempt:
            return
        if pair in asked.barred:
            raise forbidden()
        if self._most and asked.counts[pair[0]] >= self._most:
            raise Conflict("conflict", f"You have joined {self._most} rooms: leave some.")
        if pair in asked.unmade:
            self._quotas.join_unmade_room(pair[0])

    def forget(self) -> None:
        """The database has lost events: memberships are looked up again."""
        self._known.clear()

    def apply(self, event: Event) -> None:
        """Notes joins and leaves on any node."""
        if event.type not in (JOINED, LEFT):
            return
        membership = Membership.of(event)
        pair = (membership.user_id, membership.room_id)
        if event.type == JOINED:
            self._remember(pair)
        else:
            self._left += 1
            self._known.pop(pair, None)

    def _remember(self, pair: Pair) -> None:
        if len(self._known) >= KNOWN and pair not in self._known:
            del self._known[next(iter(self._known))]
        self._known[pair] = None


async def follow(tx: Transaction, act: Act, most: int) -> list[Event]:
    """Changes the membership of the user an act is about, in the act's own transaction; returns the events.

    A user who has joined `most` rooms (0: any number) may be admitted to another, but does not join it.
    """
    if act.user_id is None:
        return []
    pair = (act.user_id, act.room_id)
    if act.action == "joined":
        asked = await look_up(tx, [pair], act.timestamp)
        if pair in asked.joined or (most and asked.counts[act.user_id] >= most):
            return []
        await add(tx, [pair], act.timestamp)
        return [joined(*pair)]
    if act.action in _ENDS and await remove(tx, *pair):
        return [left(*pair, act.action)]
    return []
