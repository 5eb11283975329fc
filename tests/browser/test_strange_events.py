"""Events that no sane server sends: the page shows what it can, and everything after them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.pages import LIMIT, Site, fake_stream, give_name

HTML = "<img src=x onerror=\"document.title='hacked'\"><b>bold</b>"
STRANGE: list[dict[str, Any]] = [
    {"timestamp": 1e300, "username": "Ada", "message": "from the far future"},
    {"timestamp": None, "username": None, "message": None},
    {"timestamp": 1, "username": HTML, "message": HTML},
    {"timestamp": 1, "username": "AI", "message": f"{HTML} [x](javascript:alert(1))", "isFromBot": True},
]


def _events() -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "e-0", "system", {"recovered": True, "heartbeat": 25, "streamId": "s", "onlineCount": 0, "members": []}
    for number, said in enumerate(STRANGE, 1):
        yield f"e-{number}", "room-message", {"id": f"e-{number}", "userId": f"{number}", **said}


@pytest.mark.gen_test(timeout=60)
async def test_one_strange_message_does_not_hide_the_others(site: Site) -> None:
    """All are drawn, and what looks like markup is text: in names, messages and replies."""
    page = await site.page()
    await fake_stream(page, _events())
    await give_name(page, "Bob")
    said = page.locator("#messages .message")
    await expect(said).to_have_count(len(STRANGE), timeout=LIMIT)
    await expect(said.nth(2).locator(".message-text")).to_have_text(HTML)
    await expect(said.nth(2).locator(".author-name")).to_have_text(HTML)
    assert await page.locator("#messages :is(img, b, script, a[href^=javascript])").count() == 0
    assert "hacked" not in await page.title()
