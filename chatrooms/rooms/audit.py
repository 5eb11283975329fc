"""The audit log of a room: what its moderators did. It is a topic of the log."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from chatrooms.errors import BadRequest
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.database import Database, Transaction
from chatrooms.log.event import Event, event_id, identified, parse_id
from chatrooms.log.log import Log
from chatrooms.options import Options
from chatrooms.rooms.memberships import follow
from chatrooms.rooms.rules import Act, Rank, Rules, acts_before, audit_topic, rules_of


class ActPage(NamedTuple):
    """Some acts as JSON, newest first, and whether there are older ones."""

    acts: list[bytes]
    has_more: bool


class Audit:
    """Reads acts from the log. The caller checks access."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    async def page(self, room_id: str, before: str, limit: int) -> ActPage:
        """The last acts in a room, or those before an id. Raises BadRequest for an invalid id."""
        seq = self._seq(before) if before else self._log.head + 1
        rows = await acts_before(self._database, audit_topic(room_id), seq, limit + 1)
        acts = [identified(data.encode(), event_id(self._log.epoch, seq)) for seq, data in rows[:limit]]
        return ActPage(acts, len(rows) > limit)

    def _seq(self, id: str) -> int:
        position = parse_id(id)
        if position is None or position.epoch != self._log.epoch:
            raise BadRequest("bad-id", "before must be the id of an entry.")
        return position.seq


# Gets the rules as they are in the transaction; checks, changes, and returns what was done.
# None: nothing had to change, so there is nothing to announce.
RuleChange = Callable[[Transaction, Rules], Awaitable[Act | None]]


class Acts:
    """The one way to change the rules of rooms. An act counts as a message of its user."""

    def __init__(self, log: Log, quotas: Quotas, options: Options, clock: Callable[[], float] = time.time) -> None:
        self._log = log
        self._quotas = quotas
        self._most_rooms: int = options.max_rooms_per_user
        self._clock = clock

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self._clock() * 1000)

    async def run(self, who: Identity, room_id: str, needed: Rank, change: RuleChange, user_id: str = "") -> None:
        """Runs a change for a caller of at least the rank it needs; returns when it is durable and applied.

        `user_id` is whom it is about, if anybody: the rules that the change is given are those for both.
        Raises Forbidden, TooMany, Unavailable, and what the change raises.
        """

        async def command(tx: Transaction) -> list[Event]:
            rules = await rules_of(tx, room_id, who.user_id, user_id)
            rules.check_read(who, self.now())
            rules.check_rank(who, needed)
            return await self._done(tx, await change(tx, rules))

        await self._append(who, command)

    async def run_anywhere(self, who: Identity, change: Callable[[Transaction], Awaitable[Act | None]]) -> None:
        """Runs a change that itself determines its room and checks the caller's rights."""

        async def command(tx: Transaction) -> list[Event]:
            return await self._done(tx, await change(tx))

        await self._append(who, command)

    async def _append(self, who: Identity, command: Callable[[Transaction], Awaitable[list[Event]]]) -> None:
        self._quotas.write(who)
        await self._log.append((), command)

    async def _done(self, tx: Transaction, act: Act | None) -> list[Event]:
        return [] if act is None else [act.order(), *await follow(tx, act, self._most_rooms)]
