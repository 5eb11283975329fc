"""Tasks, their progress and results, and exports (section 8)."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Literal, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType
from tornado.iostream import StreamClosedError

from chatrooms import names
from chatrooms.errors import BadRequest, Conflict, Forbidden, Problem
from chatrooms.http.base import Handler
from chatrooms.http.openapi import Number, operation
from chatrooms.http.rooms import READING, RoomHandler
from chatrooms.http.streaming import STREAM, StreamHandler, given
from chatrooms.log.event import MAX_SEQ
from chatrooms.tasks.export import FORMATS
from chatrooms.tasks.result import StoredResult
from chatrooms.tasks.task import COMPLETED, STATES, Change, TaskState

MAX_PAGE = 200
LIMIT = Number("limit", 50, 1, MAX_PAGE)

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SEQ)]


class TaskBody(msgspec.Struct):
    """A new task."""

    title: str
    task_id: str | None = None
    user_id: str | Annotated[int, msgspec.Meta(ge=-MAX_SEQ, le=MAX_SEQ)] | None = None


class ChangeBody(msgspec.Struct):
    """What changes about a task; the rest stays."""

    state: str | None = None
    progress: Percent | None = None
    estimated_time: Seconds | UnsetType | None = UNSET
    error: str | None = None


class TaskPage(msgspec.Struct, rename={"has_more": "hasMore"}):
    """A page of tasks."""

    tasks: list[TaskState]
    has_more: bool


class TaskList(Handler):
    @operation({200: TaskPage}, query=("user_id", "state", "after", LIMIT), errors=("user-mismatch",))
    async def get(self) -> None:
        """Lists tasks, newest first; agent, service and admin may name a `user_id`, others see their own."""
        who = self.identity()
        user_id = self.query("user_id") or who.user_id
        if user_id != who.user_id and who.role == "user":
            raise Forbidden("user-mismatch", "user_id does not match the token.")
        state, after = self.query("state"), self.query("after")
        if state:
            _check_state(state)
        if after:
            names.task_id(after)
        limit = self.number(*LIMIT)
        tasks = await self.server.tasks.page(names.user_id(user_id), after, state, limit + 1)
        more = b"true" if len(tasks) > limit else b"false"
        listed = b",".join(task.data() for task in tasks[:limit])
        self.answer(b'{"tasks":[' + listed + b'],"hasMore":' + more + b"}")

    @operation(
        {201: TaskState}, body=TaskBody, example={"title": "Import"},
        errors=("user-mismatch", "conflict", "too-many-tasks"),
    )  # fmt: skip
    async def post(self) -> None:
        """Creates a task for the caller; service and admin may name another owner by `user_id`."""
        who = self.identity()
        body = self.body(TaskBody)
        owner = who.user_id if body.user_id is None else names.user_id(body.user_id)
        if owner != who.user_id and not who.trusted:
            raise Forbidden("user-mismatch", "user_id does not match the token.")
        title = names.title(body.title)
        task_id = None if body.task_id is None else names.task_id(body.task_id)
        self.server.quotas.change_task(who)
        task = await self.server.tasks.make(title, owner, task_id, limited=not who.trusted)
        self.answer(task.data(), 201)


class OneTask(Handler):
    @operation({200: TaskState}, errors=("forbidden", "not-found"))
    async def get(self, task_id: str) -> None:
        """Returns a task."""
        who = self.identity()
        task = await self.server.tasks.readable(who, names.task_id(task_id))
        self.answer(task.data())

    @operation(
        {200: TaskState}, body=ChangeBody, example={"state": "running", "progress": 40, "estimated_time": 30},
        errors=("forbidden", "not-found", "conflict"),
    )  # fmt: skip
    async def patch(self, task_id: str) -> None:
        """Changes a task; `cancelled` also stops a task that the server runs, on any node."""
        who = self.identity()
        task_id = names.task_id(task_id)
        await self.server.tasks.readable(who, task_id)  # 403 comes before 400
        body = self.body(ChangeBody)
        if body.state is not None:
            _check_state(body.state)
        self.server.quotas.change_task(who)
        change = Change(body.state, body.progress, body.estimated_time, body.error)
        task = await self.server.tasks.change(who, task_id, change)
        self.answer(task.data())


class Progress(StreamHandler):
    @operation({200: STREAM, 204: None}, query=("clientId", "lastEventId", "poll"), errors=("forbidden", "not-found"))
    async def get(self, task_id: str) -> None:
        """Streams the progress of a task: its state at once, then each change; `complete` or `error` comes last.

        204 to a reader that already has the last event.
        """
        who = await self.stream_identity()
        await self.serve("task", who, given(taskId=task_id, clientId=self.query("clientId")))


def _check_state(state: str) -> None:
    if state not in STATES:
        raise BadRequest("bad-field", f"state must be one of {', '.join(STATES)}.")


_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*\Z", re.ASCII | re.IGNORECASE)


class Part(NamedTuple):
    """The bytes from `start` up to `stop`; `whole` if sent as a 200 rather than a 206."""

    start: int
    stop: int
    whole: bool


def part_of(size: int, header: str, if_range: str, etag: str) -> Part | None:
    """The part of a file of that size to send; None if there is no such part (416).

    The whole file for several ranges at once, for an invalid range, and when `If-Range` names another
    file: the standard lets a server ignore all of these.
    """
    match = _ONE.match(header)
    if match is None or not (match[1] or match[2]) or (if_range and if_range != etag):
        return Part(0, size, True)
    if not match[1]:
        length = min(int(match[2]), size)
        return Part(size - length, size, False) if length else None
    start, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and last < start:
        return Part(0, size, True)  # no valid range
    return Part(start, min(last + 1, size), False) if start < size else None


class ExportBody(msgspec.Struct):
    """How a room is exported."""

    format: Literal["jsonl", "html"] = "jsonl"


class StartedTask(msgspec.Struct):
    """The task that was started."""

    task_id: str


class Export(RoomHandler):
    @operation(
        {202: StartedTask}, body=ExportBody, example={"format": "jsonl"}, errors=(*READING, "too-many-tasks", "full")
    )
    async def post(self, room_id: str) -> None:
        """Starts a task that writes the messages of a room to a file."""
        who, room_id = await self.readable(room_id)
        body = self.body(ExportBody) if self.request.body else ExportBody()
        self.server.quotas.export(who)
        task = await self.server.exports.start(who, room_id, body.format)
        self.answer({"task_id": task.task_id}, 202)


FILES = tuple(form.media_type for form in FORMATS.values())


class Download(Handler):
    """A task's result, or a part of it."""

    _taken: asyncio.Future[None] | None = None

    def on_connection_close(self) -> None:
        """Fails the pending write: Tornado never completes it once the peer is gone."""
        if self._taken is not None and not self._taken.done():
            self._taken.set_exception(StreamClosedError())

    @operation(
        {200: FILES, 206: FILES}, errors=(*READING, "not-found", "conflict", "bad-range", "ticket-invalid"),
    )  # fmt: skip
    async def get(self, task_id: str) -> None:
        """Downloads the file, if the caller may see the task and read the room; takes `Range`."""
        who = await self.stream_identity()
        task_id = names.task_id(task_id)
        task = await self.server.tasks.readable(who, task_id)
        if not task.ended:
            raise Conflict("conflict", "The task has not ended yet.")
        result = await self.server.results.find(task_id)
        await self.server.policy.readable(who, result.room_id)
        if task.state != COMPLETED:
            raise Conflict("conflict", f"The task is {task.state}: it has no result.")
        etag = f'"{task_id}"'
        headers = self.request.headers
        part = part_of(result.size, headers.get("Range", ""), headers.get("If-Range", ""), etag)
        if part is None:
            self._refuse_range(result.size)
            return
        self._describe(result, part, etag)
        await self._write(task_id, part)

    def _refuse_range(self, size: int) -> None:
        self.set_header("Content-Range", f"bytes */{size}")
        self.answer({"error": f"The file has only {size} bytes.", "code": "bad-range"}, 416)

    def _describe(self, result: StoredResult, part: Part, etag: str) -> None:
        self.set_header("Content-Type", FORMATS[result.format].media_type)
        self.set_header("Content-Disposition", _disposition(f"{result.room_id}.{result.format}"))
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("ETag", etag)
        self.set_header("Content-Length", str(part.stop - part.start))
        if not part.whole:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{result.size}")

    async def _write(self, task_id: str, part: Part) -> None:
        """Writes a chunk at a time: reads the next one when the peer has taken this one."""
        patience = self.server.options.write_timeout or None
        try:
            async for data in self.server.results.read(task_id, part.start, part.stop):
                self.write(data)
                self._taken = self.flush()
                await asyncio.wait_for(self._taken, patience)
        except StreamClosedError:
            return
        except (Problem, TimeoutError):
            # The head is out: only a cut connection shows that data is missing.
            self.request.connection.close()  # type: ignore[union-attr]


def _disposition(name: str) -> str:
    """The header of a download, with a file name in any script (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


ROUTES = [
    (r"/api/v1/tasks", TaskList),
    (r"/api/v1/tasks/([^/]+)", OneTask),
    (r"/api/v1/sse/tasks/([^/]+)/progress", Progress),
    (r"/api/rooms/([^/]+)/export", Export),
    (r"/api/v1/tasks/([^/]+)/result", Download),
]
