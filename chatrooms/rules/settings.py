"""Settings of a room: made by whoever comes first, changed by its owner."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms.identity.quotas import Quotas
from chatrooms.identity.tokens import Identity
from chatrooms.rooms.rooms import Rooms
from chatrooms.rules.act import Act
from chatrooms.rules.acts import Acts
from chatrooms.rules.rules import Rank, Rules
from chatrooms.storage import rules as stored
from chatrooms.storage.database import Transaction


class Change(NamedTuple):
    """What is to be changed; UNSET stays as it is. `title` None takes the title away."""

    private: bool | UnsetType = UNSET
    slow_mode: float | UnsetType = UNSET
    title: str | UnsetType | None = UNSET


class Configured(NamedTuple):
    """The rules after a change, and whether it made the room."""

    rules: Rules
    created: bool


class RoomSettings:
    """Makes rooms and changes them."""

    def __init__(self, acts: Acts, rooms: Rooms, quotas: Quotas) -> None:
        self._acts = acts
        self._rooms = rooms
        self._quotas = quotas

    def check(self, who: Identity, room_id: str, rules: Rules) -> None:
        """Raises Forbidden for who may neither make nor change a room."""
        if rules.stored or self._rooms.held_by_others(room_id, who.user_id):
            rules.check_rank(who, Rank.OWNER)

    async def change(self, who: Identity, room_id: str, wanted: Change) -> Configured:
        """Changes a room; makes it, with `who` as its owner, when there is none of that name.

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


def _after(rules: Rules, wanted: Change) -> Rules:
    given = {name: value for name, value in wanted._asdict().items() if value is not UNSET}
    return msgspec.structs.replace(rules, **given)


def _act(room_id: str, action: str, who: Identity, now: int, before: Rules, after: Rules) -> Act | None:
    """What was done: the settings that have changed; None for a room that is as it was."""
    act = Act(room_id, action, who.user_id, now)
    if after.private != before.private:
        act.private = after.private
    if after.title != before.title:
        act.title = after.title or ""
    if after.slow_mode != before.slow_mode:
        act.slow_mode = after.slow_mode
    return act if action == "created" or after != before else None
