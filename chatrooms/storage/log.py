"""The log: every durable event, in one total order, appended in groups.

Appends that arrive while one commit is under way go together in the next. A caller is answered,
and the event handed to its readers, only after the commit: nobody sees an event that a crash can
take back.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from chatrooms.errors import Problem, Unavailable
from chatrooms.event import Event, Position
from chatrooms.storage.database import Row, SQLite, Transaction

MAX_GROUP = 512  # events in one commit
PROBE = 1.0  # seconds between two looks at a database that failed
MAX_WAITING = 20_000  # events waiting for a commit; beyond it a write is refused, not queued
ERASED = "erased"

Command = Callable[[Transaction], Awaitable[Sequence[Event]]]
Listener = Callable[[Sequence[Event]], None]
HealthListener = Callable[[bool], None]

_READ = """
select e.seq, e.type, e.data, e.ref from event_topics t join events e on e.seq = t.seq
where t.topic = $1 and t.seq > $2 and t.seq <= $3 and e.type <> 'erased' order by t.seq limit $4"""
_COUNT = """
select count(*) from event_topics t join events e on e.seq = t.seq
where t.topic = $1 and t.seq > $2 and t.seq <= $3 and e.type <> 'erased'"""

log = logging.getLogger(__name__)


class Appended(NamedTuple):
    """What became of an event: the one in the log, and whether it had been there before."""

    event: Event
    repeated: bool


class _Job:
    """One caller's append: the events it brings, or a command that makes them in the transaction."""

    __slots__ = ("command", "events", "future", "outcome")

    def __init__(self, events: Sequence[Event], command: Command | None) -> None:
        self.events = events
        self.command = command
        self.future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self.outcome: list[Appended] | Problem = []


class Log:
    """Append, read, head, epoch.

    `head` is the seq of the last committed event and `floor` that of the last one that retention
    has removed; both change in the same step in which `listener` gets the events.
    """

    def __init__(self, database: SQLite, listener: Listener, on_health: HealthListener = lambda well: None) -> None:
        self._database = database
        self._listener = listener
        self._on_health = on_health
        self._probe: asyncio.Task[None] | None = None
        self._waiting: deque[_Job] = deque()
        self._waiting_events = 0
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self.epoch = ""
        self.head = 0
        self.floor = 0

    async def open(self) -> None:
        """Reads where the log stands, and starts to write."""
        async with self._database.transaction() as tx:
            await tx.execute("insert into meta values ('epoch', $1) on conflict (name) do nothing", new_epoch())
            meta = {name: value for name, value in await tx.fetch("select name, value from meta")}
            rows = await tx.fetch("select seq from sqlite_sequence where name = 'events'")
        self.epoch = meta["epoch"]
        self.floor = int(meta.get("floor", 0))
        self.head = max(self.floor, rows[0][0] if rows else 0)
        self._writer = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Commits what is waiting and stops."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await self._writer
        if self._probe is not None:
            self._probe.cancel()

    @property
    def well(self) -> bool:
        """Whether the last write that was tried went through."""
        return self._probe is None

    async def append(self, events: Sequence[Event], command: Command | None = None) -> list[Appended]:
        """Appends the events, in one commit and in order, and returns when they are durable.

        An event whose `key` is in the log already is not appended: its first appearance is returned
        instead. `command`, when given, runs in the same transaction before and may return more
        events; it must check before it writes, since a Problem that it raises fails this append
        alone, without a rollback.

        Raises Unavailable when too many appends wait or the database fails.
        """
        if self._closing or self._waiting_events > MAX_WAITING:
            raise Unavailable("unavailable", "The server cannot take writes right now.", retry_after=1)
        job = _Job(events, command)
        self._waiting.append(job)
        self._waiting_events += _size(job)
        self._wake.set()
        return await job.future

    async def read(self, topic: str, after: int, limit: int) -> list[Event]:
        """The next events of a topic after a seq, oldest first, as they are now.

        None beyond `head` as it is at the call: what is committed but not yet handed to the
        listener would reach a reader twice.
        """
        rows = await self._database.fetch(_READ, topic, after, self.head, limit)
        return [_event(row, topic) for row in rows]

    async def count(self, topic: str, after: int) -> int:
        """How many events a topic has after a seq, up to `head`."""
        rows = await self._database.fetch(_COUNT, topic, after, self.head)
        return int(rows[0][0])

    def knows(self, position: Position) -> bool:
        """Whether all that followed that position is still there to be read."""
        return position.epoch == self.epoch and self.floor <= position.seq <= self.head

    async def forget(self, before_ms: int) -> int:
        """Removes the events made before that time (milliseconds since 1970); returns how many.

        In steps that each hold the write lock briefly. Raises nothing of its own.
        """
        removed = 0
        while step := await self._forget_step(before_ms):
            removed += step
        return removed

    async def _forget_step(self, before_ms: int, most: int = 1000) -> int:
        async with self._database.transaction() as tx:
            rows = await tx.fetch(
                "select seq from events where seq > $1 and created_at < $2 order by seq limit $3",
                self.floor, before_ms, most,
            )  # fmt: skip
            if not rows:
                return 0
            floor = rows[-1][0]
            await tx.execute("delete from event_topics where seq <= $1", floor)
            await tx.execute("delete from events where seq <= $1", floor)
            await tx.execute(
                "insert into meta values ('floor', $1) on conflict (name) do update set value = excluded.value",
                str(floor),
            )
        self.floor = floor
        return len(rows)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._commit_or_split(self._take_group())
            if self._closing:
                return

    def _take_group(self) -> list[_Job]:
        jobs, size = [], 0
        while self._waiting and size < MAX_GROUP:
            job = self._waiting.popleft()
            jobs.append(job)
            size += _size(job)
            self._waiting_events -= _size(job)
        return jobs

    async def _commit_or_split(self, jobs: list[_Job]) -> None:
        """Commits a group; one that fails is tried one by one, so that one bad row fails alone.

        Not when the database is away: each try would wait for it as long as the first.
        """
        try:
            await self._commit(jobs)
        except Unavailable as problem:
            self._fail(jobs, problem)
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    await self._commit_or_split([job])
                return
            log.error("append failed: %s: %s", type(error).__name__, error)
            self._fail(jobs, Unavailable("unavailable", "The database did not take the write.", retry_after=1))

    def _fail(self, jobs: list[_Job], problem: Unavailable) -> None:
        for job in jobs:
            _answer(job, problem)
        self._fell_ill()

    def _fell_ill(self) -> None:
        if self._probe is None and not self._closing:
            self._on_health(False)
            self._probe = asyncio.create_task(self._wait_until_well())

    async def _wait_until_well(self) -> None:
        """Tries a write now and then, so that recovery is seen when nobody posts."""
        while True:
            await asyncio.sleep(PROBE)
            try:
                async with self._database.transaction() as tx:
                    await tx.execute("update meta set value = value where name = 'epoch'")
            except Exception as error:
                log.debug("the database is still away: %s", error)
            else:
                self._probe = None
                self._on_health(True)
                return

    async def _commit(self, jobs: list[_Job]) -> None:
        group = _Group(self.head)
        async with self._database.transaction() as tx:
            await group.look_up(tx, jobs)
            for job in jobs:
                job.outcome = await group.run(tx, job)
            await group.insert(tx)
        # From here to the answers there is no await: head, readers and callers agree.
        self.head = group.head
        if group.added:
            self._listener(group.added)
        for job in jobs:
            _answer(job, job.outcome)


class _Group:
    """The events of one commit: numbers them in order and drops those already known by key."""

    def __init__(self, head: int) -> None:
        self.head = head
        self.added: list[Event] = []
        self._inserted = 0
        self._known: dict[str, Event] = {}

    async def look_up(self, tx: Transaction, jobs: Sequence[_Job]) -> None:
        keys = [event.key for job in jobs for event in job.events if event.key is not None]
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            places = ", ".join(f"${n}" for n in range(1, len(some) + 1))
            rows = await tx.fetch(f"select seq, type, data, ref, key from events where key in ({places})", *some)
            self._known.update((row[4], _event(row[:4])) for row in rows)

    async def run(self, tx: Transaction, job: _Job) -> list[Appended] | Problem:
        events = job.events
        if job.command is not None:
            # A command must find what stands before it: a deletion erases an edit of the same group.
            await self.insert(tx)
            try:
                events = [*events, *await job.command(tx)]
            except Problem as problem:
                return problem
        return [self._add(event) for event in events]

    async def insert(self, tx: Transaction) -> None:
        """Writes what was added since the last call."""
        events, self._inserted = self.added[self._inserted :], len(self.added)
        if not events:
            return
        now = time.time_ns() // 1_000_000
        await tx.executemany(
            "insert into events (seq, type, data, key, ref, created_at) values ($1, $2, $3, $4, $5, $6)",
            [(e.seq, e.type, e.data.decode(), e.key, e.ref, now) for e in events],
        )
        await tx.executemany(
            "insert into event_topics (topic, seq) values ($1, $2)",
            [(topic, e.seq) for e in events for topic in e.topics],
        )

    def _add(self, event: Event) -> Appended:
        if event.key is not None:
            if first := self._known.get(event.key):
                return Appended(first, True)
            self._known[event.key] = event
        self.head += 1
        event.seq = self.head
        self.added.append(event)
        return Appended(event, False)


def new_epoch() -> str:
    """A name for a new life of a database."""
    return secrets.token_hex(4)


def _size(job: _Job) -> int:
    """What a job counts for: a command makes about one event."""
    return max(1, len(job.events))


def _answer(job: _Job, outcome: list[Appended] | Problem) -> None:
    if job.future.done():  # the caller went away
        return
    if isinstance(outcome, Problem):
        job.future.set_exception(outcome)
    else:
        job.future.set_result(outcome)


def _event(row: Row, topic: str = "") -> Event:
    seq, type_, data, ref = row
    return Event(type_, data.encode(), (topic,) if topic else (), ref=ref, seq=seq)
