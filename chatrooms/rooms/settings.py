"""Settings of a room, created by whoever comes first and changed by its owner; and the list of rooms."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms.clock import now_ms
from chatrooms.errors import Forbidden, NotFound
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.database import Database, Transaction
from chatrooms.rooms import rules as stored
from chatrooms.rooms.audit import Acts
from chatrooms.rooms.policy import Policy
from chatrooms.rooms.rooms import Rooms
from chatrooms.rooms.rules import Act, Rank, Rules, existing, rooms_for


class SettingsChange(NamedTuple):
    """What to change; UNSET leaves a setting as it is. `title` None removes the title."""

    private: bool | UnsetType = UNSET
    slow_mode: float | UnsetType = UNSET
    title: str | UnsetType | None = UNSET


class Configured(NamedTuple):
    """The rules after a change, and whether it created the room."""

    rules: Rules
    created: bool


class RoomSettings:
    """Creates rooms and changes them."""

    def __init__(self, acts: Acts, rooms: Rooms, quotas: Quotas) -> None:
        self._acts = acts
        self._rooms = rooms
        self._quotas = quotas

    def check(self, who: Identity, room_id: str, rules: Rules) -> None:
        """Raises Forbidden if the caller may neither create nor change the room."""
        if rules.stored or self._rooms.held_by_others(room_id, who.user_id):
            rules.check_rank(who, Rank.OWNER)

    async def change(self, who: Identity, room_id: str, wanted: SettingsChange) -> Configured:
        """Changes a room; creates it, with `who` as its owner, if there is none of that name.

        A room that has messages, or that others are in, is one: it has no owner, and only service
        and admin change it. Raises Forbidden, TooMany, Unavailable.
        """
        outcome = Configured(Rules(), False)

        async def change(tx: Transaction, before: Rules) -> Act | None:
            nonlocal outcome
            created = not before.stored and not self._rooms.held_by_others(room_id, who.user_id)
            if created:
                self._quotas.make_room(who)
            else:
                before.check_rank(who, Rank.OWNER)
            after = _after(before, wanted)
            now = self._acts.now()
            if not before.stored:
                after = msgspec.structs.replace(after, stored=True, owner=who.user_id if created else None)
                await stored.make_room(tx, room_id, after.owner, now)
            await stored.set_room(tx, room_id, after.private, after.title, after.slow_mode)
            outcome = Configured(after, created)
            return _act(room_id, "created" if created else "changed", who, now, before, after)

        await self._acts.run(who, room_id, Rank.NONE, change)
        return outcome


def _after(rules: Rules, wanted: SettingsChange) -> Rules:
    given = {name: value for name, value in wanted._asdict().items() if value is not UNSET}
    return msgspec.structs.replace(rules, **given)


def _act(room_id: str, action: str, who: Identity, now: int, before: Rules, after: Rules) -> Act | None:
    """The act to record: the settings that changed; None if none did."""
    act = Act(room_id, action, who.user_id, now)
    if after.private != before.private:
        act.private = after.private
    if after.title != before.title:
        act.title = after.title or ""
    if after.slow_mode != before.slow_mode:
        act.slow_mode = after.slow_mode
    return act if action == "created" or after != before else None


LOOKED_UP = 500  # rooms in one query


class Directory:
    """Lists rooms and looks them up."""

    def __init__(self, database: Database, rooms: Rooms, policy: Policy) -> None:
        self._database = database
        self._rooms = rooms
        self._policy = policy

    async def page(self, who: Identity, after: str, limit: int) -> list[str]:
        """The next ids of rooms that `who` may read: stored ones, and ones with members."""
        now = now_ms()
        stored = await rooms_for(self._database, who.user_id, who.trusted, after, limit, now)
        live = self._rooms.live(after)
        if len(stored) == limit:  # this page ends with them
            live = live[: bisect_right(live, stored[-1])]
        return sorted({*stored, *await self._not_stored(live, limit)})[:limit]

    async def find(self, who: Identity, room_id: str) -> Rules:
        """The rules of a room.

        Raises NotFound for one that nobody is in and that is not in the database, and just so for a
        private one to those who may not read it; Forbidden `banned`.
        """
        try:
            rules = await self._policy.readable(who, room_id)
        except Forbidden as problem:
            if problem.code != "forbidden":
                raise
            raise _no_room() from None
        # A room's first message does not change its rules: cached ones may be older than that.
        if not rules.stored and not self._rooms.is_live(room_id) and not await existing(self._database, [room_id]):
            raise _no_room()
        return rules

    async def _not_stored(self, room_ids: Sequence[str], limit: int) -> list[str]:
        """The first of these rooms that are not in the database: they have no rules, so everybody may read them."""
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
