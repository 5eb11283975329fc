"""What a page shows when messages cannot be had: never two ends joined as if nothing were missing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect
from tornado.httpserver import HTTPServer
from tornado.web import Application

from tests.browser.conftest import Chromium
from tests.browser.pages import LIMIT, is_live, join, say, sees

POST = """async ({ room, texts }) => {
    const { token } = JSON.parse(sessionStorage['chatrooms.session']);
    const body = JSON.stringify({ messages: texts.map((message) => ({ message })) });
    const headers = { Authorization: `Bearer ${token}` };
    await fetch(`/api/rooms/${room}/messages/batch`, { method: 'POST', headers, body });
}"""


class _Cut:
    """A stream's way back, held until it is let go, and then from a position that the server does not know."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def __call__(self, route: Route) -> None:
        await self.let_go.wait()
        body = json.loads(route.request.post_data or "{}")
        for wish in body["subscriptions"]:
            wish["lastEventId"] = "gone-1"
        await route.continue_(post_data=json.dumps(body))


async def _cut(app: Application, page: Page, name: str) -> _Cut:
    cut = _Cut()
    await page.route("**/events", cut)
    server: Any = app.settings["server"]
    async with page.expect_request("**/events"):
        for stream in [s for s in server.hub.streams if _reads(s, name)]:
            stream.abandon()
    return cut


def _reads(stream: Any, name: str) -> bool:
    return stream.member is not None and stream.member.key[1] == name


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
    app: Application, http_server: HTTPServer, base_url: str, chromium: Chromium, status: int
) -> None:
    """Between what was there and what comes now stands a sentence, until the server gives what is missing."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        bob = await join(browser, base_url, "Bob", "lobby")
        await say(ada, "before")
        await sees(bob, "before")
        asked = []

        async def refuse(route: Route) -> None:
            asked.append(route)
            await route.fulfill(status=status, json={"error": "No.", "code": "no"})

        await bob.route("**/api/rooms/lobby/messages?*", refuse)
        cut = await _cut(app, bob, "Bob")
        await say(ada, "missed")
        await sees(ada, "before", "missed")
        cut.let_go.set()
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
async def test_a_gap_is_closed_without_a_press_when_the_trouble_passes(
    app: Application, http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """The page asks again by itself."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        bob = await join(browser, base_url, "Bob", "lobby")
        tries = 0

        async def refuse(route: Route) -> None:
            nonlocal tries
            tries += 1
            await (route.abort() if tries < 3 else route.continue_())

        await bob.route("**/api/rooms/lobby/messages?*", refuse)
        cut = await _cut(app, bob, "Bob")
        await say(ada, "missed")
        await sees(ada, "missed")
        cut.let_go.set()
        await expect(bob.locator("#messages .gap")).to_be_visible(timeout=LIMIT)
        await sees(bob, "missed")
        await expect(bob.locator("#messages .gap")).to_have_count(0)


@pytest.mark.gen_test(timeout=60)
async def test_older_messages_that_cannot_be_had_are_asked_for_again(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """The top of the list says so and offers it: there is nothing to scroll that would try again."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        texts = [f"{number}" for number in range(60)]
        await ada.evaluate(POST, {"room": "lobby", "texts": texts})
        await sees(ada, *texts)
        bob = await join(browser, base_url, "Bob", "quiet")
        await bob.route("**/messages?before=*", lambda route: route.abort())
        await bob.goto(f"{base_url}/?room=lobby")
        await is_live(bob)
        await sees(bob, *texts[10:])
        await bob.locator("#log").evaluate(TO_THE_TOP)
        await expect(bob.locator("#log-top-text")).to_have_text("Older messages could not be loaded.", timeout=LIMIT)
        await bob.unroute("**/messages?before=*")
        await bob.click("#log-top-retry")
        await sees(bob, *texts)
        await expect(bob.locator("#log-top-retry")).to_be_hidden()


@pytest.mark.gen_test(timeout=60)
async def test_older_messages_that_come_after_a_new_beginning_leave_no_hole(
    app: Application, http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """They were asked for in front of what is shown no more; in front of what is shown now stand its own."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        texts = [f"{number}" for number in range(120)]
        await ada.evaluate(POST, {"room": "lobby", "texts": texts[:60]})
        bob = await join(browser, base_url, "Bob", "quiet")
        let_go = asyncio.Event()

        async def hold(route: Route) -> None:
            answer = await route.fetch()
            await let_go.wait()
            await route.fulfill(response=answer)

        await bob.route("**/messages?before=*", hold, times=1)
        async with bob.expect_request("**/messages?before=*", timeout=3 * LIMIT):  # even while its list is still short
            await bob.goto(f"{base_url}/?room=lobby")
            await is_live(bob)
            await sees(bob, *texts[10:60])
            await bob.locator("#log").evaluate(TO_THE_TOP)
        cut = await _cut(app, bob, "Bob")
        await ada.evaluate(POST, {"room": "lobby", "texts": texts[60:]})
        cut.let_go.set()
        await expect(bob.locator("#messages .message-text").last).to_have_text("119", timeout=LIMIT)
        let_go.set()
        while await bob.locator("#messages .message-text").first.text_content() != "0":
            await bob.locator("#log").evaluate(TO_THE_TOP)
            await bob.evaluate("new Promise(requestAnimationFrame)")
        await sees(bob, *texts)


@pytest.mark.gen_test(timeout=60)
async def test_messages_of_the_room_before_are_not_drawn_in_this_one(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """They come when the page has gone on."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        await ada.evaluate(POST, {"room": "lobby", "texts": [f"{number}" for number in range(60)]})
        bob = await join(browser, base_url, "Bob", "quiet")
        let_go = asyncio.Event()

        async def hold(route: Route) -> None:
            await let_go.wait()
            await route.continue_()

        await bob.route("**/messages?before=*", hold)
        async with bob.expect_request("**/messages?before=*", timeout=3 * LIMIT):  # even while its list is still short
            await bob.goto(f"{base_url}/?room=lobby")
            await is_live(bob)
            await sees(bob, *(f"{number}" for number in range(10, 60)))
            await bob.locator("#log").evaluate(TO_THE_TOP)
        await bob.fill("#room-form-input", "quiet")
        await bob.press("#room-form-input", "Enter")
        await expect(bob.locator("#room-title")).to_have_text("quiet", timeout=LIMIT)
        await is_live(bob)
        async with bob.expect_response("**/messages?before=*"):
            let_go.set()
        await bob.evaluate("fetch('/healthz').then(() => new Promise(requestAnimationFrame))")
        await expect(bob.locator("#messages .message")).to_have_count(0)
