"""Acts upon rooms: checked, carried out and recorded in one transaction."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from chatrooms.event import Event
from chatrooms.identity.tokens import Identity
from chatrooms.limits import RateLimit
from chatrooms.options import Options
from chatrooms.personal.memberships import follow
from chatrooms.rooms.messages import RATE_PERIOD
from chatrooms.rules.act import Act
from chatrooms.rules.rules import Rank, Rules
from chatrooms.storage.database import Transaction
from chatrooms.storage.log import Log
from chatrooms.storage.rules import rules_of

# Given the rules as they are in the transaction: checks, then changes, and says what was done.
# None: nothing had to be changed, so there is nothing to tell.
Change = Callable[[Transaction, Rules], Awaitable[Act | None]]


class Acts:
    """The one way in which the rules of rooms change. `message-rate` bounds the acts of one user, too."""

    def __init__(self, log: Log, options: Options, clock: Callable[[], float] = time.time) -> None:
        self._log = log
        self._rate = RateLimit(options.message_rate, RATE_PERIOD)
        self._most_rooms: int = options.max_rooms_per_user
        self._clock = clock

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self._clock() * 1000)

    async def run(self, who: Identity, room_id: str, needed: Rank, change: Change, user_id: str = "") -> None:
        """Runs a change for somebody who has the rank it needs; returns when it is durable and obeyed.

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
        """Runs a change that finds out and checks by itself which room it is about."""

        async def command(tx: Transaction) -> list[Event]:
            return await self._done(tx, await change(tx))

        await self._append(who, command)

    async def _append(self, who: Identity, command: Callable[[Transaction], Awaitable[list[Event]]]) -> None:
        if not who.trusted:
            self._rate.spend(who.user_id)
        await self._log.append((), command)

    async def _done(self, tx: Transaction, act: Act | None) -> list[Event]:
        return [] if act is None else [act.order(), *await follow(tx, act, self._most_rooms)]
