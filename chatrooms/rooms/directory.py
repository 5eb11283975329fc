"""The directory: which rooms there are, for those who may read them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from chatrooms.clock import now_ms
from chatrooms.errors import Forbidden, NotFound
from chatrooms.identity.tokens import Identity
from chatrooms.rooms.rooms import Rooms
from chatrooms.rules.rulebook import Rulebook
from chatrooms.rules.rules import Rules
from chatrooms.storage.database import Database
from chatrooms.storage.rules import existing, rooms_for

LOOKED_UP = 500  # rooms in one query


class Directory:
    """Lists rooms, and looks one up."""

    def __init__(self, database: Database, rooms: Rooms, rulebook: Rulebook) -> None:
        self._database = database
        self._rooms = rooms
        self._rulebook = rulebook

    async def page(self, who: Identity, after: str, limit: int) -> list[str]:
        """The next ids of rooms that `who` may read: those in the database, and those that somebody is in."""
        now = now_ms()
        stored = await rooms_for(self._database, who.user_id, who.trusted, after, limit, now)
        live = self._rooms.live(after)
        if len(stored) == limit:  # nothing of this page lies after those
            live = live[: bisect_right(live, stored[-1])]
        return sorted({*stored, *await self._not_stored(live, limit)})[:limit]

    async def find(self, who: Identity, room_id: str) -> Rules:
        """The rules of a room.

        Raises NotFound for one that nobody is in and that is not in the database, and just so for a
        private one to those who may not read it; Forbidden `banned`.
        """
        try:
            rules = await self._rulebook.readable(who, room_id)
        except Forbidden as problem:
            if problem.code != "forbidden":
                raise
            raise _no_room() from None
        # A room's first message does not change its rules: what is at hand may be older than that.
        if not rules.stored and not self._rooms.is_live(room_id) and not await existing(self._database, [room_id]):
            raise _no_room()
        return rules

    async def _not_stored(self, room_ids: Sequence[str], limit: int) -> list[str]:
        """The first of these rooms that are not in the database: they have no rules, so all may read them."""
        found: list[str] = []
        for start in range(0, len(room_ids), LOOKED_UP):
            some = room_ids[start : start + LOOKED_UP]
            known = await existing(self._database, some)
            found += [room_id for room_id in some if room_id not in known]
            if len(found) >= limit:
                break
        return found


def _no_room() -> NotFound:
    return NotFound("not-found", "There is no such room.")
