"""Tasks and their progress (section 8)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import names
from chatrooms.errors import BadRequest, Forbidden, TooMany, Unavailable
from chatrooms.event import MAX_SEQ, event_id
from chatrooms.handlers.base import Handler
from chatrooms.handlers.detach import say_last, take_socket
from chatrooms.handlers.streaming import position_asked, refuse_softly, stream_head
from chatrooms.identity.tokens import Identity
from chatrooms.tasks.encoding import TASK
from chatrooms.tasks.task import STATES, Change, Task

MAX_PAGE = 200

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SEQ)]


class TaskBody(msgspec.Struct):
    title: str
    task_id: str | None = None
    user_id: str | Annotated[int, msgspec.Meta(ge=-MAX_SEQ, le=MAX_SEQ)] | None = None


class ChangeBody(msgspec.Struct):
    state: str | None = None
    progress: Percent | None = None
    estimated_time: Seconds | UnsetType | None = UNSET
    error: str | None = None


class TaskList(Handler):
    """A user's tasks."""

    async def get(self) -> None:
        """Tasks, newest first; `user_id` is for agents and above, others see their own."""
        who = self.identity()
        user_id = self.query("user_id") or who.user_id
        if user_id != who.user_id and who.role == "user":
            raise Forbidden("user-mismatch", "user_id is not the one of the token.")
        state, after = self.query("state"), self.query("after")
        if state:
            _check_state(state)
        if after:
            names.task_id(after)
        limit = self.number("limit", 50, 1, MAX_PAGE)
        tasks = await self.server.tasks.page(names.user_id(user_id), after, state, limit + 1)
        more = b"true" if len(tasks) > limit else b"false"
        listed = b",".join(task.data() for task in tasks[:limit])
        self.answer(b'{"tasks":[' + listed + b'],"hasMore":' + more + b"}")

    async def post(self) -> None:
        """Makes a task; its owner is the caller, or for service and admin whom `user_id` names."""
        who = self.identity()
        body = self.body(TaskBody)
        owner = who.user_id if body.user_id is None else names.user_id(body.user_id)
        if owner != who.user_id and not who.trusted:
            raise Forbidden("user-mismatch", "user_id is not the one of the token.")
        title = names.title(body.title)
        self.server.quotas.change_task(who)
        task_id = None if body.task_id is None else names.task_id(body.task_id)
        task = await self.server.tasks.make(title, owner, task_id, limited=not who.trusted)
        self.answer(task.data(), 201)


class OneTask(Handler):
    """A task."""

    async def get(self, task_id: str) -> None:
        who = self.identity()
        task = await self.server.tasks.readable(who, names.task_id(task_id))
        self.answer(task.data())

    async def patch(self, task_id: str) -> None:
        """Changes a task: `state` cancelled ends one that the server runs, on whatever node."""
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


class Progress(Handler):
    """The progress of a task: its state at once, then each change; `complete` or `error` is the last."""

    async def get(self, task_id: str) -> None:
        who = await self.stream_identity()
        task_id = names.task_id(task_id)
        asked = position_asked(self)
        try:
            self.server.quotas.open_stream(who)
            self.server.hub.check_room_for(who.user_id)
            task, position = await self.server.tasks.present(who, task_id)
            self.server.hub.check_room_for(who.user_id)  # again: others came while it was read
        except (TooMany, Unavailable) as problem:
            if not asked:
                raise
            refuse_softly(self, who, asked, problem, TASK)
            return
        self.server.gate.check(who)  # again: it may have been shut out meanwhile
        if task.ended and asked == event_id(self.server.log.epoch, position):
            self.set_status(204)  # it has seen the end: nothing else makes a native EventSource stop
            return
        self._write(who, task, position)

    def _write(self, who: Identity, task: Task, position: int) -> None:
        streams, head = self.server.task_streams, stream_head(self)
        sock = take_socket(self)
        if sock is None:
            return
        if task.ended:
            say_last(sock, head + streams.first(task, position))
        else:
            streams.open(sock, who, task, position, head)


def _check_state(state: str) -> None:
    if state not in STATES:
        raise BadRequest("bad-field", f"state must be one of {', '.join(STATES)}.")


ROUTES = [
    (r"/api/v1/tasks", TaskList),
    (r"/api/v1/tasks/([^/]+)", OneTask),
    (r"/api/v1/sse/tasks/([^/]+)/progress", Progress),
]
