"""A page that is used all day: what a room needed is gone when it is left."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from playwright.async_api import CDPSession, Page

from tests.browser.pages import LIMIT, Site, go_to, is_live, members_are

ROUNDS = 25
TIMERS = """(() => {
    const living = new Set();
    const { setInterval: set, clearInterval: clear } = window;
    window.setInterval = (...call) => { const id = set(...call); living.add(id); return id; };
    window.clearInterval = (id) => { living.delete(id); clear(id); };
    window.livingIntervals = () => living.size;
})();"""


Counts = tuple[int, int, int]


async def _counts(page: Page, devtools: CDPSession) -> Counts:
    """What lives: DOM nodes, listeners, intervals."""
    for _ in range(3):
        await devtools.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in (await devtools.send("Performance.getMetrics"))["metrics"]}
    return int(metrics["Nodes"]), int(metrics["JSEventListeners"]), int(await page.evaluate("livingIntervals()"))


async def _settled(page: Page, devtools: CDPSession) -> Counts:
    """What lives when ten rounds of collection have freed nothing: what the last visits needed goes late."""
    counts = await _counts(page, devtools)
    same = 0
    while same < 10:
        before, counts = counts, await _counts(page, devtools)
        same = same + 1 if counts == before else 0
    return counts


async def _down_to(most: Counts, page: Page, devtools: CDPSession) -> Counts:
    """What lives once it is no more than that, or when the time for it is over."""
    counts = await _counts(page, devtools)
    with suppress(TimeoutError):
        async with asyncio.timeout(LIMIT / 1000):
            while any(count > limit for count, limit in zip(counts, most, strict=True)):
                counts = await _counts(page, devtools)
    return counts


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
    nodes, listeners, intervals = await _settled(page, devtools)
    for _ in range(ROUNDS):
        await go_to(page, "two")
        await go_to(page, "one")
    after = await _down_to((nodes + 200, listeners + 20, intervals), page, devtools)
    assert after[0] <= nodes + 200, "DOM nodes"
    assert after[1] <= listeners + 20, "listeners"
    assert after[2] == intervals, "intervals"
    await members_are(page, 1)
