"""The demo in a real browser: people in several tabs."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect
from tornado.httpserver import HTTPServer
from tornado.web import Application

from tests.browser.conftest import Chromium
from tests.browser.pages import LIMIT, join, say, sees


@pytest.mark.gen_test(timeout=60)
async def test_two_tabs_talk(http_server: HTTPServer, base_url: str, chromium: Chromium) -> None:
    """What one says, both see, in the same order; text stays text."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        bob = await join(browser, base_url, "Bob", "lobby")
        await expect(ada.locator("#member-list li")).to_have_count(2, timeout=LIMIT)
        await say(ada, "Hello <b>Bob</b>")
        await sees(bob, "Hello <b>Bob</b>")
        await say(bob, "<img src=x onerror=alert(1)>")
        for page in (ada, bob):
            await sees(page, "Hello <b>Bob</b>", "<img src=x onerror=alert(1)>")


@pytest.mark.gen_test(timeout=60)
async def test_a_page_resumes_after_its_stream_was_cut(
    app: Application, http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """A message sent while a tab is cut off appears there once, after it came back."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        bob = await join(browser, base_url, "Bob", "lobby")
        await say(ada, "before")
        await sees(bob, "before")
        await _cut_streams(app, "Bob")
        await say(ada, "meanwhile")
        await sees(bob, "before", "meanwhile")
        await say(bob, "after")
        for page in (ada, bob):
            await sees(page, "before", "meanwhile", "after")


@pytest.mark.gen_test(timeout=60)
async def test_the_page_needs_nothing_from_elsewhere(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """No request leaves the server, and the content security policy stops nothing of ours."""
    async with chromium() as browser:
        page = await (await browser.new_context()).new_page()
        requests: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(base_url)
        await page.fill("#join-name", "Ada")
        await page.click("#join-submit")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=LIMIT)
        assert [url for url in requests if not url.startswith((base_url, "data:"))] == []
        assert complaints == []


@pytest.mark.gen_test(timeout=60)
async def test_an_account_is_made_and_used(http_server: HTTPServer, base_url: str, chromium: Chromium) -> None:
    """Sign-up in one browser, sign-in with the same account in another."""
    async with chromium() as browser:
        for mode in ("signup", "signin"):
            page = await (await browser.new_context()).new_page()
            page.set_default_timeout(LIMIT)
            await page.goto(base_url)
            await page.click(f"[data-mode={mode}]")
            await page.fill("#join-name" if mode == "signup" else "#join-account", "Grace")
            if mode == "signup":
                await page.fill("#join-email", "grace@example.org")
            await page.fill("#join-password", "correct horse")
            await page.click("#join-submit")
            await expect(page.locator("#connection")).to_have_attribute("data-state", "live", timeout=LIMIT)


@pytest.mark.gen_test(timeout=60)
async def test_the_assistant_streams(http_server: HTTPServer, base_url: str, chromium: Chromium) -> None:
    """A question in the panel gets an answer that quotes it."""
    async with chromium() as browser:
        page = await join(browser, base_url, "Ada", "lobby")
        await page.click("#open-assistant")
        await page.fill("#assistant-input", "what is a heartbeat")
        await page.click("#assistant-send")
        reply = page.locator("#assistant-turns .reply .reply-text").last
        await expect(reply).to_contain_text("what is a heartbeat", timeout=LIMIT)
        await expect(page.locator("#assistant-turns .reply .turn-tools").last).to_be_attached(timeout=LIMIT)


async def _cut_streams(app: Application, username: str) -> None:
    """Ends the open streams of a name as a broken connection would."""
    server: Any = app.settings["server"]
    mine = [s for s in server.hub.streams if s.member is not None and s.member.key[1] == username]
    assert mine, "there is a stream to cut"
    for stream in mine:
        stream.abandon()


@pytest.mark.gen_test(timeout=60)
async def test_header_and_composer_agree_that_the_page_is_offline(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """By the browser's word or a message that did not get through, though the open stream still seems to live."""
    async with chromium() as browser:
        page = await join(browser, base_url, "Ada", "lobby")
        header, waiting = page.locator("#connection-text"), page.locator(".message[data-state=waiting]")
        await page.context.set_offline(True)
        await expect(header).to_have_text("Offline", timeout=LIMIT)
        await say(page, "one")
        await expect(waiting).to_contain_text("Waiting to send", timeout=LIMIT)
        await page.context.set_offline(False)
        await sees(page, "one")
        await expect(header).to_have_text("Live", timeout=LIMIT)
        await page.route("**/api/rooms/*/messages", lambda route: route.abort())
        await say(page, "two")
        await expect(waiting).to_contain_text("Waiting to send", timeout=LIMIT)
        await expect(header).to_have_text("Reconnecting…", timeout=LIMIT)
        await page.unroute("**/api/rooms/*/messages")
        await sees(page, "one", "two")
        await expect(header).to_have_text("Live", timeout=LIMIT)
