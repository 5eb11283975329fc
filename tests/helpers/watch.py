"""A watcher of tasks, and what every watcher must have seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatrooms.sse import ServerEvent
from tests.helpers.chat import Chat
from tests.helpers.reader import Reader, data


async def watch(chat: Chat, task_id: str, user: str = "alice", position: str = "", **query: object) -> Reader:
    """A stream of a task's progress; `position` goes as the header."""
    headers = {"Last-Event-ID": position} if position else {}
    path = f"/api/v1/sse/tasks/{task_id}/progress"
    return await chat.stream(path, {"token": chat.token(user), **query}, headers)


async def make(chat: Chat, user: str = "alice", **body: object) -> str:
    """A new task's id."""
    answer = await chat.post("/api/v1/tasks", {"title": "Import", **body}, user)
    assert answer.status == 201, answer
    task_id: str = answer.data["task_id"]
    return task_id


async def change(chat: Chat, task_id: str, user: str = "alice", **body: object) -> Any:
    """Changes a task, which must be allowed; returns it."""
    answer = await chat.call("PATCH", f"/api/v1/tasks/{task_id}", body, user)
    assert answer.status == 200, answer
    return answer.data


def check_seen(seen: Sequence[ServerEvent]) -> None:
    """State at once, progress never back, exactly one end, which is the last."""
    events = [event for event in seen if event.type != "heartbeat"]
    assert events and events[0].last_event_id
    progress = [data(event)["progress"] for event in events]
    assert progress == sorted(progress)
    assert [event.type in ("complete", "error") for event in events] == [False] * (len(events) - 1) + [True]
