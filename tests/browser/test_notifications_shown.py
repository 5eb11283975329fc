"""useSSEConnection against the real server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page
from tornado.web import Application

from benchmarks.server_process import SECRET, token
from tests.browser.parts import app_with_parts, cut, needs_react, until

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
    await page.evaluate(BEGIN, [token("ada"), token("back end", "service")])
    await until(page, "page.now?.connected")


async def notify(page: Page, type: str, **more: Any) -> None:
    await page.evaluate("([type, more]) => notify(type, more)", [type, more])


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_it_reloads_what_changed_elsewhere(app: Application, probe: Page) -> None:
    """By the date of now, not for its own echo; a hidden page has no stream, and takes up what it missed."""
    await begin(probe)
    streams = app.settings["server"].hub.streams
    await notify(probe, "task_updated")
    await until(probe, "told.length === 1")
    (stream,) = streams
    await probe.evaluate("page.render(use('Tuesday'))")
    await notify(probe, "something_else")
    await notify(probe, "client_updated", sourceClientId=await probe.evaluate("page.now.clientId"))
    await notify(probe, "client_updated", sourceClientId="another")
    await until(probe, "told.length === 2")
    assert list(streams) == [stream], "a new date, and a new function, are no reason to connect anew"
    await probe.evaluate("show(true)")
    await until(probe, "!page.now.connected && !page.now.error")
    await notify(probe, "timeslot_updated")
    await probe.evaluate("show(false)")
    await until(probe, "page.now.connected && told.length === 3")
    assert await probe.evaluate("told") == [
        "Monday task_updated", "Tuesday client_updated", "Tuesday timeslot_updated",
    ]  # fmt: skip
    await probe.evaluate("page.render(use('Tuesday', null))")
    await until(probe, "!page.now.connected")


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_it_tries_five_times(app: Application, probe: Page) -> None:
    """With growing delays; then it says so, until the network is back."""
    await begin(probe)
    await probe.evaluate("""() => {
        window.hurry = true;
        window.delays = [];
        const [stream] = mine.streams;
        stream.addEventListener('state', ({ detail: { retryAt } }) => {
            if (retryAt) delays.push(retryAt - Date.now());
        });
    }""")
    await probe.context.set_offline(True)
    cut(app)
    await until(probe, "page.now.error === 'The server could not be reached.'")
    delays = await probe.evaluate("delays.slice(0, 5)")
    assert len(delays) == 5 and delays[0] < delays[2] < delays[4]
    assert await probe.evaluate("page.now.reconnectAttempts") == 5
    await probe.context.set_offline(False)
    await until(probe, "page.now.connected && page.now.reconnectAttempts === 0")
