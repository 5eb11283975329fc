"""Replies of the assistant in a room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from chatrooms.app import make_app
from tests.browser.conftest import Chromium
from tests.browser.pages import LIMIT, join, say

REPLY = ".message.bot:not(.draft)"


@pytest.fixture
def app(io_loop: IOLoop, tmp_path: Path) -> Any:
    """A server whose assistant takes its time."""
    application = make_app(data_dir=str(tmp_path / "data"), ai_delay=0.15)
    yield application
    io_loop.run_sync(application.settings["server"].stop)


@pytest.mark.gen_test(timeout=60)
async def test_a_reply_is_seen_by_two_and_stopped_by_one(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """Both see it grow; who asked may stop it and both see who did; asked again, it comes whole."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        bob = await join(browser, base_url, "Bob", "lobby")
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
async def test_who_comes_in_the_middle_sees_the_beginning(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """A page that opens while a reply is written shows all of it, once."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        await say(ada, "@ai show me some code")
        await expect(ada.locator(".draft .rich")).to_contain_text("show me some code", timeout=LIMIT)
        bob = await join(browser, base_url, "Bob", "lobby")
        for page in (ada, bob):
            reply = page.locator(REPLY)
            await expect(reply).to_contain_text("That is all.", timeout=LIMIT)
            await expect(reply).to_have_count(1)
            await expect(page.get_by_text("(offline assistant)")).to_have_count(1)


@pytest.mark.gen_test(timeout=60)
async def test_what_shows_markdown_comes_with_the_first_reply(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """Not before; code is coloured in place, copied whole, and nothing breaks the page's policy."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        asked: list[str] = []
        complaints: list[str] = []
        ada.on("request", lambda request: asked.append(request.url.removeprefix(base_url)))
        ada.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        await ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await say(ada, "hello")
        await expect(ada.locator(".message[data-state=confirmed]")).to_have_count(1)
        loaded = await ada.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
        assert not [name for name in loaded if "/vendor/" in name]
        await say(ada, "@ai show me some code")
        code = ada.locator(f"{REPLY} pre code")
        await expect(code.locator(".code-keyword").first).to_have_text("def", timeout=LIMIT)
        assert sorted(path.rpartition("/")[2] for path in asked if "/vendor/" in path) == [
            "core.min.js", "markdown-it.esm.min.mjs", "python.min.js",
        ]  # fmt: skip
        await ada.locator(REPLY).get_by_role("button", name="Copy code").click()
        await expect(ada.get_by_text("Code copied")).to_be_visible()
        copied = await ada.evaluate("navigator.clipboard.readText()")
        assert copied == 'def greet(name: str) -> str:\n    return f"Hello, {name}!"' == await code.text_content()
        assert complaints == []
