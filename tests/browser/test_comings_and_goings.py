"""A page that is used all day: what a room needed is gone when it is left."""

from __future__ import annotations

import pytest
from playwright.async_api import CDPSession, Page, expect
from tornado.httpserver import HTTPServer

from tests.browser.conftest import Chromium
from tests.browser.pages import LIMIT, is_live, join

ROUNDS = 25
TIMERS = """(() => {
    const living = new Set();
    const { setInterval: set, clearInterval: clear } = window;
    window.setInterval = (...call) => { const id = set(...call); living.add(id); return id; };
    window.clearInterval = (id) => { living.delete(id); clear(id); };
    window.livingIntervals = () => living.size;
})();"""


async def _counts(page: Page, devtools: CDPSession) -> tuple[int, int, int]:
    """What lives: DOM nodes, listeners, intervals."""
    for _ in range(3):
        await devtools.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in (await devtools.send("Performance.getMetrics"))["metrics"]}
    return int(metrics["Nodes"]), int(metrics["JSEventListeners"]), int(await page.evaluate("livingIntervals()"))


async def _visit(page: Page, room: str) -> None:
    await page.fill("#room-form-input", room)
    await page.press("#room-form-input", "Enter")
    await expect(page.locator("#room-title")).to_have_text(room, timeout=LIMIT)
    await is_live(page)


@pytest.mark.gen_test(timeout=180)
async def test_fifty_visits_leave_nothing_behind(http_server: HTTPServer, base_url: str, chromium: Chromium) -> None:
    """No more nodes, listeners or timers than after the first few, and one stream."""
    async with chromium() as browser:
        page = await join(browser, base_url, "Ada", "one")
        await page.add_init_script(TIMERS)
        await page.reload()
        await is_live(page)
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Performance.enable")
        for _ in range(2):
            await _visit(page, "two")
            await _visit(page, "one")
        before = await _counts(page, devtools)
        for _ in range(ROUNDS):
            await _visit(page, "two")
            await _visit(page, "one")
        after = await _counts(page, devtools)
        assert after[0] <= before[0] + 200, "DOM nodes"
        assert after[1] <= before[1] + 20, "listeners"
        assert after[2] == before[2], "intervals"
        await expect(page.locator("#member-list li")).to_have_count(1)
