"""Where tasks are durable: a row, and its last event in the log, in one commit."""

from __future__ import annotations

from chatrooms.clock import now_ms
from chatrooms.errors import Conflict, NotFound, TooMany
from chatrooms.event import CONTROL, Event
from chatrooms.nodes.lease import Lease
from chatrooms.options import Options
from chatrooms.storage import leases
from chatrooms.storage import tasks as queries
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.log import Log
from chatrooms.tasks.task import FAILED, PENDING, Change, Task, changed, topic_of

RETRY_AFTER = 60.0  # seconds, for who has too many tasks

ORPHANED = "The server that ran this task has stopped."


class TaskStore:
    """Writes and reads tasks. Rights are the caller's to check.

    A change takes the event of the state before out of the log, in its own commit: the log keeps the
    last one of each task, however many there were.
    """

    def __init__(self, database: Database, log: Log, lease: Lease, options: Options) -> None:
        self._database = database
        self._log = log
        self._lease = lease
        self._most: int = options.max_tasks_per_user

    async def add(self, task_id: str, user_id: str, title: str, leased: bool = False, limited: bool = True) -> Task:
        """Makes a task; `leased` when this node runs it. Of too many, the oldest that ended give way.

        Raises Conflict for an id that is taken; TooMany `too-many-tasks` when none has ended; Unavailable.
        """
        node, until = (self._lease.node, self._lease.until()) if leased else (None, None)
        now = now_ms()
        task = Task(task_id, user_id, title, PENDING, 0.0, None, None, node, now, now)

        async def command(tx: Transaction) -> list[Event]:
            if await queries.find(tx, task_id) is not None:
                raise Conflict("conflict", "There is a task of that id.")
            if limited and self._most:
                await self._make_room(tx, user_id)
            await queries.add(tx, task, until)
            return [_event(task)]

        await self._log.append((), command)
        return task

    async def change(self, task_id: str, change: Change) -> Task:
        """Changes a task, and returns it when that is durable. Raises NotFound, Conflict, BadRequest, Unavailable."""
        after: Task | None = None

        async def command(tx: Transaction) -> list[Event]:
            nonlocal after
            before = await queries.find(tx, task_id)
            if before is None:
                raise _unknown()
            after = changed(before, change, max(now_ms(), before.updated_at))
            if after._replace(updated_at=before.updated_at) == before:
                after = before
                return []
            await queries.update(tx, after)
            return [_event(after)]

        await self._log.append((), command)
        assert after is not None
        return after

    async def find(self, task_id: str) -> Task:
        """A task as it is. Raises NotFound, Unavailable."""
        task = await queries.find(self._database, task_id)
        if task is None:
            raise _unknown()
        return task

    async def present(self, task_id: str) -> tuple[Task, int]:
        """A task and the position of the event that told its state: all that follows is news.

        Raises NotFound, Unavailable.
        """
        found = await queries.find_with_seq(self._database, task_id)
        if found is None:
            raise _unknown()
        task, seq = found
        if seq > self._log.head:  # committed, but not yet told here: it would come a second time
            await self._log.append(())
        return task, seq or self._log.floor

    async def page(self, user_id: str, after: str, state: str, limit: int) -> list[Task]:
        return await queries.page(self._database, user_id, after, state, limit)

    async def renew(self) -> None:
        async def command(tx: Transaction) -> list[Event]:
            await leases.renew(tx, "tasks", self._lease.node, self._lease.until())
            return []

        await self._log.append((), command)

    async def end_orphans(self, alone: bool) -> None:
        """Fails the tasks of dead nodes; `alone` says that no other node can be alive. Raises Unavailable."""
        for task in await queries.orphans(self._database, self._lease.node, self._lease.run_out(alone)):
            try:
                await self.change(task.task_id, Change(FAILED, error=ORPHANED))
            except (Conflict, NotFound):
                pass  # another node was faster

    async def forget(self, before_ms: int) -> None:
        """Removes the tasks that ended before that time, a few in each transaction."""
        await queries.forget_ended(self._database, before_ms)

    async def _make_room(self, tx: Transaction, user_id: str) -> None:
        if await queries.count(tx, user_id) >= self._most and not await queries.forget_oldest(tx, user_id):
            sentence = f"You have {self._most} unfinished tasks: end some of them first."
            raise TooMany("too-many-tasks", sentence, RETRY_AFTER)


def _event(task: Task) -> Event:
    """The end of a task that a node runs is an order to that node, too."""
    orders = (CONTROL,) if task.ended and task.node is not None else ()
    return Event(task.event, task.data(), (topic_of(task.task_id), *orders))


def _unknown() -> NotFound:
    return NotFound("not-found", "There is no such task.")
