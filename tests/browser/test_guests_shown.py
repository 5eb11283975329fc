"""Guests are told apart from accounts: by a word, for eyes and for screen readers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect
from tornado.httpserver import HTTPServer

from tests.browser.conftest import Chromium
from tests.browser.pages import LIMIT, opened

MEMBERS: list[dict[str, Any]] = [
    {"userId": "guest-1", "username": "Ada", "guest": True},
    {"userId": "user-1", "username": "Ada"},
]


async def _stream(route: Route) -> None:
    """A room's stream as a server tells it: a guest and an account of one name, each with a message."""
    (wish,) = json.loads(route.request.post_data or "{}")["subscriptions"]
    room = {"roomId": wish["roomId"], "timestamp": 1_700_000_000_000}
    system = {"recovered": True, "heartbeat": 25, "streamId": "s", "onlineCount": 2, "members": MEMBERS, **room}
    events = [("e-1", "system", system)]
    for number, member in enumerate(MEMBERS, 2):
        said = {"id": f"e-{number}", "message": f"I am {member['userId']}", **member, **room}
        events.append((said["id"], "room-message", said))
    frames = [f"id: {id}\nevent: {name}\nsub: {wish['key']}\ndata: {json.dumps(data)}\n\n" for id, name, data in events]
    await route.fulfill(content_type="text/event-stream", body="".join(frames))


async def _page(browser: Browser, url: str) -> Page:
    page = await opened(browser, f"{url}/?room=lobby")
    await page.route("**/events", _stream)
    await page.fill("#join-name", "Bob")
    await page.click("#join-submit")
    return page


@pytest.mark.gen_test(timeout=60)
async def test_guests_are_marked_in_the_list_and_at_their_messages(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """A guest and an account of the same name: one word beside one of them, in both places."""
    async with chromium() as browser:
        page = await _page(browser, base_url)
        people = page.locator("#member-list li")
        await expect(people).to_have_count(2, timeout=LIMIT)
        await expect(people.filter(has_text="guest")).to_have_count(1)
        await expect(people.filter(has_text="guest").locator(".member-name")).to_have_text("Ada")

        said = page.locator("#messages .message")
        await expect(said).to_have_count(2, timeout=LIMIT)
        await expect(said.nth(0).locator(".author")).to_have_text("Adaguest")
        await expect(said.nth(1).locator(".author")).to_have_text("Ada")
        await expect(said.nth(0).locator(".author .badge")).to_be_visible()
