"""Replies of the assistant in a room."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.pages import LIMIT, Site, complaints_of, requests_of, say
from tests.browser.parts import app_with

REPLY = ".message.bot:not(.draft)"


app = app_with(ai_delay=0.15)


@pytest.mark.gen_test(timeout=60)
async def test_a_reply_is_seen_by_two_and_stopped_by_one(site: Site) -> None:
    """Both see it grow; who asked may stop it and both see who did; asked again, it comes whole."""
    ada, bob = await site.guests("Ada", "Bob")
    await say(ada, "@ai show me some code")
    for page in (ada, bob):
        await expect(page.locator(".draft .rich")).to_contain_text("show me some code", timeout=LIMIT)
    await expect(bob.locator(".reply-stop")).to_have_count(0)
    await ada.click(".reply-stop")
    for page in (ada, bob):
        await expect(page.locator(f"{REPLY} .reply-note")).to_contain_text("Stopped by Ada", timeout=LIMIT)
        await expect(page.locator(".draft")).to_have_count(0)

    await ada.locator(REPLY).get_by_role("button", name="Ask again").first.click()
    for page in (ada, bob):
        whole = page.locator(REPLY).nth(1)
        await expect(whole.locator("pre code")).to_contain_text("def greet", timeout=LIMIT)
        await expect(whole.locator("ol > li")).to_have_count(3)
        await expect(whole.locator(".reply-note")).to_have_count(0)


@pytest.mark.gen_test(timeout=60)
async def test_who_comes_in_the_middle_sees_the_beginning(site: Site) -> None:
    """A page that opens while a reply is written shows all of it, once."""
    ada = await site.join("Ada")
    await say(ada, "@ai show me some code")
    await expect(ada.locator(".draft .rich")).to_contain_text("show me some code", timeout=LIMIT)
    bob = await site.join("Bob")
    for page in (ada, bob):
        reply = page.locator(REPLY)
        await expect(reply).to_contain_text("That is all.", timeout=LIMIT)
        await expect(reply).to_have_count(1)
        await expect(page.get_by_text("(offline assistant)")).to_have_count(1)


@pytest.mark.gen_test(timeout=60)
async def test_what_shows_markdown_comes_with_the_first_reply(site: Site) -> None:
    """Not before; code is coloured in place, copied whole, and nothing breaks the page's policy."""
    ada = await site.join("Ada")
    requests = requests_of(ada)
    complaints = complaints_of(ada)
    await ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await say(ada, "hello")
    await expect(ada.locator(".message[data-state=confirmed]")).to_have_count(1)
    loaded = await ada.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert not [name for name in loaded if "/vendor/" in name]
    await say(ada, "@ai show me some code")
    code = ada.locator(f"{REPLY} pre code")
    await expect(code.locator(".code-keyword").first).to_have_text("def", timeout=LIMIT)
    assert sorted(url.rpartition("/")[2] for url in requests if "/vendor/" in url) == [
        "core.min.js", "markdown-it.esm.min.mjs", "python.min.js",
    ]  # fmt: skip
    await ada.locator(REPLY).get_by_role("button", name="Copy code").click()
    await expect(ada.get_by_text("Code copied")).to_be_visible()
    copied = await ada.evaluate("navigator.clipboard.readText()")
    assert copied == 'def greet(name: str) -> str:\n    return f"Hello, {name}!"' == await code.text_content()
    assert complaints == []
