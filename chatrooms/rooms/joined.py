"""Queries about memberships, and about the events that reach a user through them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from chatrooms.log.database import Source, Transaction
from chatrooms.log.event import Event
from chatrooms.log.group import event_of
from chatrooms.log.retention import extent_of

FIRST_SPAN = 1000  # seqs of the log searched by one query
GROWTH = 8  # factor by which the span grows where little was found,
MOST_SPAN = 32_000  # up to this: a dense part may follow a sparse one
MAX_PAIRS = 250  # pairs joined by one transaction

Pair = tuple[str, str]  # user id, room id

_READABLE = """(
  $2 = 1 or coalesce(r.private, 0) = 0 or r.owner = $1
  or exists (select 1 from room_members x where x.room_id = m.room_id and x.user_id = $1))"""

_ROOMS = f"""
select m.room_id, r.title, coalesce(r.private, 0), case when {_READABLE} then 1 else 0 end
from memberships m left join rooms r on r.room_id = m.room_id where m.user_id = $1 order by m.room_id"""

_THEIRS = f"""
from events e where e.type <> 'erased' and e.seq in (
  select t.seq from memberships m left join rooms r on r.room_id = m.room_id
    join event_topics t on t.topic = 'room:' || m.room_id and t.seq > m.since
    where m.user_id = $1 and {_READABLE} and t.seq > $4 and t.seq <= $5
  union select seq from event_topics where topic = $3 and seq > $4 and seq <= $5)"""
_READ = f"select e.seq, e.type, e.data, e.ref {_THEIRS} order by e.seq limit $6"
# No event is both in a room and in a user's own topic; and the limit stands inside, as in `log.py`.
_COUNT = f"""
select count(*), coalesce(sum(case when type = 'erased' then 1 else 0 end), 0) from (
  select e.type from memberships m left join rooms r on r.room_id = m.room_id
    join event_topics t on t.topic = 'room:' || m.room_id and t.seq > m.since
    join events e on e.seq = t.seq
    where m.user_id = $1 and {_READABLE} and t.seq > $4 and t.seq <= $5
  union all
  select e.type from event_topics t join events e on e.seq = t.seq
    where t.topic = $3 and t.seq > $4 and t.seq <= $5
  limit $6) found"""

# Rows are (user, room, what): who has joined, is banned, or is no member of a private room; and no room.
_LOOKED_UP = """
with asked (user_id, room_id) as (values {places})
select a.user_id, a.room_id, 'joined' from asked a
  join memberships m on m.user_id = a.user_id and m.room_id = a.room_id
union all select a.user_id, a.room_id, 'banned' from asked a
  join room_restrictions b on b.room_id = a.room_id and b.user_id = a.user_id
  where b.kind = 'ban' and (b.until is null or b.until > $1)
union all select a.user_id, a.room_id, 'private' from asked a join rooms r on r.room_id = a.room_id
  where r.private = 1 and coalesce(r.owner, '') <> a.user_id
  and not exists (select 1 from room_members x where x.room_id = a.room_id and x.user_id = a.user_id)
union all select a.user_id, a.room_id, 'unmade' from asked a
  where not exists (select 1 from rooms r where r.room_id = a.room_id)"""


class Joined(NamedTuple):
    """A room that a user has joined; `readable` under the present rules."""

    room_id: str
    title: str | None
    private: bool
    readable: bool


class Asked(NamedTuple):
    """What the database says about users that are to join rooms.

    Those who have joined, those who may not read the room unless they are above its rules, those whose
    room nobody has made; and how many rooms each user has joined.
    """

    joined: set[Pair]
    barred: set[Pair]
    unmade: set[Pair]
    counts: Counter[str]


class Inbox(NamedTuple):
    """Which events to read: those of the rooms a user has joined, and of a topic of the user's own.

    `trusted` readers are above the rules of rooms.
    """

    user_id: str
    trusted: bool
    topic: str


async def rooms_of(source: Source, user_id: str, trusted: bool) -> list[Joined]:
    """The rooms that a user has joined, in order."""
    rows = await source.fetch(_ROOMS, user_id, int(trusted))
    return [Joined(room_id, title, bool(private), bool(readable)) for room_id, title, private, readable in rows]


async def read(source: Source, inbox: Inbox, after: int, head: int, limit: int) -> tuple[list[Event], int]:
    """The next events of an inbox after a seq and up to `head`, and the seq up to which they are complete."""
    found: list[Event] = []
    span = FIRST_SPAN  # bounds what one query sorts, however far behind the reader is
    while after < head and len(found) < limit:
        last, wanted = min(head, after + span), limit - len(found)
        rows = await source.fetch(_READ, inbox.user_id, int(inbox.trusted), inbox.topic, after, last, wanted)
        found += [event_of(row) for row in rows]
        after, span = found[-1].seq if len(rows) == wanted else last, min(span * GROWTH, MOST_SPAN)
    return found, after


async def count(source: Source, inbox: Inbox, after: int, head: int, most: int) -> int:
    """How many events an inbox has after a seq, up to `head`: at most `most`, which also stands for more."""
    rows = await source.fetch(_COUNT, inbox.user_id, int(inbox.trusted), inbox.topic, after, head, most)
    ((looked_at, erased),) = rows
    return most if looked_at == most else int(looked_at - erased)


async def look_up(tx: Transaction, pairs: Collection[Pair], now: int) -> Asked:
    """What keeps users (at most MAX_PAIRS) from joining rooms; `now` in milliseconds since 1970."""
    places = ", ".join(f"(${2 * n + 2}, ${2 * n + 3})" for n in range(len(pairs)))
    rows = await tx.fetch(_LOOKED_UP.format(places=places), now, *(part for pair in pairs for part in pair))
    found: dict[str, set[Pair]] = {"joined": set(), "unmade": set(), "banned": set(), "private": set()}
    for user_id, room_id, what in rows:
        found[what].add((user_id, room_id))
    users = sorted({user_id for user_id, _ in pairs})
    places = ", ".join(f"${n}" for n in range(1, len(users) + 1))
    sql = f"select user_id, count(*) from memberships where user_id in ({places}) group by user_id"
    counts = Counter({user_id: int(count) for user_id, count in await tx.fetch(sql, *users)})
    return Asked(found["joined"], found["banned"] | found["private"], found["unmade"], counts)


async def add(tx: Transaction, pairs: Sequence[Pair], now: int) -> None:
    """Adds memberships that do not exist yet, from the present head on; `now` in milliseconds since 1970."""
    if pairs:
        head = (await extent_of(tx)).head
        rows = [(*pair, head, now) for pair in pairs]
        await tx.insert("memberships", ("user_id", "room_id", "since", "joined_at"), rows)


async def remove(tx: Transaction, user_id: str, room_id: str) -> bool:
    """Ends a membership; false if there was none."""
    sql = "delete from memberships where user_id = $1 and room_id = $2 returning user_id"
    return bool(await tx.fetch(sql, user_id, room_id))


async def remove_all(tx: Transaction, user_id: str) -> None:
    """Ends all memberships of a user."""
    await tx.execute("delete from memberships where user_id = $1", user_id)
