"""The families of streams, as a test asks for one of each and has something happen in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from chatrooms.sse import ServerEvent
from tests.helpers.chat import Chat
from tests.helpers.reader import data

OWNER = "ann"


class Family(NamedTuple):
    """A family: what its stream is asked for with, by POST and by GET, and how something new happens in it."""

    name: str
    fields: dict[str, Any]
    path: str
    prepare: Callable[[Chat], Awaitable[object]]
    happen: Callable[[Chat, int], Awaitable[object]]

    def wanted(self, chat: Chat, key: str = "", user: str = OWNER, **more: Any) -> dict[str, Any]:
        """A stream of it, as a body asks for it; `key` is that of a subscription."""
        named = {"key": key, "clientId": key} if key else {}
        return {"stream": self.name, "token": chat.token(user), **self.fields, **named, **more}

    def tells(self, event: ServerEvent | dict[str, Any], number: int) -> bool:
        """Whether an event, of a stream or a poll, tells what happened under a number."""
        text = event.data if isinstance(event, ServerEvent) else str(event["data"]).replace("'", '"')
        mark = f'"progress": {number}' if self.name == "task" else f"#{number}#"
        return mark in text.replace('":', '": ').replace(":  ", ": ")


def ending(event: ServerEvent) -> str | None:
    """Why a stream ends, in whatever form its family tells it; None for any other event."""
    told = data(event)
    if event.type == "closing" or told.get("type") == "closing":
        return str(told["reason"])
    return str(told["code"]) if event.type == "message" and told.get("type") == "error" else None


async def _nothing(chat: Chat) -> None:
    pass


async def _join(chat: Chat) -> None:
    await chat.call("PUT", "/api/rooms/den/membership", {}, OWNER)


async def _make_task(chat: Chat) -> None:
    await chat.post("/api/v1/tasks", {"title": "Import", "task_id": "t"}, OWNER)


async def _notify(chat: Chat, number: int) -> None:
    body = {"userId": OWNER, "type": "client_updated", "data": {"text": f"#{number}#"}}
    assert (await chat.post("/api/notifications", body, "crm", role="service")).status == 201


async def _say_in_session(chat: Chat, number: int) -> None:
    body = {"sessionId": "s", "content": f"#{number}#"}
    assert (await chat.post("/api/messages", body, "crm", role="agent")).status == 201


async def _progress(chat: Chat, number: int) -> None:
    assert (await chat.call("PATCH", "/api/v1/tasks/t", {"progress": number}, OWNER)).status == 200


FAMILIES = (
    Family(
        "room", {"roomId": "lobby", "username": OWNER}, f"/events?roomId=lobby&username={OWNER}", _nothing,
        lambda chat, number: chat.say("lobby", f"#{number}#"),
    ),
    Family("personal", {}, "/events?", _join, lambda chat, number: chat.say("den", f"#{number}#")),
    Family(
        "personal", {"form": "unnamed"}, "/events?", _join, lambda chat, number: chat.say("den", f"#{number}#")
    ),
    Family("notifications", {"userId": OWNER}, f"/api/clients/{OWNER}/sse?", _nothing, _notify),
    Family("session", {"sessionId": "s"}, "/api/sse/messages?sessionId=s", _nothing, _say_in_session),
    Family("task", {"taskId": "t"}, "/api/v1/sse/tasks/t/progress?", _make_task, _progress),
)  # fmt: skip
