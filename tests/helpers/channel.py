"""A reader of several streams over one connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatrooms.sse import ServerEvent
from tests.helpers.chat import Chat
from tests.helpers.reader import Reader, data


def wanted(chat: Chat, key: str, room: str = "lobby", user: str | None = None, **more: object) -> dict[str, object]:
    """A subscription as it is asked for; its user has the name of the key unless given."""
    user = user or key
    return {"key": key, "token": chat.token(user), "roomId": room, "username": user, "clientId": key, **more}


async def post_events(
    chat: Chat, body: object, headers: Mapping[str, str] | None = None, receive_buffer: int = 0
) -> Reader:
    """POSTs to /events, and returns when a response head is there."""
    return await chat.stream("/events", None, headers, body, receive_buffer)


class Subscribed:
    """What comes over one connection, by key."""

    def __init__(self, chat: Chat, reader: Reader) -> None:
        self._chat = chat
        self.reader = reader
        self.stream_id = ""

    @classmethod
    async def open(cls, chat: Chat, subscriptions: Sequence[Mapping[str, object]]) -> Subscribed:
        """A connection with these subscriptions, when all have been answered."""
        self = cls(chat, await post_events(chat, {"subscriptions": subscriptions}))
        assert self.reader.status == 200, self.reader.first_write
        _, _, rest = self.reader.head.partition(b"X-Stream-Id: ")
        self.stream_id = rest.partition(b"\r\n")[0].decode()
        await self.answers([str(subscription["key"]) for subscription in subscriptions])
        return self

    async def answers(self, keys: Sequence[str]) -> None:
        """Reads until each of these keys has got its first event, or `refused`."""
        left = set(keys)
        while left:
            left.discard((await self.reader.until(answers)).sub)

    async def event(self, key: str, type: str) -> dict[str, Any]:
        """The data of the next event of that type and key."""
        return data(await self.reader.until(lambda event: event.sub == key and event.type == type))

    async def message(self, key: str, text: str) -> None:
        """Reads until that message comes with that key."""
        await self.reader.until(lambda event: event.sub == key and said(event) == text)

    async def add(self, *subscriptions: Mapping[str, object], chat: Chat | None = None) -> None:
        """Adds to the connection, by way of this node or another."""
        body = list(subscriptions) if len(subscriptions) > 1 else subscriptions[0]
        answer = await (chat or self._chat).post(f"/api/streams/{self.stream_id}/subscriptions", body, None)
        assert answer.status == 202, answer

    async def remove(self, key: str, chat: Chat | None = None, user: str | None = None) -> None:
        """Takes one off the connection; its user has the name of the key unless given."""
        path = f"/api/streams/{self.stream_id}/subscriptions/{key}"
        answer = await (chat or self._chat).call("DELETE", path, user=user or key)
        assert answer.status == 204, answer

    def of(self, key: str) -> list[ServerEvent]:
        """The events of a key so far, heartbeats aside."""
        return [event for event in self.reader.seen if event.sub == key and event.type != "heartbeat"]

    def texts(self, key: str) -> list[str]:
        """The messages of a key so far."""
        return [data(event)["message"] for event in self.of(key) if event.type == "room-message"]

    def position(self, key: str) -> str:
        """The last id of a key."""
        return self.of(key)[-1].last_event_id


def answers(event: ServerEvent) -> bool:
    """Whether an event is the first of its subscription, or says that there is none."""
    if event.type == "message":
        return data(event)["type"] in ("connected", "connection_confirmed")
    return event.type in ("system", "refused", "progress", "complete", "error")


def said(event: ServerEvent) -> str | None:
    """The text of a message; None for any other event."""
    return str(data(event)["message"]) if event.type == "room-message" else None
