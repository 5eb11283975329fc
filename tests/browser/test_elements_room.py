"""<chat-room> in real Chromium, on the page of the example, under a strict policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect
from tornado.web import Application

from tests.browser.pages import LIMIT, Site
from tests.browser.parts import app_with_parts, clean_page

app = app_with_parts(max_message_bytes=1000, ai_delay=0.1)


@asynccontextmanager
async def elements(site: Site, query: str = "") -> AsyncIterator[Page]:
    """The example's page, with the room alone on it."""
    async with clean_page(site, f"/examples/elements/index.html?{query}") as page:
        await page.evaluate("document.querySelectorAll('message-stream, task-progress').forEach((e) => e.remove())")
        yield page


@asynccontextmanager
async def person(site: Site, name: str) -> AsyncIterator[Page]:
    async with elements(site, f"name={name}") as page:
        await is_open(page)
        yield page


async def is_open(page: Page) -> None:
    await expect(page.locator("chat-room")).to_have_attribute("state", "open", timeout=LIMIT)


async def shows(page: Page, *texts: str) -> None:
    """Exactly these messages of the log, in this order."""
    bubbles = page.locator("chat-room li[data-state=confirmed] .message-text")
    await expect(bubbles).to_have_text(list(texts), timeout=LIMIT)


async def call(page: Page, method: str, path: str, body: Any) -> None:
    """One call as the user of the page."""
    client = "document.querySelector('chat-room').client"
    ask = f"([method, path, body]) => {client}.call(method, path, {{ body }}).then(() => null)"
    await page.evaluate(ask, [method, f"/api/rooms/lobby{path}", body])


async def write(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Message")
    await box.fill(text)
    await box.press("Enter")


def row(page: Page, text: str) -> Locator:
    return page.locator("chat-room li").filter(has_text=text)


@pytest.mark.gen_test(timeout=60)
async def test_people_talk_by_keyboard(site: Site) -> None:
    """A name is asked for; text stays text; the last message is edited, and deleted; a reply is streamed."""
    async with person(site, "Ada") as ada, elements(site) as bob:
        await bob.get_by_label("Which name").fill("Bob")
        await bob.keyboard.press("Enter")
        await is_open(bob)
        heard = "document.querySelector('chat-room').addEventListener('message', (e) => heard.push(e.detail.message))"
        await bob.evaluate(f"window.heard = [], {heard}")
        await expect(bob.get_by_text("2 online")).to_be_visible()
        await ada.get_by_role("textbox", name="Message").type("<b>Hello</b>")
        await expect(bob.get_by_text("Ada is typing…")).to_be_visible()
        await ada.keyboard.press("Enter")
        await write(ada, "a typo")
        await shows(bob, "<b>Hello</b>", "a typo")
        await expect(bob.get_by_text("Ada is typing…")).to_have_count(0)
        await ada.keyboard.press("ArrowUp")
        await ada.keyboard.press("End")
        await ada.keyboard.type(" no more")
        await ada.keyboard.press("Enter")
        await shows(bob, "<b>Hello</b>", "a typo no more")
        await expect(row(bob, "a typo").get_by_text("edited")).to_be_visible()
        await expect(row(bob, "a typo").get_by_role("button")).to_have_count(1)
        await expect(row(bob, "a typo").get_by_role("button", name="Copy text")).to_be_visible()
        await row(ada, "a typo").get_by_role("button", name="Delete").focus()
        await ada.keyboard.press("Enter")
        await shows(bob, "<b>Hello</b>")
        assert await bob.evaluate("heard") == ["<b>Hello</b>", "a typo"]
        await expect(ada.get_by_role("textbox", name="Message")).to_be_focused()
        await write(ada, "@ai hi")
        await expect(bob.locator("chat-room li.bot")).to_have_attribute("data-state", "confirmed", timeout=LIMIT)
        await expect(bob.locator("chat-room li.bot")).to_have_attribute("aria-busy", "false")
        await expect(bob.get_by_role("log", name="Lobby")).to_have_attribute("aria-live", "polite", timeout=LIMIT)
        await write(ada, "@ai show me some code")
        reply = bob.locator("chat-room li.bot").nth(1)
        await expect(reply.locator("pre code .code-keyword").first).to_have_text("def", timeout=LIMIT)
        await expect(reply.locator("ol > li strong")).to_have_text("bold")


@pytest.mark.gen_test(timeout=60)
async def test_what_goes_wrong_is_told(site: Site) -> None:
    """A refused message can be retried and discarded; offline one waits; leaving the end offers a way back."""
    async with person(site, "Ada") as ada:
        await write(ada, "x" * 1001)
        failed = ada.locator("chat-room li[data-state=failed]")
        await expect(failed.locator(".failure")).to_contain_text("1000", timeout=LIMIT)
        await failed.get_by_role("button", name="Discard").click()
        await expect(failed).to_have_count(0)
        await ada.context.set_offline(True)
        await write(ada, "later")
        await expect(row(ada, "later")).to_contain_text("Waiting to send", timeout=LIMIT)
        await ada.context.set_offline(False)
        await shows(ada, "later")
        await write(ada, "\n".join("abcdefghijklmnopqrstuvwxyz"))
        await expect(row(ada, "z")).to_be_visible()
        await ada.get_by_role("log").evaluate("(log) => { log.scrollTop = 0; }")
        await ada.get_by_role("button", name="Newest").click()
        await expect(ada.get_by_role("button", name="Newest")).to_be_hidden()


@pytest.mark.gen_test(timeout=60)
async def test_it_lives_as_long_as_it_is_in_the_page(app: Application, site: Site) -> None:
    """A move keeps the stream; another room-id opens another; taken out it closes. Properties are attributes."""
    async with person(site, "Ada") as ada:
        before = [stream.id for stream in app.settings["server"].hub.streams]
        await ada.evaluate("document.querySelector('main').prepend(document.querySelector('chat-room'))")
        await write(ada, "moved")
        await shows(ada, "moved")
        assert [stream.id for stream in app.settings["server"].hub.streams] == before
        await ada.evaluate("document.querySelector('chat-room').roomId = 'garden'")
        await expect(ada.locator("chat-room[room-id=garden][state=open]")).to_have_count(1, timeout=LIMIT)
        await shows(ada)
        gone = (
            "async () => { const room = document.querySelector('chat-room'); const { client } = room; room.remove(); "
        )
        left = await ada.evaluate(gone + "await null; return client.streams.size; }")
        assert left == 0


@pytest.mark.gen_test(timeout=60)
async def test_older_messages_come_on_the_way_up_and_a_gap_is_shown(site: Site) -> None:
    """Up to where the room begins; messages that cannot be had are never joined over."""
    async with person(site, "Ada") as ada:
        texts = [f"{number}" for number in range(60)]
        await call(ada, "POST", "/messages/batch", {"messages": [{"message": text} for text in texts]})
        await shows(ada, *texts)
        async with person(site, "Bob") as bob:
            await shows(bob, *texts[10:])
            await bob.get_by_role("log").evaluate("(log) => { log.scrollTop = 0; }")
            await shows(bob, *texts)
            await expect(bob.get_by_text("This is where the room begins.")).to_be_attached()
            await write(ada, "unseen")
            await expect(bob.get_by_role("button", name="1 new message")).to_be_visible(timeout=LIMIT)

            await bob.route(
                "**/messages?*", lambda route: route.fulfill(status=404, json={"error": "No.", "code": "no"})
            )
            lost = "document.querySelector('chat-room').client.streams.forEach("
            await bob.evaluate(
                lost + "(s) => s.dispatchEvent(new CustomEvent('system', { detail: { recovered: false } })))"
            )
            gap = row(bob, "Messages may be missing here.")
            await expect(gap).to_be_visible(timeout=LIMIT)
            await write(ada, "after")
            await expect(bob.locator("chat-room li").last).to_contain_text("after", timeout=LIMIT)
            await bob.unroute("**/messages?*")
            await gap.get_by_role("button", name="Try again").click()
            await expect(gap).to_have_count(0, timeout=LIMIT)
            await expect(bob.locator("chat-room li").last).to_contain_text("after")


@pytest.mark.gen_test(timeout=60)
async def test_the_rules_of_the_room_are_shown(site: Site) -> None:
    """Slow mode counts down, moderators delete, who asked stops the reply, a mute closes the box."""
    async with person(site, "Ada") as ada:
        await call(ada, "PUT", "", {"slowMode": 60})
        async with person(site, "Bob") as bob:
            await write(bob, "@ai tell me a story")
            await expect(bob.locator("#composer-wait-text")).to_contain_text("Slow mode", timeout=LIMIT)
            await bob.get_by_role("button", name="Stop the reply").click()
            for page in (ada, bob):
                await expect(row(page, "Stopped by Bob")).to_be_visible(timeout=LIMIT)
            await ada.evaluate("document.querySelector('chat-room').view.refresh()")
            await row(ada, "tell me a story").first.get_by_role("button", name="Delete").focus()
            await ada.keyboard.press("Enter")
            await expect(bob.locator("chat-room li").filter(has_text="@ai tell")).to_have_count(0, timeout=LIMIT)

            user = await bob.evaluate("document.querySelector('chat-room').client.user.userId")
            await call(ada, "PUT", f"/mutes/{user}", {})
            await bob.reload()
            await is_open(bob)
            await bob.get_by_role("textbox", name="Message").fill("Can you hear me?")
            await expect(bob.locator("#composer-closed-text")).to_contain_text("You are muted", timeout=LIMIT)
            await call(ada, "DELETE", f"/mutes/{user}", None)
            await bob.get_by_role("button", name="Check again").click()
            await expect(bob.get_by_role("textbox", name="Message")).to_have_value("Can you hear me?", timeout=LIMIT)
