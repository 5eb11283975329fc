"""A task: its state and the changes it may go through. Pure.

States go `pending → running → completed | failed | cancelled`; progress is 0 to 100 and never goes
back; what has ended does not change any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms.clock import iso
from chatrooms.errors import BadRequest, Conflict
from chatrooms.log.event import Event
from chatrooms.streams.encoding import Encoding

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = "pending", "running", "completed", "failed", "cancelled"
STATES = (PENDING, RUNNING, COMPLETED, FAILED, CANCELLED)
ENDED = frozenset({COMPLETED, FAILED, CANCELLED})
WHOLE = 100.0
MAX_ERROR = 1000  # characters of the sentence that says why a task failed

_SENTENCES = {FAILED: "The task failed.", CANCELLED: "The task was cancelled."}


class Task(NamedTuple):
    """A task in its present state. `estimated_time` is in seconds left; times in milliseconds since 1970.

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
        """The name of the event for this state."""
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
    """A reported change; fields left out stay as they are."""

    state: str | None = None
    progress: float | None = None
    estimated_time: float | UnsetType | None = UNSET
    error: str | None = None


def changed(task: Task, change: Change, now: int) -> Task:
    """The task after a change. Raises Conflict if it has ended or would go back; BadRequest."""
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


class TaskEncoding(Encoding):
    """Each event carries the whole task; nothing follows the last one."""

    ends = frozenset({"complete", "error"})

    def data(self, event: Event, id: str) -> bytes:
        return event.data

    def signal_data(self, name: str, data: Mapping[str, object]) -> bytes:
        times = {key: iso(value) for key, value in data.items() if key in _TIMES and isinstance(value, int)}
        return msgspec.json.encode({**data, **times})


_TIMES = ("timestamp", "expiresAt")

TASK = TaskEncoding()
