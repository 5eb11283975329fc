"""Queries about the rules of rooms: settings, members, bans and mutes, slow mode."""

from __future__ import annotations

from collections.abc import Sequence

from chatrooms.rules.rules import FOREVER, Rank, Rules
from chatrooms.storage.database import Row, Source, Transaction

BAN, MUTE = "ban", "mute"

# Rows are (kind, user, number, seconds, title). As many as the users asked for have, whatever the room's size.
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
    """Those of the rooms (at most 500) that have had messages, or were made by somebody."""
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
    """Makes somebody a member or a moderator."""
    await tx.execute(
        "insert into room_members (room_id, user_id, role, since) values ($1, $2, $3, $4) "
        "on conflict (room_id, user_id) do update set role = excluded.role",
        room_id, user_id, rank.name.lower(), now,
    )  # fmt: skip


async def remove_member(tx: Transaction, room_id: str, user_id: str) -> None:
    await tx.execute("delete from room_members where room_id = $1 and user_id = $2", room_id, user_id)


async def restrict(tx: Transaction, room_id: str, kind: str, user_id: str, until: int | None) -> None:
    """Bans or mutes; `until` None is for ever."""
    await tx.execute(
        "insert into room_restrictions (room_id, kind, user_id, until) values ($1, $2, $3, $4) "
        "on conflict (room_id, kind, user_id) do update set until = excluded.until",
        room_id, kind, user_id, until,
    )  # fmt: skip


async def lift(tx: Transaction, room_id: str, kind: str, user_id: str) -> None:
    sql = "delete from room_restrictions where room_id = $1 and kind = $2 and user_id = $3"
    await tx.execute(sql, room_id, kind, user_id)


async def restricted(source: Source, room_id: str, kind: str, after: str, limit: int, now: int) -> list[Row]:
    """The next (user id, until) of those who are banned or muted, in order, after one; None is for ever."""
    sql = (
        "select user_id, until from room_restrictions where room_id = $1 and kind = $2 and user_id > $3 "
        "and (until is null or until > $4) order by user_id limit $5"
    )
    return await source.fetch(sql, room_id, kind, after, now, limit)


async def count_restrictions(tx: Transaction, room_id: str) -> int:
    """How many bans and mutes a room has."""
    return int((await tx.fetch("select count(*) from room_restrictions where room_id = $1", room_id))[0][0])


async def forget_ended(tx: Transaction, room_id: str, now: int) -> None:
    """Removes the bans and mutes of a room that are over."""
    await tx.execute("delete from room_restrictions where room_id = $1 and until <= $2", room_id, now)


async def last_post(tx: Transaction, room_id: str, user_id: str) -> int | None:
    """When a user last wrote in a room with slow mode, as far as that still counts."""
    rows = await tx.fetch("select posted_at from slow_posts where room_id = $1 and user_id = $2", room_id, user_id)
    return int(rows[0][0]) if rows else None


async def note_post(tx: Transaction, room_id: str, user_id: str, now: int) -> None:
    await tx.execute(
        "insert into slow_posts (room_id, user_id, posted_at) values ($1, $2, $3) "
        "on conflict (room_id, user_id) do update set posted_at = excluded.posted_at",
        room_id, user_id, now,
    )  # fmt: skip


async def forget_posts(tx: Transaction, room_id: str, before: int) -> None:
    """Removes what slow mode does not count any more."""
    await tx.execute("delete from slow_posts where room_id = $1 and posted_at <= $2", room_id, before)


async def known_keys(tx: Transaction, keys: Sequence[str]) -> set[str]:
    """Those of the keys (at most 500) that are in the log already."""
    places = ", ".join(f"${n}" for n in range(1, len(keys) + 1))
    rows = await tx.fetch(f"select key from events where key in ({places})", *keys)
    return {key for (key,) in rows}


async def acts_before(source: Source, topic: str, seq: int, limit: int) -> list[Row]:
    """The (seq, data) of the events of a topic just before a seq, newest first."""
    sql = (
        "select e.seq, e.data from event_topics t join events e on e.seq = t.seq "
        "where t.topic = $1 and t.seq < $2 order by t.seq desc limit $3"
    )
    return await source.fetch(sql, topic, seq, limit)


def _until(rows: Sequence[Row], kind: str) -> dict[str, float]:
    return {row[1]: FOREVER if row[2] is None else row[2] for row in rows if row[0] == kind}
