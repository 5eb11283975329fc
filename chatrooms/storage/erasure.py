"""What a user leaves behind besides messages in rooms, and how it is removed when the account goes.

It may be much, so it goes in short steps after the commit that ends the account; the table `erasures` says
whose steps are not all done, after a crash too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chatrooms.clock import now_ms
from chatrooms.storage import tasks
from chatrooms.storage.database import Database, Row, Transaction
from chatrooms.storage.retention import in_steps

_SEQS_OF_USER = "select distinct seq from event_topics where topic in ($1, $2) order by seq limit $3"
_SEQS_OF_SESSION = "select seq from event_topics where topic = $1 and seq > $2 order by seq limit $3"
_LAST_OF_OTHERS = """
select e.created_at from event_topics t join events e on e.seq = t.seq
where t.topic = $1 and t.seq <= $2 order by t.seq desc limit 1"""


async def begin(tx: Transaction, user_id: str) -> None:
    """Notes, in the commit that ends an account, that all that is its own is to be removed."""
    sql = "insert into erasures (user_id, requested_at) values ($1, $2) on conflict (user_id) do nothing"
    await tx.execute(sql, user_id, now_ms())


async def finish_all(database: Database) -> int:
    """Removes what is left of those whose erasure was begun; says of how many users."""
    users = await database.fetch("select user_id from erasures")
    for (user_id,) in users:
        await finish(database, user_id)
    return len(users)


async def finish(database: Database, user_id: str) -> None:
    """Removes a user's tasks, private AI replies, notifications, and what their sessions have said since they own them.

    The sessions stay theirs: nobody else is to read what a back end still says there. Raises Unavailable; then
    the rest is for `finish_all`.
    """
    await tasks.forget_of(database, user_id)
    await in_steps(database.appending, partial(_private_replies, user_id))
    await in_steps(database.appending, partial(_notifications, user_id))
    for session_id, since in await database.fetch("select session_id, since from sessions where owner = $1", user_id):
        others = await database.fetch(_LAST_OF_OTHERS, f"session:{session_id}", since)
        await in_steps(database.appending, partial(_session_rows, session_id, others[0][0] if others else 0))
        await in_steps(database.appending, partial(_session_events, f"session:{session_id}", since))
    async with database.appending() as tx:
        await tx.execute("update replies set prompt = '' where user_id = $1 and prompt <> ''", user_id)
        await tx.execute("delete from room_invites where created_by = $1", user_id)
        await tx.execute("delete from erasures where user_id = $1", user_id)


async def _private_replies(user_id: str, tx: Transaction, most: int) -> int:
    rows = await tx.fetch("select id from replies where user_id = $1 and room_id is null limit $2", user_id, most)
    await tx.executemany("delete from replies where id = $1", rows)
    return len(rows)


async def _notifications(user_id: str, tx: Transaction, most: int) -> int:
    """Takes the next events out of a user's own topics, and out of the log those that are in no other."""
    own = (f"user:{user_id}", f"notify:{user_id}")
    seqs = await tx.fetch(_SEQS_OF_USER, *own, most)
    for (seq,) in seqs:
        topics = {topic for (topic,) in await tx.fetch("select topic from event_topics where seq = $1", seq)}
        theirs = {topic for topic in topics if topic in own or _is_of_session(topic, user_id)}
        await tx.executemany(
            "delete from event_topics where topic = $1 and seq = $2", [(topic, seq) for topic in theirs]
        )
        if topics == theirs:
            await tx.execute("delete from events where seq = $1", seq)
    return len(seqs)


def _is_of_session(topic: str, user_id: str) -> bool:
    """Whether a topic is that of a user's notifications of one session; no session's id has a slash."""
    family, _, rest = topic.partition(":")
    return family == "notify-session" and rest.partition("/")[2] == user_id


async def _session_events(topic: str, since: int, tx: Transaction, most: int) -> int:
    return await _remove(tx, await tx.fetch(_SEQS_OF_SESSION, topic, since, most))


async def _session_rows(session_id: str, after_ms: int, tx: Transaction, most: int) -> int:
    """Rows were taken when their events were made; what was said to a former owner stays."""
    sql = "select id from session_messages where session_id = $1 and taken_at > $2 limit $3"
    rows = await tx.fetch(sql, session_id, after_ms, most)
    await tx.executemany("delete from session_messages where id = $1", rows)
    return len(rows)


async def _remove(tx: Transaction, seqs: Sequence[Row]) -> int:
    await tx.executemany("delete from events where seq = $1", seqs)
    await tx.executemany("delete from event_topics where seq = $1", seqs)
    return len(seqs)
