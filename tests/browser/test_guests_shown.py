"""Guests are told apart from accounts: by a word, for eyes and for screen readers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.pages import LIMIT, Site, fake_stream, give_name

MEMBERS: list[dict[str, Any]] = [
    {"userId": "guest-1", "username": "Ada", "guest": True},
    {"userId": "user-1", "username": "Ada"},
]


def _events() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """A guest and an account of one name, each with a message."""
    room = {"roomId": "lobby", "timestamp": 1_700_000_000_000}
    system = {"recovered": True, "heartbeat": 25, "streamId": "s", "onlineCount": 2, "members": MEMBERS, **room}
    yield "e-1", "system", system
    for number, member in enumerate(MEMBERS, 2):
        id = f"e-{number}"
        yield id, "room-message", {"id": id, "message": f"I am {member['userId']}", **member, **room}


@pytest.mark.gen_test(timeout=60)
async def test_guests_are_marked_in_the_list_and_at_their_messages(site: Site) -> None:
    """A guest and an account of the same name: one word beside one of them, in both places."""
    page = await site.page()
    await fake_stream(page, _events())
    await give_name(page, "Bob")
    people = page.locator("#member-list li")
    await expect(people).to_have_count(2, timeout=LIMIT)
    await expect(people.filter(has_text="guest")).to_have_count(1)
    await expect(people.filter(has_text="guest").locator(".member-name")).to_have_text("Ada")

    said = page.locator("#messages .message")
    await expect(said).to_have_count(2, timeout=LIMIT)
    await expect(said.nth(0).locator(".author")).to_have_text("Adaguest")
    await expect(said.nth(1).locator(".author")).to_have_text("Ada")
    await expect(said.nth(0).locator(".author .badge")).to_be_visible()
