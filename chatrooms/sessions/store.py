"""Session messages: their model, their encoding, and the SQL of sessions, owners and rows of other programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from chatrooms.clock import iso, now_ms
from chatrooms.errors import Unavailable
from chatrooms.log.database import Database, Source, Transaction
from chatrooms.log.event import Event, identified
from chatrooms.log.group import event_of
from chatrooms.log.retention import remove_before
from chatrooms.streams.encoding import Encoding

MESSAGE = "session-message"

ALL = "sessions"  # every session
OPEN = "sessions/open"  # sessions without an owner


class SessionMessage(msgspec.Struct, rename="camel"):
    """The data of a message, without its id; `created_at` in ISO 8601, UTC."""

    session_id: str
    content: str
    is_from_bot: bool
    is_human: bool
    intent: str | None
    robot_id: str | None
    created_at: str

    def event(self, owned: bool) -> Event:
        """The event of this message, in a session with or without an owner."""
        wide = [session_topic(self.session_id), ALL] + ([] if owned else [OPEN])
        narrow = [filtered(topic, self.robot_id) for topic in wide] if self.robot_id is not None else []
        return Event(MESSAGE, msgspec.json.encode(self), (*wide, *narrow))


def session_topic(session_id: str) -> str:
    """The topic of a session's messages."""
    return f"session:{session_id}"


def filtered(topic: str, robot_id: str | None) -> str:
    """The topic of the messages of one robot. No id contains a slash."""
    return topic if robot_id is None else f"{topic}/robot:{robot_id}"


_TIMES = ("timestamp", "expiresAt")


class _Created(msgspec.Struct, rename="camel"):
    created_at: str


class Unnamed(Encoding):
    """Each event is JSON with its `type`, for clients that read by `onmessage`."""

    named = False

    def data(self, event: Event, id: str) -> bytes:
        """`{"type": "message", "data": {…}, "timestamp"}`."""
        created = msgspec.json.decode(event.data, type=_Created).created_at
        return b'{"type":"message","data":%b,"timestamp":"%b"}' % (identified(event.data, id), created.encode())

    def signal_data(self, name: str, data: Mapping[str, object]) -> bytes:
        """`closing` becomes an `error`, which every client of this family knows; other names stay."""
        told = {"timestamp": now_ms(), **data}
        for key in _TIMES:
            if isinstance(time := told.get(key), int):
                told[key] = iso(time)
        if name == "closing":
            reason, reconnect = told.pop("reason"), told.pop("reconnect")
            sentence = f"This stream has ended: {reason}."
            told = {"error": sentence, "code": reason, "reconnect": reconnect, **told}
            name = "error"
        return msgspec.json.encode({"type": name, **told})


UNNAMED = Unnamed()


CHUNK = 500  # values in one query
TAKEN_OUT = 500  # events taken out of a topic by one statement, which blocks appends
BATCH = 50  # rows taken at once: a post in a room may have to wait for them

_PLACES = ", ".join(f"${n}" for n in range(1, BATCH + 1))


class Waiting(NamedTuple):
    """A row of another program that is not in the log yet. Texts are bytes where they may not be UTF-8."""

    id: int
    session_id: str | bytes
    content: str | bytes
    is_from_bot: bool
    is_human: bool
    intent: str | bytes | None
    robot_id: str | bytes | None
    created_at: str | None
    owner: str | bytes | None


class Owner(NamedTuple):
    """The owner of a session, who reads messages after the seq `since`."""

    user_id: str
    since: int


async def owner_of(source: Source, session_id: str) -> Owner | None:
    """The owner of a session, None if it has none."""
    rows = await source.fetch("select owner, since from sessions where session_id = $1", session_id)
    return Owner(*rows[0]) if rows else None


async def owners_of(source: Source, session_ids: Collection[str]) -> dict[str, str]:
    """The userIds of those sessions' owners, if any."""
    found: dict[str, str] = {}
    ids = list(session_ids)
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        places = ", ".join(f"${n}" for n in range(1, len(some) + 1))
        found.update(
            await source.fetch(f"select session_id, owner from sessions where session_id in ({places})", *some)
        )
    return found


async def set_owner(tx: Transaction, session_id: str, owner: Owner, now: int) -> None:
    """Sets the owner of a session; `now` in milliseconds since 1970."""
    sql = """insert into sessions (session_id, owner, since, created_at) values ($1, $2, $3, $4)
    on conflict (session_id) do update set owner = excluded.owner, since = excluded.since"""
    await tx.execute(sql, session_id, *owner, now)


async def has_events(tx: Transaction, topic: str) -> bool:
    return bool(await tx.fetch("select 1 from event_topics where topic = $1 limit 1", topic))


async def take_out(tx: Transaction, source: str, topic: str) -> None:
    """Takes the last TAKEN_OUT events of one topic out of another and its filters (`topic/…`)."""
    # An expression of the topic, so that the rows are found by their few seqs, not by all of that topic.
    await tx.execute(
        "delete from event_topics where seq in "
        "(select seq from event_topics where topic = $1 order by seq desc limit $4) "
        "and (topic = $2 or substr(topic || '', 1, length($3)) = $3)",
        source, topic, f"{topic}/", TAKEN_OUT,
    )  # fmt: skip


async def events_before(source: Source, topic: str, after: int, before: int, limit: int) -> list[Event]:
    """The events of a topic between two seqs, newest first."""
    sql = """select e.seq, e.type, e.data, e.ref from event_topics t join events e on e.seq = t.seq
    where t.topic = $1 and t.seq > $2 and t.seq < $3 and e.type <> 'erased' order by t.seq desc limit $4"""
    return [event_of(row, (topic,)) for row in await source.fetch(sql, topic, after, before, limit)]


async def add(tx: Transaction, row: Sequence[object], now: int) -> None:
    """Stores the row of a posted message; the fields are those of the table, `created_at` in ISO 8601."""
    await tx.execute(
        "insert into session_messages (session_id, content, is_from_bot, is_human, intent, robot_id, "
        "created_at, taken_at) values ($1, $2, $3, $4, $5, $6, cast(cast($7 as text) as text_time), $8)",
        *row, now,
    )  # fmt: skip


async def check_unlocked(source: Source) -> None:
    """Raises Unavailable if a write to the table would have to wait while holding the lock of the log."""
    if await is_locked(source):
        raise Unavailable("unavailable", "Another program has locked the messages table.", 1)


async def is_locked(source: Source) -> bool:
    """Whether a write to the table would have to wait for another program."""
    return bool(await source.fetch("select 1 from session_messages_locked limit 1"))


async def waiting(source: Source, limit: int) -> list[int]:
    """The ids of the next rows of other programs not taken yet."""
    sql = "select id from session_messages where taken_at is null order by id limit $1"
    return [id for (id,) in await source.fetch(sql, limit)]


async def any_waiting(source: Source, ids: Sequence[int]) -> bool:
    """Whether any of these rows (at most BATCH) is not taken yet."""
    sql = f"select 1 from session_messages where id in ({_PLACES}) and taken_at is null limit 1"
    return bool(await source.fetch(sql, *_padded(ids)))


async def take(tx: Transaction, ids: Sequence[int], now: int) -> list[Waiting]:
    """Marks the rows as taken, except those taken or locked already; returns them in the order of their ids."""
    sql = f"select * from session_outbox where id in ({_PLACES}) order by id"
    rows = [Waiting(*row) for row in await tx.fetch(sql, *_padded(ids))]
    if rows:
        marking = f"update session_messages set taken_at = ${BATCH + 1} where id in ({_PLACES})"
        await tx.execute(marking, *_padded([row.id for row in rows]), now)
    return rows


async def refuse(tx: Transaction, reasons: Sequence[tuple[int, str]]) -> None:
    """Stores why taken rows did not get into the log, as (id, sentence)."""
    rows = [(reason, id) for id, reason in reasons]
    await tx.executemany("update session_messages set refused = $1 where id = $2", rows)


async def forget(database: Database, before: int) -> int:
    """Removes rows that were taken before that time (milliseconds since 1970), in short steps; returns how many.

    Raises Unavailable.
    """
    await check_unlocked(database)
    return await remove_before(database, "session_messages", "id", "taken_at", before)


def _padded(ids: Sequence[int]) -> list[int]:
    """Pads the values to the number of places, so that it is always the same statement; no row has the id 0."""
    return [*ids, *[0] * (BATCH - len(ids))]
