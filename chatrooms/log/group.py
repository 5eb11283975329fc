"""A group: the appends that go to the log in one commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from chatrooms.clock import now_ms
from chatrooms.errors import Problem
from chatrooms.log.database import Row, Transaction
from chatrooms.log.event import Event

Command = Callable[[Transaction], Awaitable[Sequence[Event]]]


class FarBehind(Exception):
    """Other nodes have appended more than can be read while the log is locked."""


class HistoryLost(Exception):
    """The log in the database is not the one read so far: it has shrunk or has another epoch."""


class Appended(NamedTuple):
    """The outcome for an event: the one in the log, and whether it was already there."""

    event: Event
    repeated: bool


class Job:
    """One caller's append: the events it brings, or a command that makes them in the transaction."""

    __slots__ = ("command", "events", "future", "outcome")

    def __init__(self, events: Sequence[Event], command: Command | None) -> None:
        self.events = events
        self.command = command
        self.future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self.outcome: list[Appended] | Problem = []


class Waiting:
    """Jobs waiting for a commit; `events` is how many events they count as."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self.events = 0

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job: Job) -> None:
        self._jobs.append(job)
        self.events += size_of(job)

    def take(self, most: int) -> list[Job]:
        """The next jobs, up to that many events."""
        taken, size = [], 0
        while self._jobs and size < most:
            taken.append(self._jobs.popleft())
            size += size_of(taken[-1])
        self.events -= size
        return taken


class Group:
    """The events of one commit: numbers them in order and drops those already known by key."""

    def __init__(self, head: int) -> None:
        self.head = head
        self.added: list[Event] = []
        self._inserted = 0
        self._known: dict[str, Event] = {}

    async def look_up(self, tx: Transaction, jobs: Sequence[Job]) -> None:
        keys = [event.key for job in jobs for event in job.events if event.key is not None]
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            places = ", ".join(f"${n}" for n in range(1, len(some) + 1))
            rows = await tx.fetch(f"select seq, type, data, ref, key from events where key in ({places})", *some)
            self._known.update((row[4], event_of(row[:4])) for row in rows)

    async def run(self, tx: Transaction, job: Job) -> list[Appended] | Problem:
        events = job.events
        if job.command is not None:
            # A command must see what precedes it: a deletion erases an edit in the same group.
            await self.insert(tx)
            try:
                events = [*events, *await job.command(tx)]
            except Problem as problem:
                return problem
        return [self._add(event) for event in events]

    async def insert(self, tx: Transaction) -> None:
        """Writes the events added since the last call."""
        events, self._inserted = self.added[self._inserted :], len(self.added)
        if not events:
            return
        now = now_ms()
        rows = [(e.seq, e.type, e.data.decode(), e.key, e.ref, now) for e in events]
        await tx.insert("events", ("seq", "type", "data", "key", "ref", "created_at"), rows)
        await tx.insert("event_topics", ("topic", "seq"), [(topic, e.seq) for e in events for topic in e.topics])

    def _add(self, event: Event) -> Appended:
        if event.key is not None:
            if first := self._known.get(event.key):
                return Appended(first, True)
            self._known[event.key] = event
        self.head += 1
        event.seq = self.head
        self.added.append(event)
        return Appended(event, False)


def size_of(job: Job) -> int:
    """How many events a job counts as: a command makes about one."""
    return max(1, len(job.events))


def answer(job: Job, outcome: list[Appended] | Problem) -> None:
    """Gives a caller the outcome of its append."""
    if job.future.done():  # the caller has gone
        return
    if isinstance(outcome, Problem):
        job.future.set_exception(outcome)
    else:
        job.future.set_result(outcome)


def event_of(row: Row, topics: tuple[str, ...] = ()) -> Event:
    """The event of a row (seq, type, data, ref)."""
    seq, type_, data, ref = row
    return Event(type_, data.encode(), topics, ref=ref, seq=seq)
