"""The demo in a real browser: people in several tabs."""

from __future__ import annotations

import pytest
from playwright.async_api import expect
from tornado.web import Application

from tests.browser.pages import (
    LIMIT,
    Site,
    complaints_of,
    enter,
    is_live,
    members_are,
    requests_of,
    say,
    sees,
    sign_in,
)
from tests.browser.parts import cut


@pytest.mark.gen_test(timeout=60)
async def test_two_tabs_talk(site: Site) -> None:
    """What one says, both see, in the same order; text stays text."""
    ada, bob = await site.guests("Ada", "Bob")
    await members_are(ada, 2)
    await say(ada, "Hello <b>Bob</b>")
    await sees(bob, "Hello <b>Bob</b>")
    await say(bob, "<img src=x onerror=alert(1)>")
    for page in (ada, bob):
        await sees(page, "Hello <b>Bob</b>", "<img src=x onerror=alert(1)>")


@pytest.mark.gen_test(timeout=60)
async def test_a_page_resumes_after_its_stream_was_cut(app: Application, site: Site) -> None:
    """A message sent while a tab is cut off appears there once, after it came back."""
    ada, bob = await site.guests("Ada", "Bob")
    await say(ada, "before")
    await sees(bob, "before")
    cut(app, "Bob")
    await say(ada, "meanwhile")
    await sees(bob, "before", "meanwhile")
    await say(bob, "after")
    for page in (ada, bob):
        await sees(page, "before", "meanwhile", "after")


@pytest.mark.gen_test(timeout=60)
async def test_the_page_needs_nothing_from_elsewhere(site: Site) -> None:
    """No request leaves the server, and the content security policy stops nothing of ours."""
    page = await site.page("about:blank")
    requests = requests_of(page)
    complaints = complaints_of(page)
    await page.goto("/")
    await enter(page, "Ada")
    assert [url for url in requests if not url.startswith((site.url, "data:"))] == []
    assert complaints == []


@pytest.mark.gen_test(timeout=60)
async def test_an_account_is_made_and_used(site: Site) -> None:
    """Sign-up in one browser, sign-in with the same account in another."""
    await site.account()
    other = await site.page("/")
    await sign_in(other)
    await is_live(other)


@pytest.mark.gen_test(timeout=60)
async def test_the_assistant_streams(site: Site) -> None:
    """A question in the panel gets an answer that quotes it."""
    page = await site.join("Ada")
    await page.click("#open-assistant")
    await page.fill("#assistant-input", "what is a heartbeat")
    await page.click("#assistant-send")
    reply = page.locator("#assistant-turns .reply .reply-text").last
    await expect(reply).to_contain_text("what is a heartbeat", timeout=LIMIT)
    await expect(page.locator("#assistant-turns .reply .turn-tools").last).to_be_attached(timeout=LIMIT)


@pytest.mark.gen_test(timeout=60)
async def test_header_and_composer_agree_that_the_page_is_offline(site: Site) -> None:
    """By the browser's word or a message that did not get through, though the open stream still seems to live."""
    page = await site.join("Ada")
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
