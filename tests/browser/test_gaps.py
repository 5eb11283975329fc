"""What a page shows when messages cannot be had: never two ends joined as if nothing were missing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect
from tornado.web import Application

from tests.browser.pages import LIMIT, Held, Site, go_to, is_live, say, sees
from tests.browser.parts import cut

POST = """async ({ room, texts }) => {
    const { token } = JSON.parse(sessionStorage['chatrooms.session']);
    const body = JSON.stringify({ messages: texts.map((message) => ({ message })) });
    const headers = { Authorization: `Bearer ${token}` };
    await fetch(`/api/rooms/${room}/messages/batch`, { method: 'POST', headers, body });
}"""


async def _unknown_position(route: Route) -> None:
    """Opens the stream from a position that the server does not know."""
    body = json.loads(route.request.post_data or "{}")
    for subscription in body["subscriptions"]:
        subscription["lastEventId"] = "gone-1"
    await route.continue_(post_data=json.dumps(body))


async def _cut(app: Application, page: Page, name: str) -> Held:
    """Cuts a stream, whose way back is held until it is let go."""
    held = Held(_unknown_position)
    await page.route("**/events", held)
    async with page.expect_request("**/events"):
        cut(app, name)
    return held


async def _ask_for_older(page: Page, *texts: str) -> None:
    """Comes into the lobby, where these are the newest messages, and scrolls up until it asks for those before."""
    async with page.expect_request("**/messages?before=*", timeout=3 * LIMIT):  # even while its list is still short
        await page.goto("/?room=lobby")
        await is_live(page)
        await sees(page, *texts)
        await page.locator("#log").evaluate(TO_THE_TOP)


def _rows(page: Page) -> Any:
    return page.locator("#messages .message-text, #messages .gap span")


# Until the page has heard of it: it may draw in the very frame, and keep its reader at the end.
TO_THE_TOP = """log => new Promise((done) => {
    let going = true;
    log.addEventListener('scroll', () => {
        if (log.scrollTop === 0) { going = false; done(); }
    });
    const step = () => {
        if (!going) return;
        log.scrollTop = log.scrollTop === 0 ? 1 : 0;
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""


@pytest.mark.parametrize("status", [500, 404])
@pytest.mark.gen_test(timeout=60)
async def test_messages_that_cannot_be_had_leave_a_gap_that_is_closed(
    app: Application, site: Site, status: int
) -> None:
    """Between what was there and what comes now stands a sentence, until the server gives what is missing."""
    ada, bob = await site.guests("Ada", "Bob")
    await say(ada, "before")
    await sees(bob, "before")
    asked = []

    async def refuse(route: Route) -> None:
        asked.append(route)
        await route.fulfill(status=status, json={"error": "No.", "code": "no"})

    await bob.route("**/api/rooms/lobby/messages?*", refuse)
    way_back = await _cut(app, bob, "Bob")
    await say(ada, "missed")
    await sees(ada, "before", "missed")
    way_back.let_go()
    gap = bob.locator("#messages .gap")
    await expect(gap).to_contain_text("Messages may be missing here.", timeout=LIMIT)
    await say(ada, "after")
    await expect(_rows(bob)).to_have_text(["before", "Messages may be missing here.", "after"], timeout=LIMIT)

    before = len(asked)
    async with bob.expect_request("**/api/rooms/lobby/messages?*"):
        await gap.get_by_role("button", name="Try again").click()
    await expect(gap).to_be_visible()
    assert len(asked) > before
    await bob.unroute("**/api/rooms/lobby/messages?*")
    await gap.get_by_role("button", name="Try again").click()
    await expect(_rows(bob)).to_have_text(["before", "missed", "after"], timeout=LIMIT)


@pytest.mark.gen_test(timeout=60)
async def test_a_gap_is_closed_without_a_press_when_the_trouble_passes(app: Application, site: Site) -> None:
    """The page asks again by itself."""
    ada, bob = await site.guests("Ada", "Bob")
    tries = 0

    async def refuse(route: Route) -> None:
        nonlocal tries
        tries += 1
        await (route.abort() if tries < 3 else route.continue_())

    await bob.route("**/api/rooms/lobby/messages?*", refuse)
    way_back = await _cut(app, bob, "Bob")
    await say(ada, "missed")
    await sees(ada, "missed")
    way_back.let_go()
    await expect(bob.locator("#messages .gap")).to_be_visible(timeout=LIMIT)
    await sees(bob, "missed")
    await expect(bob.locator("#messages .gap")).to_have_count(0)


@pytest.mark.gen_test(timeout=60)
async def test_older_messages_that_cannot_be_had_are_asked_for_again(site: Site) -> None:
    """The top of the list says so and offers it: there is nothing to scroll that would try again."""
    ada = await site.join("Ada")
    texts = [f"{number}" for number in range(60)]
    await ada.evaluate(POST, {"room": "lobby", "texts": texts})
    await sees(ada, *texts)
    bob = await site.join("Bob", "quiet")
    await bob.route("**/messages?before=*", lambda route: route.abort())
    await _ask_for_older(bob, *texts[10:])
    await expect(bob.locator("#log-top-text")).to_have_text("Older messages could not be loaded.", timeout=LIMIT)
    await bob.unroute("**/messages?before=*")
    await bob.click("#log-top-retry")
    await sees(bob, *texts)
    await expect(bob.locator("#log-top-retry")).to_be_hidden()


@pytest.mark.gen_test(timeout=60)
async def test_older_messages_that_come_after_a_new_beginning_leave_no_hole(app: Application, site: Site) -> None:
    """They were asked for in front of what is shown no more; in front of what is shown now stand its own."""
    ada = await site.join("Ada")
    texts = [f"{number}" for number in range(120)]
    await ada.evaluate(POST, {"room": "lobby", "texts": texts[:60]})
    bob = await site.join("Bob", "quiet")
    let_go = asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        await let_go.wait()
        await route.fulfill(response=answer)

    await bob.route("**/messages?before=*", hold, times=1)
    await _ask_for_older(bob, *texts[10:60])
    way_back = await _cut(app, bob, "Bob")
    await ada.evaluate(POST, {"room": "lobby", "texts": texts[60:]})
    way_back.let_go()
    await expect(bob.locator("#messages .message-text").last).to_have_text("119", timeout=LIMIT)
    let_go.set()
    while await bob.locator("#messages .message-text").first.text_content() != "0":
        await bob.locator("#log").evaluate(TO_THE_TOP)
        await bob.evaluate("new Promise(requestAnimationFrame)")
    await sees(bob, *texts)


@pytest.mark.gen_test(timeout=60)
async def test_messages_of_the_room_before_are_not_drawn_in_this_one(site: Site) -> None:
    """They come when the page has gone on."""
    ada = await site.join("Ada")
    await ada.evaluate(POST, {"room": "lobby", "texts": [f"{number}" for number in range(60)]})
    bob = await site.join("Bob", "quiet")
    older = Held()
    await bob.route("**/messages?before=*", older)
    await _ask_for_older(bob, *(f"{number}" for number in range(10, 60)))
    await go_to(bob, "quiet")
    async with bob.expect_response("**/messages?before=*"):
        older.let_go()
    await bob.evaluate("fetch('/healthz').then(() => new Promise(requestAnimationFrame))")
    await expect(bob.locator("#messages .message")).to_have_count(0)
