"""useSSE, MessageStream and <message-stream>, against the real server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect
from tornado.web import Application

from tests.browser.pages import LIMIT
from tests.browser.parts import app_with_parts, cut, needs_react, until

app = app_with_parts(heartbeat=0.2)


async def post(page: Page, session_id: str, content: str, **more: Any) -> None:
    await page.evaluate("(body) => client.sendToSession(body)", {"sessionId": session_id, "content": content, **more})


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_the_hook_follows_a_session(app: Application, probe: Page) -> None:
    """Messages as they come, those of a cut too; cleared, disconnected, connected, filtered; all is told."""
    await probe.evaluate("""() => {
        window.told = [];
        window.use = (options) => () => useSSE({
            sessionId: '42', reconnectInterval: 100, ...options,
            onMessage: (message) => told.push(message.content),
            onConnected: () => told.push('+'), onDisconnected: () => told.push('-'), onError: (e) => told.push(e),
        });
        window.session = mount(use());
    }""")
    await until(probe, "session.now?.connected")
    await post(probe, "42", "one")
    await post(probe, "43", "elsewhere")
    await post(probe, "42", "two", robotId="r2")
    await until(probe, "session.now.messages.map((m) => m.content).join() === 'one,two'")
    before, after = await probe.evaluate("""() => new Promise((resolve) => {
        const before = session.seen.length;
        const other = client.session('42', { resume: false });
        let left = 4;
        other.addEventListener('heartbeat', () => {
            if (--left) return;
            other.close();
            resolve([before, session.seen.length]);
        });
    })""")
    assert before == after, "nothing is drawn for a heartbeat"
    cut(app)
    await until(probe, "session.seen.some((s) => s.reconnectAttempts === 1 && !s.connected)")
    await post(probe, "42", "meanwhile")
    await until(probe, "session.now.connected && session.now.messages.length === 3")
    assert await probe.evaluate("session.now.reconnectAttempts") == 0
    await probe.evaluate("session.now.clearMessages()")
    await until(probe, "!session.now.messages.length")
    await probe.evaluate("session.now.disconnect()")
    await until(probe, "!session.now.connected")
    await probe.evaluate("session.now.connect()")
    await until(probe, "session.now.connected")
    await probe.evaluate("session.render(use({ robotId: 'r7' }))")
    await until(probe, "told.filter((what) => what === '+').length === 4 && session.now.connected")
    await post(probe, "42", "for another")
    await post(probe, "42", "for r7", robotId="r7")
    await until(probe, "session.now.messages.map((m) => m.content).join() === 'for r7'")
    told = ["+", "one", "two", "-", "+", "meanwhile", "-", "+", "+", "for r7"]
    assert await probe.evaluate("told") == told


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_it_gives_up_after_so_many_tries(app: Application, probe: Page) -> None:
    """Offline it tries as often as it may, then says so; the network's return, or connect(), begins anew."""
    await probe.evaluate("() => { window.session = mount(() => useSSE({ sessionId: '42', "
                         "reconnectInterval: 50, maxReconnectAttempts: 2 })); }")  # fmt: skip
    await until(probe, "session.now?.connected")
    await probe.context.set_offline(True)
    cut(app)
    await until(probe, "session.now.error === 'The server could not be reached.'")
    assert await probe.evaluate("Math.max(...session.seen.map((s) => s.reconnectAttempts))") == 2
    await probe.context.set_offline(False)
    await until(probe, "session.now.connected && !session.now.error && session.now.reconnectAttempts === 0")


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_component_and_element_show_the_same(app: Application, probe: Page) -> None:
    """List, state, reconnect count and clear, in React and as an element side by side."""
    await probe.evaluate("""() => {
        window.heard = [];
        window.shown = mount(() => null, React.createElement(MessageStream,
            { sessionId: '42', onNewMessage: ({ content }) => heard.push(`react ${content}`) }));
        const element = Object.assign(document.createElement('message-stream'), { sessionId: '42' });
        element.addEventListener('new-message', ({ detail }) => heard.push(`element ${detail.content}`));
        document.body.append(element);
    }""")
    sides = [probe.locator("section.message-stream"), probe.locator("message-stream")]
    for side in sides:
        await expect(side.get_by_role("status")).to_have_text("Connected", timeout=LIMIT)
        await expect(side.get_by_text("No messages yet.")).to_be_visible()
    await post(probe, "42", "<i>Hello</i>")
    await post(probe, "42", "Beep", isFromBot=True)
    for side in sides:
        await expect(side.get_by_role("log").get_by_role("listitem")).to_have_count(2, timeout=LIMIT)
        await expect(side.get_by_text("<i>Hello</i>")).to_be_visible()
    assert sorted(await probe.evaluate("heard")) == [
        "element <i>Hello</i>", "element Beep", "react <i>Hello</i>", "react Beep",
    ]  # fmt: skip
    cut(app)
    for side in sides:
        await expect(side.get_by_text("1 try")).to_be_visible()
    for side in sides:
        await expect(side.get_by_role("status")).to_have_text("Connected", timeout=LIMIT)
        await side.get_by_role("button", name="Clear").click()
        await expect(side.get_by_role("listitem")).to_have_count(0)
        await expect(side.get_by_role("button", name="Clear")).to_be_disabled()
    await probe.evaluate("document.querySelector('message-stream').disconnect()")
    await expect(sides[1]).to_have_attribute("state", "closed")
    await sides[1].get_by_role("button", name="Reconnect").click()
    await expect(sides[1]).to_have_attribute("state", "open", timeout=LIMIT)
