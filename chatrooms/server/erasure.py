"""What a deleted account leaves besides messages in rooms, and how it is removed.

There may be a lot of it, so it goes in short steps after the commit that ends the account. The table `erasures`
names the users whose steps are not all done, so a crash only interrupts them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from chatrooms.clock import now_ms
from chatrooms.log.database import Database, Row, Transaction
from chatrooms.log.event import MAX_SEQ
from chatrooms.log.retention import LEAST_ROWS, extent_of, in_steps
from chatrooms.rooms.joined import remove_all
from chatrooms.sessions.store import check_unlocked
from chatrooms.tasks import store

_SEQS = "select seq from event_topics where topic = $1 and seq > $2 and seq <= $3 order by seq limit $4"
_LAST_TIME = """
select e.created_at from event_topics t join events e on e.seq = t.seq
where t.topic = $1 and t.seq <= $2 order by t.seq desc limit 1"""

Remove = Callable[[Transaction, Sequence[Row]], Awaitable[None]]


async def begin(tx: Transaction, user_id: str) -> None:
    """Ends the user's memberships in the commit that ends the account, and notes that the rest is to be removed."""
    sql = "insert into erasures (user_id, requested_at) values ($1, $2) on conflict (user_id) do nothing"
    await tx.execute(sql, user_id, now_ms())
    await remove_all(tx, user_id)


async def finish_all(database: Database) -> int:
    """Completes the erasures that were interrupted; returns of how many users."""
    users = await database.fetch("select user_id from erasures")
    for (user_id,) in users:
        await finish(database, user_id)
    return len(users)


async def finish(database: Database, user_id: str) -> None:
    """Removes a user's tasks, private AI replies, notifications, and their sessions' messages since they own them.

    The sessions stay assigned to the user: nobody else is to read what a back end still posts there. Messages from
    now on stay: they may be for the next owner. Raises Unavailable; then `finish_all` does the rest.
    """
    async with database.appending() as tx:  # at one moment: a session may change hands at any later one
        last, until_ms = (await extent_of(tx)).head, now_ms()
        sessions = await tx.fetch("select session_id, since from sessions where owner = $1", user_id)
    await store.forget_tasks_of(database, user_id)
    await in_steps(database, partial(_private_replies, user_id))
    for topic in _own(user_id):
        await _remove_events(database, topic, 0, MAX_SEQ, partial(_take_out, user_id))
    for session_id, since in sessions:
        await _remove_session(database, session_id, since, last, until_ms)
    async with database.appending() as tx:
        await tx.execute("update replies set prompt = '' where user_id = $1 and prompt <> ''", user_id)
        await tx.execute("delete from room_invites where created_by = $1", user_id)
        await tx.execute("delete from erasures where user_id = $1", user_id)


async def _private_replies(user_id: str, tx: Transaction, most: int) -> int:
    rows = await tx.fetch("select id from replies where user_id = $1 and room_id is null limit $2", user_id, most)
    await tx.executemany("delete from replies where id = $1", rows)
    return len(rows)


async def _remove_events(database: Database, topic: str, after: int, last: int, remove: Remove, least: int = 1) -> None:
    """Removes the events of a topic after a seq and up to another, some at a time."""

    async def step(tx: Transaction, most: int) -> int:
        nonlocal after
        seqs = await tx.fetch(_SEQS, topic, after, last, most)
        if seqs:
            after = seqs[-1][0]
            await remove(tx, seqs)
        return len(seqs)

    await in_steps(database, step, least)


async def _take_out(user_id: str, tx: Transaction, seqs: Sequence[Row]) -> None:
    """Takes events out of a user's own topics, and out of the log those in no other topic."""
    for (seq,) in seqs:
        topics = {topic for (topic,) in await tx.fetch("select topic from event_topics where seq = $1", seq)}
        theirs = {topic for topic in topics if topic in _own(user_id) or _is_of_session(topic, user_id)}
        await tx.executemany(
            "delete from event_topics where topic = $1 and seq = $2", [(topic, seq) for topic in theirs]
        )
        if topics == theirs:
            await tx.execute("delete from events where seq = $1", seq)


def _own(user_id: str) -> tuple[str, str]:
    """The topics that are a user's alone, apart from those of their sessions."""
    return f"user:{user_id}", f"notify:{user_id}"


def _is_of_session(topic: str, user_id: str) -> bool:
    """Whether a topic is that of a user's notifications of one session. No session id contains a slash."""
    family, _, rest = topic.partition(":")
    return family == "notify-session" and rest.partition("/")[2] == user_id


async def _remove_session(database: Database, session_id: str, since: int, last: int, until_ms: int) -> None:
    """Removes a session's messages after the seq `since` and up to `last`, the end of the log at `until_ms`.

    Its rows were taken when their events were made.
    """
    topic = f"session:{session_id}"
    others, mine = [await database.fetch(_LAST_TIME, topic, seq) for seq in (since, last)]
    after_ms = others[0][0] if others else 0
    until_ms = max(until_ms, mine[0][0] if mine else 0)  # by the clock of another node
    await check_unlocked(database)
    await in_steps(database, partial(_session_rows, session_id, after_ms, until_ms), LEAST_ROWS)
    await _remove_events(database, topic, since, last, _remove, LEAST_ROWS)


async def _session_rows(session_id: str, after_ms: int, until_ms: int, tx: Transaction, most: int) -> int:
    sql = "select id from session_messages where session_id = $1 and taken_at > $2 and taken_at <= $3 limit $4"
    rows = await tx.fetch(sql, session_id, after_ms, until_ms, most)
    await tx.executemany("delete from session_messages where id = $1", rows)
    return len(rows)


async def _remove(tx: Transaction, seqs: Sequence[Row]) -> None:
    await tx.executemany("delete from events where seq = $1", seqs)
    await tx.executemany("delete from event_topics where seq = $1", seqs)
