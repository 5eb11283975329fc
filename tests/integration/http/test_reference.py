"""The reference of the calls as a page, and as JSON."""

from __future__ import annotations

import pytest

from chatrooms.http import pages
from tests.helpers.chat import Chat


@pytest.mark.gen_test
async def test_docs_are_plain_and_strict(chat: Chat) -> None:
    """No script, nothing from elsewhere, every call with its fields."""
    page = await chat.get("/docs", None)
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"] == pages.POLICY
    text = page.body.decode()
    assert "<script" not in text and "http://" not in text and "https://" not in text and "style=" not in text
    assert "POST /api/rooms/{roomId}/messages" in text and "clientMessageId" in text
    assert "&quot;onlineCount&quot;: 1" in text and "<code>bad-field, bad-id" in text  # an answer, and errors
    assert (await chat.get("/static/css/reference.css", None)).status == 200


@pytest.mark.gen_test
async def test_document_is_json_for_anyone(chat: Chat) -> None:
    """It says nothing that docs/api.md does not."""
    answer = await chat.get("/api/openapi.json", None)
    assert answer.status == 200
    assert answer.data["openapi"] == "3.1.0"
