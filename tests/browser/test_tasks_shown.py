"""useTaskProgress and <task-progress>, against the real server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect
from tornado.httpserver import HTTPServer
from tornado.web import Application

from tests.browser.conftest import Chromium
from tests.browser.pages import LIMIT
from tests.browser.parts import app_with_parts, clean_page, needs_react, until

app = app_with_parts()


async def guest(page: Page) -> None:
    """Signs the page in, and gives it functions that make and change tasks."""
    await until(page, "window.ready")
    await page.evaluate("client.account.enterAsGuest('Ada')")
    await page.evaluate("""() => {
        window.make = (title) => client.json('POST', '/api/v1/tasks', { body: { title } });
        window.change = (id, body) => client.json('PATCH', `/api/v1/tasks/${id}`, { body });
    }""")


async def made(page: Page, title: str) -> Any:
    return (await page.evaluate("(title) => make(title)", title))["task_id"]


async def change(page: Page, task_id: str, **fields: Any) -> None:
    await page.evaluate("([id, body]) => change(id, body)", [task_id, fields])


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_the_hook_follows_a_task(
    app: Application, http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """The present state at once, then each change, until it is complete; another id or token opens another stream."""
    async with chromium() as browser, clean_page(browser, f"{base_url}/probe/index.html") as page:
        await guest(page)
        first, second = await made(page, "first"), await made(page, "second")
        await change(page, first, state="running", progress=10)
        await page.evaluate("(id) => { window.task = mount(() => useTaskProgress(id)); }", first)
        await page.evaluate("(id) => { window.twin = mount(() => useTaskProgress(id)); }", first)
        await until(page, "task.now?.progress?.progress === 10 && twin.now.progress.title === 'first'")
        assert len(app.settings["server"].hub.streams) == 1
        await change(page, first, progress=55.5, estimated_time=3)
        await until(page, "task.now.progress.progress === 55.5 && task.now.progress.estimated_time === 3")
        await page.evaluate("(id) => task.render(() => useTaskProgress(id, ''))", second)
        await until(page, "task.now.progress === null")
        await page.evaluate("async () => { window.token = await client.account.token(); }")
        await page.evaluate("(id) => task.render(() => useTaskProgress(id, token))", second)
        await until(page, "task.now.progress?.title === 'second' && !task.now.isComplete")
        await change(page, first, state="completed")
        await until(page, "twin.now.isComplete && twin.now.progress.state === 'completed' && !twin.now.error")
        await change(page, second, state="failed", error="The disk is full.")
        await until(page, "task.now.error === 'The disk is full.' && !task.now.isComplete")
        await page.evaluate("() => task.render(() => useTaskProgress('no-such-task'))")
        await until(page, "task.now.error === 'This does not exist.' && task.now.progress === null")


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_the_element_shows_a_task(http_server: HTTPServer, base_url: str, chromium: Chromium) -> None:
    """A bar that assistive technology reads, the time left, a button that cancels, what is inside when complete."""
    async with chromium() as browser, clean_page(browser, f"{base_url}/probe/index.html") as page:
        await guest(page)
        task_id = await made(page, "Export of lobby")
        await page.evaluate(
            """(id) => {
            const element = document.createElement('task-progress');
            Object.assign(element, { taskId: id, cancellable: true });
            element.append(Object.assign(document.createElement('a'), { href: '#', textContent: 'Download' }));
            window.told = [];
            for (const type of ['progress', 'complete', 'failed']) {
              element.addEventListener(type, ({ detail }) => told.push([type, detail.progress]));
            }
            document.body.append(element);
        }""",
            task_id,
        )
        bar = page.get_by_role("progressbar", name="Export of lobby")
        await expect(page.get_by_role("status")).to_have_text("Waiting to start", timeout=LIMIT)
        assert await bar.get_attribute("aria-valuenow") is None
        await change(page, task_id, state="running", progress=40, estimated_time=130)
        await expect(bar).to_have_attribute("aria-valuenow", "40", timeout=LIMIT)
        await expect(page.get_by_text("about 2 min left")).to_be_visible()
        await expect(page.get_by_role("link", name="Download")).to_be_hidden()
        await change(page, task_id, state="completed")
        await expect(page.get_by_role("status")).to_have_text("Completed", timeout=LIMIT)
        await expect(page.get_by_role("link", name="Download")).to_be_visible()
        await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
        assert (await page.evaluate("told")) == [["progress", 0], ["progress", 40], ["complete", 100]]
        other = await made(page, "Another")
        await page.evaluate("(id) => { document.querySelector('task-progress').taskId = id; }", other)
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("task-progress")).to_have_attribute("state", "cancelled", timeout=LIMIT)
        await expect(page.get_by_role("status")).to_have_text("The task was cancelled.")
