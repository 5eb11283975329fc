"""Asking for replies as any client does, with a reader that can hang up at any point."""

from __future__ import annotations

from typing import Any

from tests.helpers.chat import Chat
from tests.helpers.reader import Reader

PATH = "/api/chat/stream"


async def begin(chat: Chat, body: dict[str, Any], user: str = "alice", path: str = "") -> tuple[Reader, str]:
    """A reader of a reply that has begun, and the reply's id. `path` follows /api/chat/stream."""
    reader = await Reader.open(chat.port, PATH + path, headers=_headers(chat, user), body=body)
    assert reader.status == 200, reader.first_write
    return reader, reader.head.decode().split("X-Message-Id: ")[1].split("\r\n")[0]


async def resume(chat: Chat, reply: str, last: str = "", user: str = "alice") -> Reader:
    """A reader of the rest of a reply after the id `last`."""
    position = {"Last-Event-ID": last} if last else {}
    return await Reader.open(chat.port, f"{PATH}/{reply}", headers=_headers(chat, user) | position)


def _headers(chat: Chat, user: str) -> dict[str, str]:
    return {"Connection": "close", "Authorization": f"Bearer {chat.token(user)}"}
