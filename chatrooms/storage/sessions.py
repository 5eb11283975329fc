"""Queries about message sessions: their owners, and the table that other programs write to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from chatrooms.storage.database import Database, Source, Transaction

CHUNK = 500  # values in one query


class Waiting(NamedTuple):
    """A row of another program that is not in the log yet. Its texts are bytes where they may be no UTF-8."""

    id: int
    session_id: str | bytes
    content: str | bytes
    is_from_bot: bool
    is_human: bool
    intent: str | bytes | None
    robot_id: str | bytes | None
    created_at: str | None


async def owner_of(source: Source, session_id: str) -> str | None:
    """The userId of a session's owner, or None for a session that has none."""
    return (await owners_of(source, [session_id])).get(session_id)


async def owners_of(source: Source, session_ids: Collection[str]) -> dict[str, str]:
    """The owners of those sessions that have one."""
    found: dict[str, str] = {}
    ids = list(session_ids)
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        places = ", ".join(f"${n}" for n in range(1, len(some) + 1))
        found.update(
            await source.fetch(f"select session_id, owner from sessions where session_id in ({places})", *some)
        )
    return found


async def claim(tx: Transaction, session_id: str, owner: str, now: int) -> None:
    """Gives a session that has no owner one; `now` in milliseconds since 1970."""
    await tx.execute("insert into sessions (session_id, owner, created_at) values ($1, $2, $3)", session_id, owner, now)


async def has_events(tx: Transaction, topic: str) -> bool:
    return bool(await tx.fetch("select 1 from event_topics where topic = $1 limit 1", topic))


async def take_out(tx: Transaction, source: str, topic: str) -> None:
    """Takes the events of one topic out of another, and of that one's own filters (`topic/…`)."""
    await tx.execute(
        "delete from event_topics where seq in (select seq from event_topics where topic = $1) "
        "and (topic = $2 or (topic > $3 and topic < $4))",
        source, topic, f"{topic}/", f"{topic}0",  # "0" follows "/"
    )  # fmt: skip


async def add(tx: Transaction, row: Sequence[object], now: int) -> None:
    """Leaves a row of a message of ours; its fields are those of the table, `created_at` ISO 8601."""
    await tx.execute(
        "insert into session_messages (session_id, content, is_from_bot, is_human, intent, robot_id, "
        "created_at, taken_at) values ($1, $2, $3, $4, $5, $6, cast(cast($7 as text) as text_time), $8)",
        *row, now,
    )  # fmt: skip


async def is_waiting(source: Source) -> bool:
    """Whether there are rows of other programs to be taken."""
    return bool(await source.fetch("select 1 from session_messages where taken_at is null limit 1"))


async def waiting(tx: Transaction, limit: int) -> list[Waiting]:
    """The next rows of other programs, in the order of their ids."""
    return [Waiting(*row) for row in await tx.fetch("select * from session_outbox limit $1", limit)]


async def mark(tx: Transaction, ids: Sequence[int], now: int) -> None:
    """Notes that rows were taken."""
    await tx.executemany("update session_messages set taken_at = $1 where id = $2", [(now, id) for id in ids])


async def refuse(tx: Transaction, reasons: Sequence[tuple[int, str]], now: int) -> None:
    """Notes that rows cannot be taken, and why: (id, sentence) each."""
    rows = [(now, reason, id) for id, reason in reasons]
    await tx.executemany("update session_messages set taken_at = $1, refused = $2 where id = $3", rows)


async def forget(database: Database, before: int, most: int = 1000) -> None:
    """Removes rows that were taken before that time (milliseconds since 1970), in short steps."""
    while True:
        async with database.transaction() as tx:
            rows = await tx.fetch(
                "delete from session_messages where id in "
                "(select id from session_messages where taken_at < $1 order by id limit $2) returning id",
                before, most,
            )  # fmt: skip
        if len(rows) < most:
            return
