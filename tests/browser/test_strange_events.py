"""Events that no sane server sends: the page shows what it can, and everything after them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Route, expect
from tornado.httpserver import HTTPServer

from tests.browser.conftest import Chromium
from tests.browser.pages import LIMIT, opened

HTML = "<img src=x onerror=\"document.title='hacked'\"><b>bold</b>"
STRANGE: list[dict[str, Any]] = [
    {"timestamp": 1e300, "username": "Ada", "message": "from the far future"},
    {"timestamp": None, "username": None, "message": None},
    {"timestamp": 1, "username": HTML, "message": HTML},
    {"timestamp": 1, "username": "AI", "message": f"{HTML} [x](javascript:alert(1))", "isFromBot": True},
]


async def _stream(route: Route) -> None:
    (wish,) = json.loads(route.request.post_data or "{}")["subscriptions"]
    frames = [("system", "e-0", {"recovered": True, "heartbeat": 25, "streamId": "s", "onlineCount": 0, "members": []})]
    for number, said in enumerate(STRANGE, 1):
        frames.append(("room-message", f"e-{number}", {"id": f"e-{number}", "userId": f"{number}", **said}))
    lines = [f"id: {id}\nevent: {name}\nsub: {wish['key']}\ndata: {json.dumps(data)}\n\n" for name, id, data in frames]
    await route.fulfill(content_type="text/event-stream", body="".join(lines))


@pytest.mark.gen_test(timeout=60)
async def test_one_strange_message_does_not_hide_the_others(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """All are drawn, and what looks like markup is text: in names, messages and replies."""
    async with chromium() as browser:
        page = await opened(browser, f"{base_url}/?room=lobby")
        await page.route("**/events", _stream)
        await page.fill("#join-name", "Bob")
        await page.click("#join-submit")
        said = page.locator("#messages .message")
        await expect(said).to_have_count(len(STRANGE), timeout=LIMIT)
        await expect(said.nth(2).locator(".message-text")).to_have_text(HTML)
        await expect(said.nth(2).locator(".author-name")).to_have_text(HTML)
        assert await page.locator("#messages :is(img, b, script, a[href^=javascript])").count() == 0
        assert "hacked" not in await page.title()
