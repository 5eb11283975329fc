"""Asking for replies as any client does, with a reader that can hang up at any point."""

from __future__ import annotations

import json
from typing import Any

from tests.helpers.chat import Chat
from tests.helpers.reader import Reader


async def begin(chat: Chat, body: dict[str, Any], user: str = "alice", path: str = "") -> tuple[Reader, str]:
    """A reader of a reply that has begun, and the reply's id. `path` follows /api/chat/stream."""
    encoded = json.dumps(body).encode()
    reader = await _open(chat, "POST", path, user, f"Content-Length: {len(encoded)}\r\n", encoded)
    assert reader.status == 200, reader.first_write
    return reader, reader.head.decode().split("X-Message-Id: ")[1].split("\r\n")[0]


async def resume(chat: Chat, reply: str, last: str = "", user: str = "alice") -> Reader:
    """A reader of the rest of a reply after the id `last`."""
    return await _open(chat, "GET", f"/{reply}", user, f"Last-Event-ID: {last}\r\n" if last else "", b"")


async def _open(chat: Chat, method: str, path: str, user: str, headers: str, body: bytes) -> Reader:
    head = f"{method} /api/chat/stream{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {chat.token(user)}\r\n{headers}\r\n"
    return await Reader.send(chat.port, head.encode() + body)
