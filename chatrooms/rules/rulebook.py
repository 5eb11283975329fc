"""The rulebook: the rules of rooms, at hand in memory.

Asked at every request, so it reads from the database once a room and remembers (bounded). Every
change comes as an event of the topic `control`, this node's own changes too: it makes the rulebook
forget the room and ends the streams that have lost their right, in the step in which the change
becomes visible.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from chatrooms.core.hub import closing
from chatrooms.errors import Unavailable
from chatrooms.event import CONTROL, Event
from chatrooms.identity.tokens import Identity
from chatrooms.rooms.rooms import Rooms
from chatrooms.rules.act import RULES_CHANGED, Act
from chatrooms.rules.rules import Rank, Rules
from chatrooms.storage.database import Database
from chatrooms.storage.rules import rules_of

REMEMBERED_ROOMS = 10_000
REMEMBERED_PEOPLE = 200_000  # members, bans and mutes of all remembered rooms; the last room read always stays

log = logging.getLogger(__name__)


class Rulebook:
    """Says who may do what in a room.

    Between the return of `of`, `readable` or `writable` and the caller's next `await` the answer
    stays true: who opens a stream in that time opens it under the rules as they are.
    """

    def __init__(self, database: Database, rooms: Rooms, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._rooms = rooms
        self._clock = clock
        self._rules: OrderedDict[str, Rules] = OrderedDict()
        self._people = 0
        self._reading: dict[str, asyncio.Task[None]] = {}
        rooms.hub.listen(CONTROL, self._obey)

    async def of(self, room_id: str) -> Rules:
        """The rules of a room as they are now. Raises Unavailable without the database."""
        while (rules := self._rules.get(room_id)) is None:
            await self._read_once(room_id)
        self._rules.move_to_end(room_id)
        return rules

    async def readable(self, who: Identity, room_id: str) -> Rules:
        """The rules of a room that somebody may read. Raises Forbidden."""
        rules = await self.of(room_id)
        rules.check_read(who, self._now())
        return rules

    async def writable(self, who: Identity, room_id: str) -> Rules:
        """The rules of a room that somebody may write in. Raises Forbidden."""
        rules = await self.of(room_id)
        rules.check_write(who, self._now())
        return rules

    async def ruled(self, who: Identity, room_id: str, rank: Rank) -> Rules:
        """The rules of a room in which somebody has that rank at least. Raises Forbidden."""
        rules = await self.readable(who, room_id)
        rules.check_rank(who, rank)
        return rules

    async def may_read(self, who: Identity, room_id: str) -> bool:
        return (await self.of(room_id)).may_read(who, self._now())

    async def _read_once(self, room_id: str) -> None:
        """Reads the rules of a room; who asks meanwhile waits for the same answer."""
        task = self._reading.get(room_id)
        if task is None:
            task = self._reading[room_id] = asyncio.create_task(self._read(room_id))
        await asyncio.shield(task)

    async def _read(self, room_id: str) -> None:
        me = asyncio.current_task()
        try:
            rules = await rules_of(self._database, room_id)
        except Exception as error:
            log.warning("the rules of a room could not be read: %s", error)
            raise Unavailable("unavailable", "The database does not answer.", 1) from None
        else:
            if self._reading.get(room_id) is me:  # else they changed while they were read
                self._remember(room_id, rules)
        finally:
            if self._reading.get(room_id) is me:
                del self._reading[room_id]

    def _remember(self, room_id: str, rules: Rules) -> None:
        self._rules[room_id] = rules
        self._people += rules.people
        while len(self._rules) > REMEMBERED_ROOMS or (self._people > REMEMBERED_PEOPLE and len(self._rules) > 1):
            _, oldest = self._rules.popitem(last=False)
            self._people -= oldest.people

    def forget_all(self) -> None:
        """What was read may be wrong, and what is being read now, too."""
        self._reading.clear()
        self._rules.clear()
        self._people = 0

    def _forget(self, room_id: str) -> Rules | None:
        """What the rules were until now, if they were at hand."""
        self._reading.pop(room_id, None)
        rules = self._rules.pop(room_id, None)
        self._people -= rules.people if rules else 0
        return rules

    def _obey(self, event: Event) -> None:
        if event.type != RULES_CHANGED:
            return
        act = msgspec.json.decode(event.data, type=Act)
        before = self._forget(act.room_id)
        if act.ends is not None:
            self._rooms.expel(act.room_id, lambda user_id: user_id == act.user_id, closing(act.ends, False))
        elif act.private and act.user_id is None:
            self._close_to_strangers(act, before)

    def _close_to_strangers(self, act: Act, before: Rules | None) -> None:
        """A room has become private. Where its members are not at hand, they are asked to come back."""

        def leaves(user_id: str) -> bool:
            return user_id != act.actor_id and (before is None or before.rank_of(user_id) < Rank.MEMBER)

        self._rooms.expel(act.room_id, leaves, closing("private", before is None))

    def _now(self) -> float:
        return self._clock() * 1000
