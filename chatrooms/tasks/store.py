"""Storage of tasks: a row and its last event in the log, in one commit."""

from __future__ import annotations

from collections.abc import Sequence

from chatrooms.clock import now_ms
from chatrooms.cluster import Lease, orphans, renew_leases
from chatrooms.errors import Conflict, NotFound, TooMany
from chatrooms.log.database import Database, Row, Source, Transaction
from chatrooms.log.event import CONTROL, Event
from chatrooms.log.log import Log
from chatrooms.log.retention import in_steps
from chatrooms.options import Options
from chatrooms.tasks.task import FAILED, PENDING, Change, Task, changed, topic_of

RETRY_AFTER = 60.0  # seconds, for a user with too many tasks

ORPHANED = "The server that ran this task has stopped."


class TaskStore:
    """Writes and reads tasks. The caller checks rights.

    A change takes the event of the state before out of the log, in its own commit: the log keeps the
    last one of each task, however many there were.
    """

    def __init__(self, database: Database, log: Log, lease: Lease, options: Options) -> None:
        self._database = database
        self._log = log
        self._lease = lease
        self._most: int = options.max_tasks_per_user

    async def add(self, task_id: str, user_id: str, title: str, leased: bool = False, limited: bool = True) -> Task:
        """Creates a task; `leased` if this node runs it. If there are too many, the oldest finished one is removed.

        Raises Conflict for an id that is taken; TooMany `too-many-tasks` when none has ended; Unavailable.
        """
        node, until = (self._lease.node, self._lease.until()) if leased else (None, None)
        now = now_ms()
        task = Task(task_id, user_id, title, PENDING, 0.0, None, None, node, now, now)

        async def command(tx: Transaction) -> list[Event]:
            if await find_task(tx, task_id) is not None:
                raise Conflict("conflict", "A task with that id already exists.")
            if limited and self._most:
                await self._make_room(tx, user_id)
            await add_task(tx, task, until)
            return [_event(task)]

        await self._log.append((), command)
        return task

    async def change(self, task_id: str, change: Change) -> Task:
        """Changes a task; returns it when that is durable. Raises NotFound, Conflict, BadRequest, Unavailable."""
        after: Task | None = None

        async def command(tx: Transaction) -> list[Event]:
            nonlocal after
            before = await find_task(tx, task_id)
            if before is None:
                raise _unknown()
            after = changed(before, change, max(now_ms(), before.updated_at))
            if after._replace(updated_at=before.updated_at) == before:
                after = before
                return []
            await update_task(tx, after)
            return [_event(after)]

        await self._log.append((), command)
        assert after is not None
        return after

    async def find(self, task_id: str) -> Task:
        """A task in its present state. Raises NotFound, Unavailable."""
        task = await find_task(self._database, task_id)
        if task is None:
            raise _unknown()
        return task

    async def present(self, task_id: str) -> tuple[Task, int]:
        """A task and the position of the event with its present state: everything after that is news.

        Raises NotFound, Unavailable.
        """
        found = await find_task_with_seq(self._database, task_id)
        if found is None:
            raise _unknown()
        task, seq = found
        if seq > self._log.head:  # committed but not announced here yet: it would come a second time
            await self._log.append(())
        return task, seq or self._log.floor

    async def page(self, user_id: str, after: str, state: str, limit: int) -> list[Task]:
        return await page_of_tasks(self._database, user_id, after, state, limit)

    async def renew(self) -> None:
        async def command(tx: Transaction) -> list[Event]:
            await renew_leases(tx, "tasks", self._lease.node, self._lease.until())
            return []

        await self._log.append((), command)

    async def end_orphans(self, alone: bool) -> None:
        """Fails the tasks of dead nodes; `alone` says that no other node can be alive. Raises Unavailable."""
        for task in await orphaned_tasks(self._database, self._lease.node, self._lease.run_out(alone)):
            try:
                await self.change(task.task_id, Change(FAILED, error=ORPHANED))
            except (Conflict, NotFound):
                pass  # another node was faster

    async def forget(self, before_ms: int) -> None:
        """Removes tasks that ended before that time, a few per transaction."""
        await forget_ended_tasks(self._database, before_ms)

    async def _make_room(self, tx: Transaction, user_id: str) -> None:
        if await count_tasks(tx, user_id) >= self._most and not await forget_oldest_task(tx, user_id):
            sentence = f"You have {self._most} unfinished tasks: finish or cancel some of them first."
            raise TooMany("too-many-tasks", sentence, RETRY_AFTER)


def _event(task: Task) -> Event:
    """The event of a task's state; the end of one that a node runs is also an order to that node."""
    orders = (CONTROL,) if task.ended and task.node is not None else ()
    return Event(task.event, task.data(), (topic_of(task.task_id), *orders))


def _unknown() -> NotFound:
    return NotFound("not-found", "There is no such task.")


_COLUMNS = "task_id, user_id, title, state, progress, estimated_time, error, node, created_at, updated_at"


async def add_task(tx: Transaction, task: Task, lease_until: int | None) -> bool:
    """False if there is already a task of that id."""
    places = ", ".join(f"${n}" for n in range(1, len(task) + 2))
    sql = f"insert into tasks ({_COLUMNS}, lease_until) values ({places}) on conflict do nothing returning 1"
    return bool(await tx.fetch(sql, *task, lease_until))


async def find_task(source: Source, task_id: str) -> Task | None:
    rows = await source.fetch(f"select {_COLUMNS} from tasks where task_id = $1", task_id)
    return Task(*rows[0]) if rows else None


async def find_task_with_seq(source: Source, task_id: str) -> tuple[Task, int] | None:
    """A task and the seq of its last event, 0 if retention has removed it."""
    sql = f"select {_COLUMNS}, (select max(seq) from event_topics where topic = $2) from tasks where task_id = $1"
    rows = await source.fetch(sql, task_id, topic_of(task_id))
    return (Task(*rows[0][:-1]), rows[0][-1] or 0) if rows else None


async def page_of_tasks(source: Source, user_id: str, after: str, state: str, limit: int) -> list[Task]:
    """Tasks of a user, newest first; after one of them and in one state, if given."""
    sql = f"""select {_COLUMNS} from tasks where user_id = $1 and ($2 = '' or state = $2)
        and ($3 = '' or (created_at, task_id) < (select created_at, task_id from tasks where task_id = $3))
        order by created_at desc, task_id desc limit $4"""
    return [Task(*row) for row in await source.fetch(sql, user_id, state, after, limit)]


async def update_task(tx: Transaction, task: Task) -> None:
    """Writes the new state and removes the event of the previous one from the log."""
    await tx.execute(
        "update tasks set state = $1, progress = $2, estimated_time = $3, error = $4, updated_at = $5, ended_at = $6 "
        "where task_id = $7",
        task.state, task.progress, task.estimated_time, task.error, task.updated_at,
        task.updated_at if task.ended else None, task.task_id,
    )  # fmt: skip
    await _forget_events(tx, task.task_id)


async def orphaned_tasks(source: Source, node: str, now: int) -> list[Task]:
    """Unfinished tasks of other nodes whose lease expired before `now`."""
    return [Task(*row) for row in await orphans(source, "tasks", _COLUMNS, node, now)]


async def count_tasks(tx: Transaction, user_id: str) -> int:
    return int((await tx.fetch("select count(*) from tasks where user_id = $1", user_id))[0][0])


async def forget_oldest_task(tx: Transaction, user_id: str) -> bool:
    """Removes a user's oldest finished task; false if there is none."""
    sql = """select task_id from tasks where user_id = $1 and ended_at is not null
        order by created_at, task_id limit 1"""
    rows = await tx.fetch(sql, user_id)
    for (task_id,) in rows:
        await _forget(tx, task_id)
    return bool(rows)


async def forget_ended_tasks(database: Database, before: int) -> int:
    """Removes tasks that ended before that time, with their events and results, in short steps; returns how many."""

    async def step(tx: Transaction, most: int) -> int:
        finding = "select task_id from tasks where ended_at < $1 order by ended_at limit $2"
        return await _forget_all(tx, await tx.fetch(finding, before, most))

    return await in_steps(database, step)


async def forget_tasks_of(database: Database, user_id: str) -> int:
    """Removes all tasks of a user, finished or not, as `forget_ended_tasks` does."""

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
    """Removes a task's events; the end of one that a node ran is also in `control`."""
    theirs = "where seq in (select seq from event_topics where topic = $1)"
    await tx.execute(f"delete from events {theirs}", topic_of(task_id))
    await tx.execute(f"delete from event_topics {theirs}", topic_of(task_id))
