"""A task: its state, and the changes that it may go through. Pure.

States go `pending → running → completed | failed | cancelled`; progress is 0 to 100 and never goes
back; what has ended does not change any more.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import sse
from chatrooms.clock import iso
from chatrooms.errors import BadRequest, Conflict
from chatrooms.log.event import Event, event_id
from chatrooms.log.log import Log
from chatrooms.streams.encoding import Named
from chatrooms.streams.hub import LONGEST_RETRY, Hub
from chatrooms.streams.stream import Stream
from chatrooms.users.tokens import Identity

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = "pending", "running", "completed", "failed", "cancelled"
STATES = (PENDING, RUNNING, COMPLETED, FAILED, CANCELLED)
ENDED = frozenset({COMPLETED, FAILED, CANCELLED})
WHOLE = 100.0
MAX_ERROR = 1000  # characters of the sentence that says why a task failed

_SENTENCES = {FAILED: "The task failed.", CANCELLED: "The task was cancelled."}


class Task(NamedTuple):
    """A task as it is. `estimated_time` is in seconds left; times in milliseconds since 1970.

    `node` is the one that runs it; None when a client reports on it.
    """

    task_id: str
    user_id: str
    title: str
    state: str
    progress: float
    estimated_time: float | None
    error: str | None
    node: str | None
    created_at: int
    updated_at: int

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def event(self) -> str:
        """The name of the event that tells this state."""
        return "complete" if self.state == COMPLETED else "error" if self.ended else "progress"

    def data(self) -> bytes:
        """The task on the wire (section 8), as JSON."""
        error = UNSET if self.error is None else self.error
        left = None if self.estimated_time is None else _short(self.estimated_time)
        shown = TaskState(
            self.task_id, self.title, self.state, _short(self.progress), left, iso(self.updated_at), error
        )
        return msgspec.json.encode(shown)


class Change(NamedTuple):
    """What is told of a task; what is left out stays as it is."""

    state: str | None = None
    progress: float | None = None
    estimated_time: float | UnsetType | None = UNSET
    error: str | None = None


def changed(task: Task, change: Change, now: int) -> Task:
    """The task after a change. Raises Conflict for one that has ended, or would go back; BadRequest."""
    if task.ended:
        raise Conflict("conflict", f"The task is {task.state} and can no longer change.")
    state = change.state or task.state
    if state == PENDING and change.progress:
        state = RUNNING if change.state is None else state
    if state == PENDING and task.state == RUNNING:
        raise Conflict("conflict", "The task is running: it cannot become pending again.")
    if change.error is not None and state not in _SENTENCES:
        raise BadRequest("bad-field", "error may only be set with the state failed or cancelled.")
    progress = task.progress if change.progress is None else change.progress
    if progress < task.progress:
        raise Conflict("conflict", f"Progress cannot go back from {task.progress:g} to {progress:g}.")
    left = task.estimated_time if change.estimated_time is UNSET else change.estimated_time
    error = change.error[:MAX_ERROR] if change.error else _SENTENCES.get(state)
    if state in ENDED:
        left = 0.0 if state == COMPLETED else None
        progress = WHOLE if state == COMPLETED else progress
    return task._replace(state=state, progress=progress, estimated_time=left, error=error, updated_at=now)


class TaskState(msgspec.Struct):
    """A task on the wire; `estimated_time` in seconds, `updated_at` in ISO 8601, UTC."""

    task_id: str
    title: str
    state: str
    progress: float
    estimated_time: float | None
    updated_at: str
    error: str | UnsetType = UNSET


def _short(number: float) -> float:
    """Whole numbers without a fraction, others with two digits."""
    return int(number) if number == int(number) else round(number, 2)


def topic_of(task_id: str) -> str:
    """The topic of a task's events."""
    return f"task:{task_id}"


class TaskEncoding(Named):
    """Each event carries the whole task; after the last of it nothing more comes."""

    ends = frozenset({"complete", "error"})

    def event(self, event: Event, id: str) -> bytes:
        return sse.encode(event.data, event.type, id)

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        times = {key: iso(value) for key, value in data.items() if key in TIMES and isinstance(value, int)}
        return super().signal(name, {**data, **times}, id, retry)


TIMES = ("timestamp", "expiresAt")

TASK = TaskEncoding()


RETRY_MS = (500, int(LONGEST_RETRY * 1000))  # reconnection time told to clients, at random between


class TaskStreams:
    """Opens streams of tasks, and is their owner."""

    def __init__(self, hub: Hub, log: Log) -> None:
        self._hub = hub
        hub.encode_as("task", TASK)
        self._log = log

    def first(self, task: Task, position: int) -> bytes:
        """The event that tells the present state; `position` is that of the event which told it first."""
        id = event_id(self._log.epoch, position)
        return sse.encode(task.data(), task.event, id, None if task.ended else random.randint(*RETRY_MS))

    def open(self, sock: socket.socket, who: Identity, task: Task, position: int, head: bytes) -> None:
        """Makes a socket a stream of a task that has not ended: writes its state, then what follows."""
        topic = self._hub.topic(topic_of(task.task_id))
        stream = Stream(self._hub, sock, topic, position)
        stream.user_id, stream.session, stream.expires_at = who.user_id, who.session, who.expires_at
        stream.trusted = who.trusted
        self._hub.open(stream, self, head + self.first(task, position))

    def stream_ended(self, stream: Stream, hold: float) -> None:
        """Nobody is told."""
