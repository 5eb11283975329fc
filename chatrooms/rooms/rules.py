"""The rules of a room: who may read it, write in it and moderate it; and their rows.

Times are in milliseconds since 1970. Who bears a token of role `service` or `admin` is above the
rules of every room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

import msgspec

from chatrooms.errors import Forbidden
from chatrooms.identity import Identity
from chatrooms.log.database import Row, Source, Transaction
from chatrooms.log.event import CONTROL, Event

FOREVER = float("inf")

Until = Mapping[str, float]  # user id to the time when it ends


class Rank(IntEnum):
    """A user's rank in a room. One may act only against users of a lower rank."""

    NONE = 0
    MEMBER = 1
    MODERATOR = 2
    OWNER = 3
    TRUSTED = 4


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one room for the users asked about; the defaults are those of any new room.

    stored     whether the room is in the database: somebody made it, or it has had messages; the first
               message changes no rules, so that rules at hand may still say no
    owner      None for a room that was made by use
    peopled    whether anybody is its member, banned or muted; if nobody, the rules are the same for all users
    roles      members and moderators among those asked for; the owner is not among them
    slow_mode  seconds between two messages of one user; 0 turns it off
    """

    stored: bool = False
    private: bool = False
    title: str | None = None
    slow_mode: float = 0.0
    owner: str | None = None
    peopled: bool = False
    roles: Mapping[str, Rank] = msgspec.field(default_factory=dict)
    bans: Until = msgspec.field(default_factory=dict)
    mutes: Until = msgspec.field(default_factory=dict)

    def rank(self, who: Identity) -> Rank:
        return Rank.TRUSTED if who.trusted else self.rank_of(who.user_id)

    def rank_of(self, user_id: str) -> Rank:
        """The rank of a user by id, without a token."""
        if user_id == self.owner:
            return Rank.OWNER
        return self.roles.get(user_id, Rank.NONE)

    def banned(self, user_id: str, now: float) -> bool:
        return self.bans.get(user_id, 0) > now

    def may_read(self, who: Identity, now: float) -> bool:
        if who.trusted:
            return True
        if self.bans and self.banned(who.user_id, now):
            return False
        return not self.private or self.rank_of(who.user_id) >= Rank.MEMBER

    def check_read(self, who: Identity, now: float) -> None:
        """Raises Forbidden `banned`, or `forbidden` where only members may read."""
        if not self.may_read(who, now):
            self.check_not_banned(who, now)
            raise forbidden()

    def check_not_banned(self, who: Identity, now: float) -> None:
        if not who.trusted and self.banned(who.user_id, now):
            raise Forbidden("banned", "You are banned from this room.")

    def check_write(self, who: Identity, now: float) -> None:
        """Raises Forbidden `banned`, `forbidden` or `muted`."""
        self.check_read(who, now)
        if self.mutes and self.mutes.get(who.user_id, 0) > now and not who.trusted:
            raise Forbidden("muted", "You are muted in this room.")

    def check_rank(self, who: Identity, needed: Rank) -> None:
        """Raises Forbidden for a rank below the needed one."""
        if self.rank(who) < needed:
            raise forbidden()

    def pace(self, who: Identity) -> float:
        """The minimum of seconds between two messages of that user; 0 for moderators."""
        return 0.0 if not self.slow_mode or self.rank(who) >= Rank.MODERATOR else self.slow_mode


def forbidden() -> Forbidden:
    """The refusal that says nothing about the room, not even whether it exists."""
    return Forbidden("forbidden", "That is not allowed.")


RULES_CHANGED = "room-rules-changed"
RECORDED = "room-act-recorded"

# Acts that end the streams of the user they are about, with this reason.
_ENDS = ("kicked", "banned", "left")


class Act(msgspec.Struct, rename="camel", omit_defaults=True):
    """Who did what to whom, when, and in which room; the rest are details of some acts.

    `timestamp` and `until` (absent: forever) are in milliseconds since 1970. The settings are
    those that changed; who left a private room left it with `private`.
    """

    room_id: str
    action: str
    actor_id: str
    timestamp: int
    user_id: str | None = None
    until: int | None = None
    private: bool | None = None
    title: str | None = None
    slow_mode: float | None = None
    invite_id: str | None = None
    message_id: str | None = None

    @property
    def ends(self) -> str | None:
        """The reason with which the streams of `user_id` in the room end, or None."""
        if self.action == "left" and not self.private:
            return None  # a public room may be read without being a member
        return self.action if self.action in _ENDS else None

    def order(self) -> Event:
        """The event that records the act and that every node applies."""
        return Event(RULES_CHANGED, msgspec.json.encode(self), (CONTROL, audit_topic(self.room_id)))

    def record(self) -> Event:
        """The event that only records the act."""
        return Event(RECORDED, msgspec.json.encode(self), (audit_topic(self.room_id),))


def audit_topic(room_id: str) -> str:
    """The topic of a room's audit log."""
    return f"audit:{room_id}"


BAN, MUTE = "ban", "mute"

# Rows are (kind, user, number, seconds, title): only those of the users asked about, whatever the room's size.
_RULES = """
select 'room', owner, private, slow_mode, title from rooms where room_id = $1
union all select 'peopled', '', 0, 0.0, cast(null as text)
  where exists (select 1 from room_members where room_id = $1)
  or exists (select 1 from room_restrictions where room_id = $1)
union all select role, user_id, 0, 0.0, cast(null as text) from room_members
  where room_id = $1 and user_id in ($2, $3)
union all select kind, user_id, until, 0.0, cast(null as text) from room_restrictions
  where room_id = $1 and kind in ('ban', 'mute') and user_id in ($2, $3)"""

_ROOMS = """
select room_id from rooms r where room_id > $1 and ($2 = 1 or (
  (private = 0 or owner = $3
   or exists (select 1 from room_members m where m.room_id = r.room_id and m.user_id = $3))
  and not exists (select 1 from room_restrictions b where b.room_id = r.room_id and b.kind = 'ban'
                  and b.user_id = $3 and (b.until is null or b.until > $4))))
order by room_id limit $5"""

_RANKS = {"member": Rank.MEMBER, "moderator": Rank.MODERATOR}


async def rules_of(source: Source, room_id: str, user_id: str, other_id: str = "") -> Rules:
    """The rules of a room for one user, or two, in one query."""
    rows = await source.fetch(_RULES, room_id, user_id, other_id)
    room = next((row for row in rows if row[0] == "room"), None)
    _, owner, private, slow_mode, title = room or (None, None, 0, 0.0, None)
    return Rules(
        stored=room is not None,
        private=bool(private),
        title=title,
        slow_mode=slow_mode,
        owner=owner,
        peopled=any(row[0] == "peopled" for row in rows),
        roles={row[1]: _RANKS[row[0]] for row in rows if row[0] in _RANKS},
        bans=_until(rows, BAN),
        mutes=_until(rows, MUTE),
    )


async def existing(source: Source, room_ids: Sequence[str]) -> set[str]:
    """Which of the rooms (at most 500) are stored: created by somebody, or by their first message."""
    places = ", ".join(f"${n}" for n in range(1, len(room_ids) + 1))
    return {
        room_id
        for (room_id,) in await source.fetch(f"select room_id from rooms where room_id in ({places})", *room_ids)
    }


async def rooms_for(source: Source, user_id: str, trusted: bool, after: str, limit: int, now: int) -> list[str]:
    """The ids of stored rooms that a user may read, in order, after one."""
    rows = await source.fetch(_ROOMS, after, int(trusted), user_id, now, limit)
    return [room_id for (room_id,) in rows]


async def make_room(tx: Transaction, room_id: str, owner: str | None, now: int) -> None:
    await tx.execute("insert into rooms (room_id, owner, created_at) values ($1, $2, $3)", room_id, owner, now)


async def set_room(tx: Transaction, room_id: str, private: bool, title: str | None, slow_mode: float) -> None:
    sql = "update rooms set private = $1, title = $2, slow_mode = $3 where room_id = $4"
    await tx.execute(sql, int(private), title, slow_mode, room_id)


async def set_member(tx: Transaction, room_id: str, user_id: str, rank: Rank, now: int) -> None:
    """Makes a user a member or a moderator."""
    await tx.execute(
        "insert into room_members (room_id, user_id, role, since) values ($1, $2, $3, $4) "
        "on conflict (room_id, user_id) do update set role = excluded.role",
        room_id, user_id, rank.name.lower(), now,
    )  # fmt: skip


async def remove_member(tx: Transaction, room_id: str, user_id: str) -> None:
    await tx.execute("delete from room_members where room_id = $1 and user_id = $2", room_id, user_id)


async def restrict(tx: Transaction, room_id: str, kind: str, user_id: str, until: int | None) -> None:
    """Bans or mutes a user; `until` None means forever."""
    await tx.execute(
        "insert into room_restrictions (room_id, kind, user_id, until) values ($1, $2, $3, $4) "
        "on conflict (room_id, kind, user_id) do update set until = excluded.until",
        room_id, kind, user_id, until,
    )  # fmt: skip


async def lift(tx: Transaction, room_id: str, kind: str, user_id: str) -> None:
    sql = "delete from room_restrictions where room_id = $1 and kind = $2 and user_id = $3"
    await tx.execute(sql, room_id, kind, user_id)


async def restricted(source: Source, room_id: str, kind: str, after: str, limit: int, now: int) -> list[Row]:
    """The next banned or muted users as (user id, until), in order, after one; None means forever."""
    sql = (
        "select user_id, until from room_restrictions where room_id = $1 and kind = $2 and user_id > $3 "
        "and (until is null or until > $4) order by user_id limit $5"
    )
    return await source.fetch(sql, room_id, kind, after, now, limit)


async def count_restrictions(tx: Transaction, room_id: str) -> int:
    """How many bans and mutes a room has."""
    return int((await tx.fetch("select count(*) from room_restrictions where room_id = $1", room_id))[0][0])


async def forget_ended(tx: Transaction, room_id: str, now: int) -> None:
    """Removes the expired bans and mutes of a room."""
    await tx.execute("delete from room_restrictions where room_id = $1 and until <= $2", room_id, now)


async def acts_before(source: Source, topic: str, seq: int, limit: int) -> list[Row]:
    """The (seq, data) of the events of a topic just before a seq, newest first."""
    sql = (
        "select e.seq, e.data from event_topics t join events e on e.seq = t.seq "
        "where t.topic = $1 and t.seq < $2 order by t.seq desc limit $3"
    )
    return await source.fetch(sql, topic, seq, limit)


def _until(rows: Sequence[Row], kind: str) -> dict[str, float]:
    return {row[1]: FOREVER if row[2] is None else row[2] for row in rows if row[0] == kind}
