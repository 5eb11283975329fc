"""The owners of sessions.

A session belongs to whom a program has given it, or, where `session-claim` is `first`, to the first caller of
role `user` who opens or writes it. Its owner reads what is said from then on: what was said before may have been
meant for somebody else, or for nobody. One that has no owner is shared by all who come without a token.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection

import msgspec

from chatrooms.clock import now_ms
from chatrooms.cluster.bus.base import Worker
from chatrooms.errors import Forbidden
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.database import Database, Transaction
from chatrooms.log.event import CONTROL, Event, Position
from chatrooms.log.log import Log
from chatrooms.log.retention import extent_of
from chatrooms.options import Options
from chatrooms.rooms.policy import Policy
from chatrooms.sessions.store import (
    ALL,
    OPEN,
    Owner,
    has_events,
    owner_of,
    owners_of,
    session_topic,
    set_owner,
    take_out,
)
from chatrooms.streams.hub import Hub

CLAIMED = "session-claimed"
REMEMBERED = 20_000  # owners remembered
READERS_OF_ALL = ("agent", "service", "admin")
VISITOR = "visitor"  # the role of readers without a token


class Claim(msgspec.Struct, rename="camel"):
    """The data of CLAIMED; `shared` when the session had messages that visitors could read."""

    session_id: str
    owner: str
    shared: bool
    since: int = 0


class Owners:
    """The owners of sessions, as far as this node knows them."""

    def __init__(self, database: Database, log: Log, quotas: Quotas, options: Options) -> None:
        self._database = database
        self._log = log
        self._quotas = quotas
        claim: str | None = options.session_claim
        self._first_come = options.development if claim is None else claim == "first"
        self._known: OrderedDict[str, Owner] = OrderedDict()

    async def check(self, who: Identity, session_id: str) -> int:
        """The seq after which the caller may read a session. Raises Forbidden.

        Until the caller's next `await` the answer stays true.
        """
        if who.role in READERS_OF_ALL:
            return 0
        owner = await self._of(session_id, who.user_id)
        if owner is None:
            self._check_free(who)
            return 0
        check_owner(who, owner.user_id)
        return owner.since

    async def claim(self, who: Identity, session_id: str) -> None:
        """Makes a user the owner of a session that has none. Raises Forbidden, TooMany, Unavailable."""
        known = self._known.get(session_id)
        if who.role == "user" and (known is None or known.user_id != who.user_id):

            async def command(tx: Transaction) -> list[Event]:
                return (await self.admit(tx, who, session_id))[1]

            await self._log.append((), command)

    async def assign(self, session_id: str, user_id: str, past: bool) -> None:
        """Gives a session to a user, from now on or with its `past`. Raises Unavailable."""

        async def command(tx: Transaction) -> list[Event]:
            return await self.assigned(tx, session_id, user_id, past)

        await self._log.append((), command)

    async def among(self, session_ids: Collection[str]) -> dict[str, str]:
        """The userIds of those sessions' owners, if any; true until the caller's next `await`."""
        unknown = [id for id in session_ids if id not in self._known]
        stored = await owners_of(self._database, unknown)
        # Checked again: one may have been claimed meanwhile.
        return stored | {id: self._known[id].user_id for id in session_ids if id in self._known}

    async def admit(self, tx: Transaction, who: Identity, session_id: str) -> tuple[bool, list[Event]]:
        """Under the lock of the log: whether the session has an owner, and a user's claim if it has none.

        Raises Forbidden, TooMany.
        """
        owner = await owner_of(tx, session_id)  # not the remembered one: this very group may have changed it
        if owner is not None:
            if who.role not in READERS_OF_ALL:
                check_owner(who, owner.user_id)
            return True, []
        if who.role != "user":
            return False, []
        self._check_free(who)
        self._quotas.make_room(who)
        return True, await self.assigned(tx, session_id, who.user_id, False)

    async def assigned(
        self, tx: Transaction, session_id: str, user_id: str, past: bool, before: int = 0
    ) -> list[Event]:
        """Under the lock of the log: changes a session's owner; returns the events, none if nothing changes.

        `before` counts the events that the same append brings before this one.
        """
        old = await owner_of(tx, session_id)
        if old is not None and old.user_id == user_id and not (past and old.since):
            return []
        # What this group has appended so far counts, too.
        since = 0 if past else max(self._log.head, (await extent_of(tx)).head) + before
        await set_owner(tx, session_id, Owner(user_id, since), now_ms())
        topic = session_topic(session_id)
        shared = old is None and (before > 0 or await has_events(tx, topic))
        if shared:
            await take_out(tx, topic, OPEN)
        return [Event(CLAIMED, msgspec.json.encode(Claim(session_id, user_id, shared, since)), (CONTROL,))]

    def forget(self) -> None:
        """The database has lost events: owners are looked up again."""
        self._known.clear()

    async def _of(self, session_id: str, user_id: str) -> Owner | None:
        """The owner of a session; asks the database unless it is known to be `user_id`."""
        known = self._known.get(session_id)
        if known is None or known.user_id != user_id:
            stored = await owner_of(self._database, session_id)
            if stored != known:  # perhaps another node has just changed it: what follows then is theirs
                await self._log.reach(Position(self._log.epoch, self._log.head + 1))
            if stored is not None and session_id not in self._known:
                self._remember(session_id, stored)
        return self._known.get(session_id)

    def _check_free(self, who: Identity) -> None:
        """Raises Forbidden for a user where sessions without an owner cannot be claimed."""
        if who.role == "user" and not self._first_come:
            raise Forbidden("forbidden", "This session has no owner yet: a program has to assign one.")

    def apply(self, event: Event) -> None:
        """Notes the new owner of a session, on whatever node it was claimed."""
        if event.type == CLAIMED:
            claim = msgspec.json.decode(event.data, type=Claim)
            self._remember(claim.session_id, Owner(claim.owner, claim.since))

    def _remember(self, session_id: str, owner: Owner) -> None:
        self._known[session_id] = owner
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def check_owner(who: Identity, owner: str) -> None:
    """Raises Forbidden for anybody but the owner."""
    if who.user_id != owner:
        raise Forbidden("forbidden", "This session belongs to somebody else.")


def visitor(address: str) -> Identity:
    """A reader without a token, counted by address. No userId contains a NUL."""
    return Identity(f"\0{address}", None, VISITOR, 0.0, "")


GLOBAL = "session_messages:global"


class StreamStats:
    """The topics with readers on this node and on other workers of its machine.

    By the names of the wire contract (section 5).
    """

    def __init__(self, hub: Hub, policy: Policy, owners: Owners, worker: Worker | None = None) -> None:
        self._worker = worker
        self._hub = hub
        self._policy = policy
        self._owners = owners

    async def counts(self, who: Identity) -> dict[str, int]:
        """The number of streams of each channel the caller may read; `admin` sees all. Raises Unavailable."""
        readers = self._readers()
        seen: Counter[str] = Counter()
        mine = await self._readable(who, {id for name in readers if (id := _session(name))})
        for name, count in readers.items():
            session_id = _session(name)
            if session_id:
                seen[f"session_messages:{session_id}"] += count if session_id in mine else 0
            elif name.partition("/")[0] == ALL:
                seen[GLOBAL] += count if self._reads_globally(who, name) else 0
            elif who.role == "admin" or await self._may_read_room(who, name):
                seen[name] += count
        return dict(+seen)

    def share(self) -> None:
        """Publishes the counts of this worker to the others."""
        if self._worker is not None:
            self._worker.counts.write(self._worker.number, msgspec.json.encode(self._hub.counts()))

    def _readers(self) -> Counter[str]:
        """The streams of each topic, on all workers."""
        found = Counter(self._hub.counts())
        if self._worker is not None:
            for number in self._worker.outboxes:
                found.update(msgspec.json.decode(self._worker.counts.read(number) or b"{}", type=dict[str, int]))
        return found

    async def _readable(self, who: Identity, session_ids: set[str]) -> set[str]:
        """Which of the sessions the caller may read."""
        if who.role in READERS_OF_ALL:
            return session_ids
        owners = await self._owners.among(session_ids)
        return {id for id in session_ids if owners.get(id) == (None if who.role == VISITOR else who.user_id)}

    def _reads_globally(self, who: Identity, name: str) -> bool:
        return who.role in READERS_OF_ALL or (who.role == VISITOR and name.startswith(OPEN))

    async def _may_read_room(self, who: Identity, name: str) -> bool:
        family, _, room_id = name.partition(":")
        return family == "room" and who.role != VISITOR and await self._policy.may_read(who, room_id)


def _session(topic: str) -> str:
    """The session of a topic, "" for other topics."""
    name = topic.partition("/")[0]
    return name.removeprefix("session:") if name.startswith("session:") else ""
