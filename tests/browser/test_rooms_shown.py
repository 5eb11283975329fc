"""The list of rooms: all of them can be found, and it is never that of another room or user."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.pages import LIMIT, Held, Site, choose_room, go_to, is_live, members_are
from tests.browser.parts import app_with

ROOMS = 230
MAKE = """async (count) => {
    const { token } = JSON.parse(sessionStorage['chatrooms.session']);
    const headers = { Authorization: `Bearer ${token}` };
    for (let number = 0; number < count; number += 1) {
        const body = JSON.stringify({ title: number % 100 === 99 ? `The ${number}th title` : null });
        const path = `/api/rooms/room-${String(number).padStart(3, '0')}`;
        const answer = await fetch(path, { method: 'PUT', headers, body });
        if (answer.status !== 201) throw new Error(await answer.text());
    }
}"""


app = app_with(room_rate=0, message_rate=0)


async def _names(page: Page) -> list[str]:
    return await page.locator("#room-list .room-names > bdi:first-child").all_text_contents()


@pytest.mark.gen_test(timeout=90)
async def test_every_room_is_found_and_the_present_one_shown(site: Site) -> None:
    """By scrolling page by page, by id and by title; the room that one is in is there, wherever it stands."""
    page = await site.join("Ada", "zoo")
    await page.evaluate(MAKE, ROOMS)
    await page.reload()
    await is_live(page)
    rows = page.locator("#room-list li")
    await expect(rows).to_have_count(101, timeout=LIMIT)
    current = page.locator("#room-list [aria-current]")
    await expect(current).to_have_text("zoo")
    await expect(current).to_be_in_viewport()
    await page.click("#rooms-more")
    await expect(rows).to_have_count(201, timeout=LIMIT)
    await expect(rows.nth(101).locator("a")).to_be_focused()
    await page.click("#rooms-more")
    await expect(rows).to_have_count(ROOMS + 1, timeout=LIMIT)
    await expect(page.locator("#rooms-more")).to_be_hidden()
    ids = await page.locator("#room-list a").evaluate_all("links => links.map((link) => link.href)")
    assert ids == sorted(ids), "in one order, and the present one where it belongs"

    await page.reload()
    await is_live(page)
    await expect(rows).to_have_count(101, timeout=LIMIT)
    await go_to(page, "room-050")
    await expect(rows.filter(has_text="room-049")).to_have_count(1, timeout=LIMIT)
    await expect(page.locator("#room-list [aria-current]")).to_be_in_viewport()
    await page.fill("#room-form-input", "199TH")
    await expect(page.locator("#rooms-found")).to_have_text("1 found", timeout=LIMIT)
    await expect(rows.filter(has_text="The 199th title")).to_have_count(1)
    await page.fill("#room-form-input", "Room-22")
    await expect(page.locator("#rooms-found")).to_have_text("10 found", timeout=LIMIT)
    await expect(rows).to_have_count(11)
    await page.fill("#room-form-input", "no such")
    await expect(page.locator("#rooms-found")).to_contain_text("No matching room", timeout=LIMIT)
    await choose_room(page, "room-229")
    await expect(page.locator("#room-title")).to_have_text("room-229", timeout=LIMIT)
    await expect(page.locator("#room-list [aria-current]")).to_be_in_viewport()


@pytest.mark.gen_test(timeout=60)
async def test_a_list_of_rooms_that_comes_late_is_not_drawn(site: Site) -> None:
    """It was asked for in the room before: what is read for this one stands, whichever answer comes last."""
    page = await site.join("Ada", "first")
    await expect(page.locator("#room-list li")).to_have_count(1)
    rooms = [{"roomId": "stale", "onlineCount": 9, "private": False, "title": None}]
    held = Held(lambda route: route.fulfill(json={"rooms": rooms, "hasMore": False}))
    await page.route("**/api/rooms?*", held, times=1)
    for room in ("second", "third"):
        async with page.expect_request("**/api/rooms?*"):
            await choose_room(page, room)
        await expect(page.locator("#room-title")).to_have_text(room, timeout=LIMIT)
    async with page.expect_response("**/api/rooms?*"):
        held.let_go()
    await page.evaluate("fetch('/healthz').then(() => null)")
    assert "stale" not in await _names(page)
    await expect(page.locator("#room-list [aria-current]")).to_contain_text("third")


@pytest.mark.gen_test(timeout=60)
async def test_rooms_offered_are_those_of_who_asks(site: Site) -> None:
    """The list comes when somebody else has sat down: it is not shown to them."""
    page = await site.join("Ada", "secret-club")
    held = Held()
    await page.route("**/api/rooms?*", held)
    async with page.expect_request("**/api/rooms?*"):
        await page.click("#leave")
    await page.click("#join-switch")
    async with page.expect_response("**/api/rooms?*"):
        held.let_go()
    await page.evaluate("fetch('/healthz').then(() => null)")
    await expect(page.locator("#join-rooms")).to_be_hidden()
    await expect(page.locator("#room-options option")).to_have_count(0)


@pytest.mark.parametrize("name", ["W" * 31, "\u05d0" * 31, "two words and then some more of i"[:31]])
@pytest.mark.gen_test(timeout=60)
async def test_a_long_name_breaks_nothing(site: Site, name: str) -> None:
    """It ends in dots where there is no room, is told in full by its title, and keeps its direction to itself."""
    page = await site.join(name, "w" * 60)
    other = await site.join("M" * 31, "w" * 60)
    member = page.locator("#member-list .member-name").first
    await expect(member).to_have_text(name, timeout=LIMIT)
    for part in ("#member-list .member-name", "#me-name"):
        assert await page.locator(part).first.get_attribute("title") == name
        assert await page.locator(part).first.evaluate("node => node.tagName") == "BDI"
    await members_are(other, 2)
    for width in (1280, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        too_wide = "() => [...document.querySelectorAll('.panel-body, .panel-foot, .room-head, body')]" + (
            ".filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.className)"
        )
        assert await page.evaluate(too_wide) == []
        if width == 390:
            await page.click("#open-sidebar")
            assert await page.evaluate(too_wide) == []
