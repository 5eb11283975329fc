"""useTaskProgress and <task-progress>, against the real server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect
from tornado.web import Application

from tests.browser.pages import LIMIT
from tests.browser.parts import app_with_parts, needs_react, until

app = app_with_parts()


async def guest(page: Page) -> None:
    """Signs the page in, and gives it functions that make and change tasks."""
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
async def test_the_hook_follows_a_task(app: Application, probe: Page) -> None:
    """The present state at once, then each change, until it is complete; another id or token opens another stream."""
    await guest(probe)
    first, second = await made(probe, "first"), await made(probe, "second")
    await change(probe, first, state="running", progress=10)
    await probe.evaluate("(id) => { window.task = mount(() => useTaskProgress(id)); }", first)
    await probe.evaluate("(id) => { window.twin = mount(() => useTaskProgress(id)); }", first)
    await until(probe, "task.now?.progress?.progress === 10 && twin.now.progress.title === 'first'")
    assert len(app.settings["server"].hub.streams) == 1
    await change(probe, first, progress=55.5, estimated_time=3)
    await until(probe, "task.now.progress.progress === 55.5 && task.now.progress.estimated_time === 3")
    await probe.evaluate("(id) => task.render(() => useTaskProgress(id, ''))", second)
    await until(probe, "task.now.progress === null")
    await probe.evaluate("async () => { window.token = await client.account.token(); }")
    await probe.evaluate("(id) => task.render(() => useTaskProgress(id, token))", second)
    await until(probe, "task.now.progress?.title === 'second' && !task.now.isComplete")
    await change(probe, first, state="completed")
    await until(probe, "twin.now.isComplete && twin.now.progress.state === 'completed' && !twin.now.error")
    await change(probe, second, state="failed", error="The disk is full.")
    await until(probe, "task.now.error === 'The disk is full.' && !task.now.isComplete")
    await probe.evaluate("() => task.render(() => useTaskProgress('no-such-task'))")
    await until(probe, "task.now.error === 'This does not exist.' && task.now.progress === null")


@needs_react
@pytest.mark.gen_test(timeout=60)
async def test_the_element_shows_a_task(probe: Page) -> None:
    """A bar that assistive technology reads, the time left, a button that cancels, what is inside when complete."""
    await guest(probe)
    task_id = await made(probe, "Export of lobby")
    await probe.evaluate(
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
    bar = probe.get_by_role("progressbar", name="Export of lobby")
    await expect(probe.get_by_role("status")).to_have_text("Waiting to start", timeout=LIMIT)
    assert await bar.get_attribute("aria-valuenow") is None
    await change(probe, task_id, state="running", progress=40, estimated_time=130)
    await expect(bar).to_have_attribute("aria-valuenow", "40", timeout=LIMIT)
    await expect(probe.get_by_text("about 2 min left")).to_be_visible()
    await expect(probe.get_by_role("link", name="Download")).to_be_hidden()
    await change(probe, task_id, state="completed")
    await expect(probe.get_by_role("status")).to_have_text("Completed", timeout=LIMIT)
    await expect(probe.get_by_role("link", name="Download")).to_be_visible()
    await expect(probe.get_by_role("button", name="Cancel")).to_be_hidden()
    assert (await probe.evaluate("told")) == [["progress", 0], ["progress", 40], ["complete", 100]]
    other = await made(probe, "Another")
    await probe.evaluate("(id) => { document.querySelector('task-progress').taskId = id; }", other)
    await probe.get_by_role("button", name="Cancel").click()
    await expect(probe.locator("task-progress")).to_have_attribute("state", "cancelled", timeout=LIMIT)
    await expect(probe.get_by_role("status")).to_have_text("The task was cancelled.")
