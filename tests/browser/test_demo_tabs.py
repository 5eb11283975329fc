"""The demo in several tabs of one browser, and what it shows while its server is away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from benchmarks.server_process import ServerProcess
from tests.browser.pages import LIMIT, Site, is_live, members_are, say, sees, state_is
from tests.clients.proxy import Proxy

TABS = 7  # one more than the connections that a browser opens to a server by HTTP/1.1, for all its tabs together


async def _notices(page: Page) -> str:
    return " · ".join(await page.locator(".notice").all_text_contents())


@pytest.mark.gen_test(timeout=120)
async def test_seven_tabs_talk_over_one_connection(site: Site) -> None:
    """Each is somebody else; the one that carries the streams of all is closed, and only who sat there leaves."""
    tabs = await site.tabs(*(f"User {number}" for number in range(TABS)))
    said = [f"hello from {number}" for number in range(TABS)]
    for number, tab in enumerate(tabs):
        await say(tab, said[number])
        await sees(tabs[0], *said[: number + 1])
    for tab in tabs:
        await sees(tab, *said)
        await members_are(tab, TABS)

    first, *others = tabs  # who came first carries
    await first.close()
    for number, tab in enumerate(others):
        await say(tab, f"{number} goes on")
        said.append(f"{number} goes on")
        await sees(others[0], *said)
    for tab in others:
        await sees(tab, *said)
        await members_are(tab, TABS - 1)
        notices = await _notices(tab)
        assert "User 0 left" in notices
        assert not re.search(r"left|came", notices.replace("User 0 left", "")), notices


@pytest.mark.gen_test(timeout=60)
async def test_a_reload_loses_no_line(site: Site) -> None:
    """What is said while a tab reloads is there afterwards, what was said before as well, and it is who it was."""
    bob, ada = await site.tabs("Bob", "Ada")
    await say(bob, "before")
    await sees(ada, "before")
    await bob.evaluate("setTimeout(() => location.reload())")
    for number in range(4):
        await say(ada, f"meanwhile {number}")
    lines = ["before", *(f"meanwhile {number}" for number in range(4))]
    await is_live(bob)
    await sees(bob, *lines)
    await say(bob, "after")
    for tab in (ada, bob):
        await sees(tab, *lines, "after")
        assert "left" not in await _notices(tab)
    await expect(bob.locator("#me-name")).to_have_text("Bob")


@pytest.mark.gen_test(timeout=90)
async def test_the_server_is_killed_under_a_sender(tmp_path: Path, browser: Browser) -> None:
    """The page says what is wrong and keeps what is written; afterwards everything is there once, in order."""
    with ServerProcess(tmp_path / "data") as server:
        ada, bob = await Site(browser, server.url).tabs("Ada", "Bob")
        await ada.clock.install()
        for number in range(4):
            await say(ada, f"{number}")
        server.kill()
        for number in range(4, 8):
            await say(ada, f"{number}")
        await state_is(ada, "waiting")
        await expect(ada.locator("#connection-text")).to_have_text(re.compile("Retrying in [0-9]+ s"), timeout=LIMIT)
        await expect(ada.locator("#banner-text")).to_contain_text("cannot be reached", timeout=LIMIT)
        await expect(ada.locator(".message[data-state=waiting]").first).to_contain_text("Waiting to send")

        await ada.context.set_offline(True)
        await state_is(ada, "offline")
        await expect(ada.locator("#banner-text")).to_contain_text("You are offline")
        await ada.context.set_offline(False)

        await ada.clock.pause_at(await ada.evaluate("Date.now() + 10_000"))  # it does not come back before the press
        await state_is(ada, "waiting")
        server.start()
        await ada.get_by_role("button", name="Try now").click()
        await ada.clock.resume()
        for tab in (ada, bob):
            await is_live(tab)
            await expect(tab.locator("#banner")).to_be_hidden()
        for number in range(8, 12):
            await say(ada, f"{number}")
        for tab in (ada, bob):
            await sees(tab, *(f"{number}" for number in range(12)))
        await ada.context.close()
        assert server.tracebacks() == []


@pytest.mark.gen_test(timeout=60)
async def test_where_streams_are_held_back_the_page_asks(tmp_path: Path, browser: Browser) -> None:
    """Behind a proxy that lets no stream's byte through, it reads by polls, and says so."""
    with ServerProcess(tmp_path / "data") as server:
        async with Proxy(server.port, holds=_is_stream) as proxy:
            ada = await Site(browser, f"http://127.0.0.1:{proxy.port}").page()
            await ada.clock.install()
            await ada.fill("#join-name", "Ada")
            async with ada.expect_request(lambda request: request.url.endswith("/events")):
                await ada.click("#join-submit")
            await ada.clock.fast_forward(16_000)
            await state_is(ada, "polling")
            await expect(ada.locator("#connection-text")).to_have_text("Checking every 2 s")
            await members_are(ada, 1)
            await say(ada, "by the other way")
            await sees(ada, "by the other way")


def _is_stream(request: bytes) -> bool:
    return request.startswith((b"POST /events ", b"GET /events?")) and b"poll=1" not in request
