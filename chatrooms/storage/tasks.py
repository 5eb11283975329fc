"""Queries about tasks. Times are in milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence

from chatrooms.storage import leases
from chatrooms.storage.database import Database, Row, Source, Transaction
from chatrooms.storage.retention import in_steps
from chatrooms.tasks.task import Task, topic_of

_COLUMNS = "task_id, user_id, title, state, progress, estimated_time, error, node, created_at, updated_at"


async def add(tx: Transaction, task: Task, lease_until: int | None) -> bool:
    """False when there is a task of that id."""
    places = ", ".join(f"${n}" for n in range(1, len(task) + 2))
    sql = f"insert into tasks ({_COLUMNS}, lease_until) values ({places}) on conflict do nothing returning 1"
    return bool(await tx.fetch(sql, *task, lease_until))


async def find(source: Source, task_id: str) -> Task | None:
    rows = await source.fetch(f"select {_COLUMNS} from tasks where task_id = $1", task_id)
    return Task(*rows[0]) if rows else None


async def find_with_seq(source: Source, task_id: str) -> tuple[Task, int] | None:
    """A task and the seq of its last event; 0 when retention has removed that."""
    sql = f"select {_COLUMNS}, (select max(seq) from event_topics where topic = $2) from tasks where task_id = $1"
    rows = await source.fetch(sql, task_id, topic_of(task_id))
    return (Task(*rows[0][:-1]), rows[0][-1] or 0) if rows else None


async def page(source: Source, user_id: str, after: str, state: str, limit: int) -> list[Task]:
    """Tasks of a user, newest first: those after one of them, and in one state, when given."""
    sql = f"""select {_COLUMNS} from tasks where user_id = $1 and ($2 = '' or state = $2)
        and ($3 = '' or (created_at, task_id) < (select created_at, task_id from tasks where task_id = $3))
        order by created_at desc, task_id desc limit $4"""
    return [Task(*row) for row in await source.fetch(sql, user_id, state, after, limit)]


async def update(tx: Transaction, task: Task) -> None:
    """Writes the present state, and takes the event that told the one before out of the log."""
    await tx.execute(
        "update tasks set state = $1, progress = $2, estimated_time = $3, error = $4, updated_at = $5, ended_at = $6 "
        "where task_id = $7",
        task.state, task.progress, task.estimated_time, task.error, task.updated_at,
        task.updated_at if task.ended else None, task.task_id,
    )  # fmt: skip
    await _forget_events(tx, task.task_id)


async def orphans(source: Source, node: str, now: int) -> list[Task]:
    """Unfinished tasks of other nodes whose lease ran out before `now`."""
    return [Task(*row) for row in await leases.orphans(source, "tasks", _COLUMNS, node, now)]


async def count(tx: Transaction, user_id: str) -> int:
    return int((await tx.fetch("select count(*) from tasks where user_id = $1", user_id))[0][0])


async def forget_oldest(tx: Transaction, user_id: str) -> bool:
    """Removes the oldest task of a user that has ended; false when there is none."""
    sql = """select task_id from tasks where user_id = $1 and ended_at is not null
        order by created_at, task_id limit 1"""
    rows = await tx.fetch(sql, user_id)
    for (task_id,) in rows:
        await _forget(tx, task_id)
    return bool(rows)


async def forget_ended(database: Database, before: int) -> int:
    """Removes tasks that ended before that time, with their events and results, in short steps; says how many."""

    async def step(tx: Transaction, most: int) -> int:
        finding = "select task_id from tasks where ended_at < $1 order by ended_at limit $2"
        return await _forget_all(tx, await tx.fetch(finding, before, most))

    return await in_steps(database, step)


async def forget_of(database: Database, user_id: str) -> int:
    """Removes the tasks of a user, whether they have ended or not, as `forget_ended` does."""

    async def step(tx: Transaction, most: int) -> int:
        rows = await tx.fetch("select task_id from tasks where user_id = $1 limit $2", user_id, most)
        return await _forget_all(tx, rows)

    return await in_steps(database, step)


async def _forget_all(tx: Transaction, rows: Sequence[Row]) -> int:
    for (task_id,) in rows:
        await _forget(tx, task_id)
    return len(rows)


async def _forget(tx: Transaction, task_id: str) -> None:
    await _forget_events(tx, task_id)
    await tx.execute("delete from tasks where task_id = $1", task_id)
    await tx.execute("update results set expires_at = 0 where task_id = $1", task_id)


async def _forget_events(tx: Transaction, task_id: str) -> None:
    """The end of a task that a node ran stands in `control`, too."""
    theirs = "where seq in (select seq from event_topics where topic = $1)"
    await tx.execute(f"delete from events {theirs}", topic_of(task_id))
    await tx.execute(f"delete from event_topics {theirs}", topic_of(task_id))
