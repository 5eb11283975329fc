"""Accounts, as their owners see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from chatrooms.app import make_app
from tests.browser.conftest import Chromium
from tests.browser.pages import LIMIT, is_live, opened, state_is

PASSWORD = "correct horse"


@pytest.fixture
def app(io_loop: IOLoop, tmp_path: Path) -> Any:
    """A server that takes no guests."""
    application = make_app(data_dir=str(tmp_path / "data"), allow_guests=False)
    yield application
    io_loop.run_sync(application.settings["server"].stop)


async def _sign_up(browser: Browser, url: str) -> Page:
    page = await opened(browser, url)
    await page.click("[data-mode=signup]")
    await page.fill("#join-name", "Grace")
    await page.fill("#join-email", "grace@example.org")
    await page.fill("#join-password", PASSWORD)
    await page.click("#join-submit")
    await is_live(page)
    return page


async def _sign_in(page: Page, password: str) -> None:
    await page.click("[data-mode=signin]")
    await page.fill("#join-account", "Grace")
    await page.fill("#join-password", password)
    await page.click("#join-submit")


@pytest.mark.gen_test(timeout=60)
async def test_another_password_signs_the_others_out(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """The page that changes it stays in its room; the other is back at the first screen, and told why."""
    async with chromium() as browser:
        here = await _sign_up(browser, base_url)
        there = await opened(browser, base_url)
        await _sign_in(there, "wrong horse")
        await expect(there.locator("#join-error")).to_have_text("The name or the password is wrong.", timeout=LIMIT)
        await there.fill("#join-password", PASSWORD)
        await there.click("#join-submit")
        await is_live(there)

        await here.click("#open-account")
        await here.get_by_text("Change your password").click()
        await here.fill("#password-current", "wrong horse")
        await here.fill("#password-next", "battery staple")
        await here.click("#password-form [type=submit]")
        await expect(here.locator("#password-form .form-error")).to_contain_text("wrong", timeout=LIMIT)
        await here.fill("#password-current", PASSWORD)
        await here.click("#password-form [type=submit]")
        await expect(here.locator("#account-dialog")).to_be_hidden(timeout=LIMIT)

        await expect(there.locator("#join-notice")).to_contain_text("signed out", timeout=LIMIT)
        await is_live(here)
        await here.fill("#composer-input", "still here")
        await here.press("#composer-input", "Enter")
        await expect(here.locator(".message[data-state=confirmed]")).to_have_count(1, timeout=LIMIT)


@pytest.mark.gen_test(timeout=60)
async def test_a_slow_answer_to_another_password(http_server: HTTPServer, base_url: str, chromium: Chromium) -> None:
    """The stream hears first that the old sign-in has ended; the page waits for the new one and stays."""
    async with chromium() as browser:
        page = await _sign_up(browser, base_url)
        await page.clock.install()

        async def hold(route: Route) -> None:
            answer = await route.fetch()
            await state_is(page, "connecting")
            await page.clock.fast_forward(1000)
            await page.evaluate("fetch('/healthz').then(() => null)")  # what the page asked for meanwhile is answered
            await route.fulfill(response=answer)

        await page.route("**/api/auth/password", hold)
        await page.click("#open-account")
        await page.get_by_text("Change your password").click()
        await page.fill("#password-current", PASSWORD)
        await page.fill("#password-next", "battery staple")
        await page.click("#password-form [type=submit]")
        await expect(page.locator("#account-dialog")).to_be_hidden(timeout=LIMIT)
        await is_live(page)
        await expect(page.locator("#me-name")).to_be_visible()


@pytest.mark.gen_test(timeout=60)
async def test_an_account_is_deleted(http_server: HTTPServer, base_url: str, chromium: Chromium) -> None:
    """After that its password is good for nothing."""
    async with chromium() as browser:
        page = await _sign_up(browser, base_url)
        await page.click("#open-account")
        await page.locator("#account-forms").get_by_text("Delete your account").click()
        await page.fill("#delete-password", PASSWORD)
        await page.click("#delete-form [type=submit]")
        await page.click("#confirm-yes")
        await expect(page.locator("#join-notice")).to_have_text("Your account is deleted.", timeout=LIMIT)
        await _sign_in(page, PASSWORD)
        await expect(page.locator("#join-error")).to_have_text("The name or the password is wrong.", timeout=LIMIT)


@pytest.mark.gen_test(timeout=60)
async def test_without_guests_the_page_offers_to_sign_in(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """The first try says so; from then on it is what the page begins with."""
    async with chromium() as browser:
        page = await opened(browser, base_url)
        await page.fill("#join-name", "Ada")
        await page.click("#join-submit")
        await expect(page.locator("#join-error")).to_contain_text("does not accept guests", timeout=LIMIT)
        await page.reload()
        await expect(page.locator("#join-account")).to_be_focused(timeout=LIMIT)
        await expect(page.locator("[data-mode=guest]")).to_be_hidden()
