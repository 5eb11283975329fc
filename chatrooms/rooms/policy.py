"""The policy: the rules of rooms, cached in memory.

Every request needs them, so they are read from the database once per room and user and then remembered (bounded);
once per room where nobody is a member, banned or muted. Every change, this node's own included, arrives as an
event of the topic `control`: the policy forgets the user or the room concerned and ends the streams that have
lost their right, in the same step in which the change becomes visible.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

import msgspec

from chatrooms.errors import Unavailable
from chatrooms.identity import Identity
from chatrooms.log.database import Database
from chatrooms.log.event import Event
from chatrooms.rooms.rooms import Rooms
from chatrooms.rooms.rules import RULES_CHANGED, Act, Rank, Rules, rules_of
from chatrooms.streams.hub import closing

REMEMBERED = 30_000  # cached rules: of a room for one user, or for all users of a room without members, bans and mutes
ABOUT_INVITES = ("invited", "invite-revoked")  # acts that change no rules
ANYBODY = ""  # stands for the user where the rules are the same for all

log = logging.getLogger(__name__)


class Policy:
    """Says who may do what in a room.

    An answer of `of`, `readable` or `writable` stays true until the caller's next `await`: a stream opened before
    that is opened under the current rules.
    """

    def __init__(self, database: Database, rooms: Rooms, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._rooms = rooms
        self._clock = clock
        self._rules: OrderedDict[str, dict[str, Rules]] = OrderedDict()  # by room and user
        self._size = 0
        self._reading: dict[str, dict[str, asyncio.Task[None]]] = {}

    async def of(self, room_id: str, user_id: str = ANYBODY) -> Rules:
        """The current rules of a room, including those about one user. Raises Unavailable."""
        while (rules := _known(self._rules.get(room_id, {}), user_id)) is None:
            await self._read_once(room_id, user_id)
        self._rules.move_to_end(room_id)
        return rules

    async def readable(self, who: Identity, room_id: str) -> Rules:
        """The rules of a room, for a caller that may read it. Raises Forbidden."""
        rules = await self.of(room_id, who.user_id)
        rules.check_read(who, self._now())
        return rules

    async def writable(self, who: Identity, room_id: str) -> Rules:
        """The rules of a room, for a caller that may write in it. Raises Forbidden."""
        rules = await self.of(room_id, who.user_id)
        rules.check_write(who, self._now())
        return rules

    async def ruled(self, who: Identity, room_id: str, rank: Rank) -> Rules:
        """The rules of a room, for a caller of at least that rank in it. Raises Forbidden."""
        rules = await self.readable(who, room_id)
        rules.check_rank(who, rank)
        return rules

    async def may_read(self, who: Identity, room_id: str) -> bool:
        return (await self.of(room_id, who.user_id)).may_read(who, self._now())

    async def _read_once(self, room_id: str, user_id: str) -> None:
        """Reads the rules of a room for a user; concurrent callers wait for the same query.

        So do those for other users, as long as nothing is known of the room: it may have the same rules for all.
        """
        reading = self._reading.setdefault(room_id, {})
        task = reading.get(user_id)
        if reading and room_id not in self._rules:
            task = next(iter(reading.values()))
        if task is None:
            task = reading[user_id] = asyncio.create_task(self._read(room_id, user_id, reading))
        await asyncio.shield(task)

    async def _read(self, room_id: str, user_id: str, reading: dict[str, asyncio.Task[None]]) -> None:
        try:
            rules = await rules_of(self._database, room_id, user_id)
        except Exception as error:
            log.warning("the rules of a room could not be read: %s", error)
            raise Unavailable("unavailable", "The database does not answer.", 1) from None
        else:
            if self._reading.get(room_id) is reading:  # else they changed while they were read
                self._remember(room_id, user_id if rules.peopled else ANYBODY, rules)
        finally:
            del reading[user_id]
            if not reading and self._reading.get(room_id) is reading:
                del self._reading[room_id]

    def _remember(self, room_id: str, user_id: str, rules: Rules) -> None:
        known = self._rules.setdefault(room_id, {})
        self._size += user_id not in known
        known[user_id] = rules
        self._rules.move_to_end(room_id)
        while self._size > REMEMBERED:
            oldest, users = next(iter(self._rules.items()))
            del users[next(iter(users))]
            self._size -= 1
            if not users:
                del self._rules[oldest]

    def forget_all(self) -> None:
        """Drops the cache; what is being read at the moment is not cached either."""
        self._reading.clear()
        self._rules.clear()
        self._size = 0

    def _forget(self, room_id: str, user_ids: Iterable[str] | None = None) -> dict[str, Rules]:
        """Forgets a room for some users, or for all; returns what was known of it until now."""
        self._reading.pop(room_id, None)
        known = self._rules.pop(room_id, {})
        left = {} if user_ids is None else {user: rules for user, rules in known.items() if user not in user_ids}
        self._size -= len(known) - len(left)
        if left:
            self._rules[room_id] = left
        return known

    def apply(self, event: Event) -> None:
        """Forgets the rules that an act has changed, and ends the streams that lost their right."""
        if event.type != RULES_CHANGED:
            return
        act = msgspec.json.decode(event.data, type=Act)
        if act.action in ABOUT_INVITES:
            return
        known = self._forget(act.room_id, None if act.user_id is None else (act.user_id, ANYBODY))
        if act.action == "changed":
            for user_id, rules in known.items():
                self._remember(act.room_id, user_id, _changed(rules, act))
        if act.ends is not None and act.user_id is not None:
            self._rooms.expel(act.room_id, (act.user_id,), closing(act.ends, False))
        elif act.private and act.user_id is None:
            self._close_to_strangers(act, known)

    def _close_to_strangers(self, act: Act, before: Mapping[str, Rules]) -> None:
        """Ends the streams of non-members of a room that has become private.

        Users whose rank is not cached are asked to reconnect, since they may be members.
        """
        strangers, unknown = [], []
        for user_id in self._rooms.users_in(act.room_id) - {act.actor_id}:
            rules = _known(before, user_id)
            if rules is None:
                unknown.append(user_id)
            elif rules.rank_of(user_id) < Rank.MEMBER:
                strangers.append(user_id)
        self._rooms.expel(act.room_id, strangers, closing("private", False))
        self._rooms.expel(act.room_id, unknown, closing("private", True))

    def _now(self) -> float:
        return self._clock() * 1000


def _known(by_user: Mapping[str, Rules], user_id: str) -> Rules | None:
    """The cached rules of a room for a user."""
    rules = by_user.get(ANYBODY)
    return by_user.get(user_id) if rules is None or rules.peopled else rules


def _changed(rules: Rules, act: Act) -> Rules:
    """The cached rules after a change of settings; roles, bans and mutes stay."""
    return msgspec.structs.replace(
        rules,
        stored=True,
        private=rules.private if act.private is None else act.private,
        title=rules.title if act.title is None else act.title or None,
        slow_mode=rules.slow_mode if act.slow_mode is None else act.slow_mode,
    )
