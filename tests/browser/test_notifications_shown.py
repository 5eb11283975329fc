"""useSSEConnection against the real server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page
from tornado.httpserver import HTTPServer
from tornado.web import Application

from benchmarks.server_process import SECRET, token
from tests.browser.conftest import Chromium
from tests.browser.parts import app_with_parts, clean_page, cut, needs_react, until

app = app_with_parts(secret=SECRET)

BEGIN = """([own, service]) => {
    window.told = [];
    window.clock = {
        now: () => Date.now(),
        random: () => 0.5,
        after(ms, run) {
            const timer = setTimeout(run, window.hurry ? ms / 50 : ms);
            return () => clearTimeout(timer);
        },
    };
    const options = { share: false, storage: null, clock };
    window.mine = new Chatrooms({ ...options, token: own });
    window.backEnd = new Chatrooms({ ...options, token: service });
    window.notify = (type, more) => backEnd.json('POST', '/api/notifications', {
        body: { userId: 'ada', type, data: {}, ...more },
    });
    window.use = (date, user = 'ada') => () =>
        useSSEConnection(user, date, (day, { type }) => told.push(`${day} ${type}`), { client: mine });
    window.page = mount(use('Monday'));
    window.show = (hidden) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange'));
    };
}"""


async def begin(page: Page) -> None:
    await until(page, "window.ready")
    await page.evaluate(BEGIN, [token("ada"), token("back end", "service")])
    await until(page, "page.now?.connected")


async def notify(page: Page, type: str, **more: Any) -> None:
    await page.evaluate("([type, more]) => notify(type, more)", [type, more])


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_it_reloads_what_changed_elsewhere(
    app: Application, http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """By the date of now, not for its own echo; a hidden page has no stream, and takes up what it missed."""
    async with chromium() as browser, clean_page(browser, f"{base_url}/probe/index.html") as page:
        await begin(page)
        streams = app.settings["server"].hub.streams
        await notify(page, "task_updated")
        await until(page, "told.length === 1")
        (stream,) = streams
        await page.evaluate("page.render(use('Tuesday'))")
        await notify(page, "something_else")
        await notify(page, "client_updated", sourceClientId=await page.evaluate("page.now.clientId"))
        await notify(page, "client_updated", sourceClientId="another")
        await until(page, "told.length === 2")
        assert list(streams) == [stream], "a new date, and a new function, are no reason to connect anew"
        await page.evaluate("show(true)")
        await until(page, "!page.now.connected && !page.now.error")
        await notify(page, "timeslot_updated")
        await page.evaluate("show(false)")
        await until(page, "page.now.connected && told.length === 3")
        assert await page.evaluate("told") == [
            "Monday task_updated", "Tuesday client_updated", "Tuesday timeslot_updated",
        ]  # fmt: skip
        await page.evaluate("page.render(use('Tuesday', null))")
        await until(page, "!page.now.connected")


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_it_tries_five_times(
    app: Application, http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """With growing delays; then it says so, until the network is back."""
    async with chromium() as browser, clean_page(browser, f"{base_url}/probe/index.html") as page:
        await begin(page)
        await page.evaluate("""() => {
            window.hurry = true;
            window.delays = [];
            const [stream] = mine.streams;
            stream.addEventListener('state', ({ detail: { retryAt } }) => {
                if (retryAt) delays.push(retryAt - Date.now());
            });
        }""")
        await page.context.set_offline(True)
        cut(app)
        await until(page, "page.now.error === 'The server could not be reached.'")
        delays = await page.evaluate("delays.slice(0, 5)")
        assert len(delays) == 5 and delays[0] < delays[2] < delays[4]
        assert await page.evaluate("page.now.reconnectAttempts") == 5
        await page.context.set_offline(False)
        await until(page, "page.now.connected && page.now.reconnectAttempts === 0")
