"""Accounts, as their owners see it."""

from __future__ import annotations

import pytest
from playwright.async_api import Route, expect

from tests.browser.pages import (
    LIMIT,
    PASSWORD,
    Site,
    change_password,
    give_name,
    is_live,
    say,
    sees,
    sign_in,
    state_is,
)
from tests.browser.parts import app_with

app = app_with(allow_guests=False)


@pytest.mark.gen_test(timeout=60)
async def test_another_password_signs_the_others_out(site: Site) -> None:
    """The page that changes it stays in its room; the other is back at the first screen, and told why."""
    here = await site.account()
    there = await site.page("/")
    await sign_in(there, "wrong horse")
    await expect(there.locator("#join-error")).to_have_text("The name or the password is wrong.", timeout=LIMIT)
    await there.fill("#join-password", PASSWORD)
    await there.click("#join-submit")
    await is_live(there)

    await change_password(here, "wrong horse")
    await expect(here.locator("#password-form .form-error")).to_contain_text("wrong", timeout=LIMIT)
    await here.fill("#password-current", PASSWORD)
    await here.click("#password-form [type=submit]")
    await expect(here.locator("#account-dialog")).to_be_hidden(timeout=LIMIT)

    await expect(there.locator("#join-notice")).to_contain_text("signed out", timeout=LIMIT)
    await is_live(here)
    await say(here, "still here")
    await sees(here, "still here")


@pytest.mark.gen_test(timeout=60)
async def test_a_slow_answer_to_another_password(site: Site) -> None:
    """The stream hears first that the old sign-in has ended; the page waits for the new one and stays."""
    page = await site.account()
    await page.clock.install()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        await state_is(page, "connecting")
        await page.clock.fast_forward(1000)
        await page.evaluate("fetch('/healthz').then(() => null)")  # what the page asked for meanwhile is answered
        await route.fulfill(response=answer)

    await page.route("**/api/auth/password", hold)
    await change_password(page, PASSWORD)
    await expect(page.locator("#account-dialog")).to_be_hidden(timeout=LIMIT)
    await is_live(page)
    await expect(page.locator("#me-name")).to_be_visible()


@pytest.mark.gen_test(timeout=60)
async def test_an_account_is_deleted(site: Site) -> None:
    """After that its password is good for nothing."""
    page = await site.account()
    await page.click("#open-account")
    await page.locator("#account-forms").get_by_text("Delete your account").click()
    await page.fill("#delete-password", PASSWORD)
    await page.click("#delete-form [type=submit]")
    await page.click("#confirm-yes")
    await expect(page.locator("#join-notice")).to_have_text("Your account is deleted.", timeout=LIMIT)
    await sign_in(page)
    await expect(page.locator("#join-error")).to_have_text("The name or the password is wrong.", timeout=LIMIT)


@pytest.mark.gen_test(timeout=60)
async def test_without_guests_the_page_offers_to_sign_in(site: Site) -> None:
    """The first try says so; from then on it is what the page begins with."""
    page = await site.page("/")
    await give_name(page, "Ada")
    await expect(page.locator("#join-error")).to_contain_text("does not accept guests", timeout=LIMIT)
    await page.reload()
    await expect(page.locator("#join-account")).to_be_focused(timeout=LIMIT)
    await expect(page.locator("[data-mode=guest]")).to_be_hidden()
