"""No field of any call takes more time than its size: what is sent is measured before it is read."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chatrooms.body import MAX_BYTES
from tests.helpers.chat import Chat
from tests.helpers.limit import time_limit

pytestmark = pytest.mark.gen_test(timeout=120)

SIZE = 120_000  # characters; quadratic work on them takes some 10 s
LIMIT = 4.0  # seconds for one call; the work on it takes milliseconds
HOSTILE = {
    "marks": "a" + "\u0301\u0323" * (SIZE // 2),
    "blanks": " " * SIZE + "x",
    "dashes": "-" * SIZE + "x",
    "mentions": "@ai " + "\t" * SIZE + "x",
    "backslashes": "\\" * SIZE,
}
BASE = {
    "title": "x", "message": "x", "messages": [], "username": "Ann", "email": "a@example.org", "password": "x" * 9,
    "role": "user", "content": "x", "sessionId": "s", "clientId": "c", "userId": "u", "type": "x", "data": {},
    "key": "k",
}  # fmt: skip


async def fields(chat: Chat) -> list[tuple[str, str, str]]:
    """Each (method, path, field) with a text in a body, as the OpenAPI document has them."""
    document = (await chat.get("/api/openapi.json")).data
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            shape = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
            texts = [name for name, kind in shape.get("properties", {}).items() if "string" in str(kind)]
            found += [(method.upper(), re.sub(r"\{\w+\}", "x1", path), name) for name in texts]
    # Or the test would prove nothing.
    assert {("POST", "/api/v1/tasks", "title"), ("PUT", "/api/rooms/x1", "title")} <= set(found)
    return found


@pytest.mark.options(signin_rate=0, guest_rate=0, max_prompt_bytes=0, max_message_bytes=0, ai_delay=0, drain=0)
@pytest.mark.parametrize("kind", HOSTILE)
async def test_no_field_takes_more_time_than_its_size(chat: Chat, kind: str) -> None:
    """Whether it is taken or refused."""
    await chat.call("PUT", "/api/rooms/x1", {}, role="admin")
    for method, path, name in await fields(chat):
        body: dict[str, Any] = {**BASE, name: HOSTILE[kind]}
        with time_limit(LIMIT):
            sent = json.dumps(body, ensure_ascii=False).encode()
            assert len(sent) <= MAX_BYTES  # or the body would be refused before the field is looked at
            answer = await chat.call(method, path, sent, role="admin")
        assert answer.status < 500, (method, path, name, answer)
