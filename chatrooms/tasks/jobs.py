"""Tasks: made and changed by clients, and run by this server, on whatever node, until they end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec import UNSET, UnsetType

from chatrooms import names
from chatrooms.cluster import LEASE_INTERVAL
from chatrooms.errors import Conflict, Forbidden, NotFound, Problem
from chatrooms.identity import Identity
from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.streams.hub import Hub
from chatrooms.streams.opening import Fields, LogStream
from chatrooms.streams.resume import First, Start
from chatrooms.tasks.store import ORPHANED, TaskStore
from chatrooms.tasks.task import CANCELLED, COMPLETED, FAILED, RUNNING, TASK, Change, Task, topic_of

SERVER = "server"  # the owner of tasks that nobody asked for
FINISH_RETRY = 1.0  # seconds until the end of a task is written again, when the database is away
CLOSING_TIME = 5.0  # seconds that the last writes may take when the server stops

log = logging.getLogger(__name__)


class Job:
    """A task that runs here, for the code that does its work."""

    def __init__(self, store: TaskStore, task: Task) -> None:
        self._store = store
        self.task = task

    @property
    def task_id(self) -> str:
        return self.task.task_id

    async def start(self) -> None:
        """The work begins. Raises Conflict when the task has been ended before; Unavailable."""
        self.task = await self._store.change(self.task_id, Change(RUNNING))

    async def progress(self, percent: float, estimated_time: float | UnsetType | None = UNSET) -> None:
        """Tells how far it is, 0 to 100, and how many seconds are left. Returns when that is durable.

        Raises Conflict when the task has been ended, or when that would go back; Unavailable.
        """
        self.task = await self._store.change(self.task_id, Change(RUNNING, percent, estimated_time))


class Tasks:
    """The tasks of one server. `run` is for Python code; the rest is what HTTP asks for."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._running: dict[str, asyncio.Task[object]] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self, alone: bool) -> None:
        """Fails what dead nodes left, and begins to renew leases. Raises Unavailable."""
        await self._store.end_orphans(alone)
        self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Ends what runs here, as failed."""
        self._closing = True
        if self._ticking is not None:
            self._ticking.cancel()
        running = list(self._running.values())
        for job in running:
            job.cancel()
        if running:
            await asyncio.wait(running, timeout=CLOSING_TIME)

    # In Python

    @asynccontextmanager
    async def run(self, title: str, user_id: str = SERVER) -> AsyncIterator[Job]:
        """A task around a block: `async with tasks.run("Import") as task: await task.progress(40)`.

        It is running from the beginning of the block, and completed at its end. When the block raises, the
        task has failed with the error's sentence, and the exception goes on. Who cancels the task, on any
        node, cancels the asyncio task that runs the block. `user_id` is who may watch it.
        Raises TooMany, Unavailable.
        """
        task = await self.make(title, user_id, leased=True)
        async with self.held(task) as job:
            await job.start()
            yield job

    @asynccontextmanager
    async def held(self, task: Task) -> AsyncIterator[Job]:
        """The same, around a block for a task of this node that was made before: it is pending until it starts."""
        me = asyncio.current_task()
        assert me is not None
        self._running[task.task_id] = me
        ending = Change(COMPLETED)
        try:
            yield Job(self._store, task)
        except asyncio.CancelledError:
            ending = Change(FAILED, error=ORPHANED) if self._closing else Change(CANCELLED)
            raise
        except Problem as problem:
            ending = Change(FAILED, error=problem.sentence)
            raise
        except BaseException as error:
            ending = Change(FAILED, error=_sentence(error))
            raise
        finally:
            # From here on an order to cancel comes too late.
            del self._running[task.task_id]
            await self._finish(task.task_id, ending)

    async def make(
        self, title: str, user_id: str, task_id: str | None = None, leased: bool = False, limited: bool = True
    ) -> Task:
        """A new task; `leased` for one that this node will run. Raises Conflict, TooMany, Unavailable."""
        return await self._store.add(task_id or secrets.token_urlsafe(12), user_id, title, leased, limited)

    async def _finish(self, task_id: str, ending: Change) -> None:
        """Writes how a task ended; it may have been ended by others before."""
        while True:
            try:
                await self._store.change(task_id, ending)
            except (Conflict, NotFound):
                return
            except Exception as error:
                log.warning("the end of a task is not written yet: %s", type(error).__name__)
                if self._closing:  # its lease runs out
                    return
                await asyncio.sleep(FINISH_RETRY)
            else:
                return

    # By HTTP

    async def readable(self, who: Identity, task_id: str) -> Task:
        """A task that somebody may see. Raises NotFound, Forbidden, Unavailable."""
        task = await self._store.find(task_id)
        check_right(who, task)
        return task

    async def present(self, who: Identity, task_id: str) -> tuple[Task, int]:
        """The same, with the position of the event that told its state."""
        task, seq = await self._store.present(task_id)
        check_right(who, task)
        return task, seq

    async def page(self, user_id: str, after: str, state: str, limit: int) -> list[Task]:
        """Tasks of a user, newest first."""
        return await self._store.page(user_id, after, state, limit)

    async def change(self, who: Identity, task_id: str, change: Change) -> Task:
        """Changes a task; one that a server runs can only be cancelled. Raises as `readable`, and Conflict."""
        task = await self.readable(who, task_id)
        if task.node is not None and not task.ended and change != Change(CANCELLED, error=change.error):
            raise Conflict("conflict", "The server runs this task: it can only be cancelled.")
        return await self._store.change(task_id, change)

    def apply(self, event: Event) -> None:
        """Stops the work of a task that was ended, on whatever node; to be called with each control event."""
        if event.type == "error":
            for topic in event.topics:
                if topic.startswith(_PREFIX) and (job := self._running.get(topic.removeprefix(_PREFIX))):
                    job.cancel()

    async def forget(self, before_ms: int) -> None:
        """Removes the tasks that ended before that time."""
        await self._store.forget(before_ms)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(LEASE_INTERVAL)
            try:
                await self._store.renew()
                await self._store.end_orphans(alone=False)
            except Exception as error:  # the database is away: tried again at the next tick
                log.debug("leases of tasks are not renewed: %s", type(error).__name__)


class TaskStream(LogStream):
    """A wish to watch the task `taskId`. Raises BadRequest.

    Its first event is the task's present state; a reader that has seen the end has no stream.
    """

    def __init__(self, tasks: Tasks, hub: Hub, log: Log, who: Identity, fields: Fields) -> None:
        self._task_id = names.task_id(fields.get("taskId", ""))
        super().__init__(hub, log, who, fields, topic_of(self._task_id), TASK)
        self._tasks = tasks
        self._task: Task | None = None
        self._position = 0

    async def check(self) -> int:
        """A task changes, but not whose it is: so it is read once."""
        if self._task is None:
            self._task, self._position = await self._tasks.present(self.who, self._task_id)
        return 0

    async def start(self, asked: str) -> Start | None:
        assert self._task is not None
        if self._task.ended and asked == self.id(self._position):
            return None
        return Start(self._position, True, 0, over=self._task.ended)

    def first(self, start: Start, stream_id: str) -> First:
        assert self._task is not None
        return First(self._task.event, self._task.data())

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        """A poll is told the present state, and nothing follows that."""
        return (), after


def check_right(who: Identity, task: Task) -> None:
    """Raises Forbidden for others than the owner, agents, services and admins."""
    if task.user_id != who.user_id and who.role == "user":
        raise Forbidden("forbidden", "This task belongs to another user.")


def _sentence(error: BaseException) -> str:
    """What an error says, as text that every database takes."""
    return str(error).replace("\0", "").encode(errors="replace").decode().strip() or type(error).__name__


_PREFIX = topic_of("")
