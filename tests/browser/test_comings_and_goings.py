"""A page that is used all day: what a room needed is gone when it is left."""

from __future__ import annotations

import pytest
from playwright.async_api import CDPSession, Page, expect

from tests.browser.pages import Site, go_to, is_live

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


@pytest.mark.gen_test(timeout=180)
async def test_fifty_visits_leave_nothing_behind(site: Site) -> None:
    """No more nodes, listeners or timers than after the first few, and one stream."""
    page = await site.join("Ada", "one")
    await page.add_init_script(TIMERS)
    await page.reload()
    await is_live(page)
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable")
    for _ in range(2):
        await go_to(page, "two")
        await go_to(page, "one")
    before = await _counts(page, devtools)
    for _ in range(ROUNDS):
        await go_to(page, "two")
        await go_to(page, "one")
    after = await _counts(page, devtools)
    assert after[0] <= before[0] + 200, "DOM nodes"
    assert after[1] <= before[1] + 20, "listeners"
    assert after[2] == before[2], "intervals"
    await expect(page.locator("#member-list li")).to_have_count(1)
