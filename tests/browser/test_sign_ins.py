"""Who a browser is: accounts in all its tabs and after a restart, guests in their tab."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect
from tornado.httpserver import HTTPServer

from tests.browser.conftest import CHROMIUM, FLAGS, Chromium
from tests.browser.pages import LIMIT, PASSWORD, enter, is_live, join, make_room, say, sees, sign_up, signed_in, tab

FORBIDDEN = """for (const name of ['localStorage', 'sessionStorage'])
  Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });"""
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"


async def _user_id(page: Page) -> str:
    """Whom the server takes the page for."""
    ask = """async () => {
        const kept = JSON.parse(sessionStorage['chatrooms.session'] ?? localStorage['chatrooms.account']);
        const answer = await fetch('/api/auth/me', { headers: { Authorization: `Bearer ${kept.token}` } });
        return (await answer.json()).userId;
    }"""
    return str(await page.evaluate(ask))


@pytest.mark.gen_test(timeout=90)
async def test_an_account_is_signed_in_in_every_tab_and_signed_out_in_all(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """A tab opened before follows, one opened later needs no password, and to sign out in one is for all."""
    async with chromium() as browser:
        context = await browser.new_context()
        waiting = await tab(context, base_url)
        first = await tab(context, base_url)
        await sign_up(first)
        await signed_in(waiting, "Grace")
        await first.close()
        later = await tab(context, base_url)
        await signed_in(later, "Grace")
        assert await _user_id(later) == await _user_id(waiting)

        await later.click("#open-account")
        await later.click("#sign-out")
        for page in (later, waiting):
            await expect(page.locator("#join-notice")).to_contain_text("signed out", timeout=LIMIT)
            await expect(page.locator("#join-name")).to_be_visible()
        new = await tab(context, base_url)
        await expect(new.locator("#join-name")).to_be_visible(timeout=LIMIT)
        assert await new.evaluate("localStorage.getItem('chatrooms.account')") is None


@pytest.mark.gen_test(timeout=90)
async def test_an_account_outlives_the_browser(http_server: HTTPServer, base_url: str, tmp_path: Path) -> None:
    """The browser ends and is started again: still signed in, and as the same user."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        ids = []
        for start in range(2):
            profile = str(tmp_path / "profile")
            context = await playwright.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=FLAGS)
            page = await tab(context, base_url)
            if start == 0:
                await sign_up(page)
            else:
                await signed_in(page, "Grace")
            ids.append(await _user_id(page))
            await context.close()
        assert ids[0] == ids[1]


@pytest.mark.gen_test(timeout=90)
async def test_another_password_keeps_every_tab_of_the_browser(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """It ends the sign-ins of other devices, and not those of the tabs beside."""
    async with chromium() as browser:
        context = await browser.new_context()
        here = await tab(context, base_url)
        await sign_up(here)
        beside = await tab(context, base_url)
        await signed_in(beside, "Grace")
        await here.click("#open-account")
        await here.get_by_text("Change your password").click()
        await here.fill("#password-current", PASSWORD)
        await here.fill("#password-next", "battery staple")
        await here.click("#password-form [type=submit]")
        await expect(here.locator("#account-dialog")).to_be_hidden(timeout=LIMIT)
        for page in (here, beside):
            await is_live(page)
        await say(beside, "still here")
        await sees(here, "still here")


@pytest.mark.gen_test(timeout=90)
async def test_who_steps_aside_in_one_tab_leaves_the_others_alone(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """A guest in the tab beside an account; a second account there is that tab's own, and lives through its reload."""
    async with chromium() as browser:
        context = await browser.new_context()
        grace = await tab(context, base_url)
        await sign_up(grace)
        other = await tab(context, base_url)
        await other.click("#join-switch")
        await enter(other, "Bob")
        await other.click("#leave")
        await other.click("#join-switch")
        await sign_up(other, "Heidi")
        await other.reload()
        await is_live(other)
        await expect(other.locator("#me-name")).to_have_text("Heidi")
        await grace.reload()
        await is_live(grace)
        await expect(grace.locator("#me-name")).to_have_text("Grace")


@pytest.mark.gen_test(timeout=90)
async def test_a_new_tab_may_go_on_as_a_guest_of_the_browser(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """Offered and not done: who does not press it is somebody else; who does is the same user, in both tabs."""
    async with chromium() as browser:
        context = await browser.new_context()
        ada = await tab(context, base_url)
        await enter(ada, "Ada")
        await say(ada, "mine")
        user_id = await _user_id(ada)

        bob = await tab(context, base_url)
        offer = bob.get_by_role("button", name="Continue as Ada")
        await expect(offer).to_be_visible(timeout=LIMIT)
        await enter(bob, "Bob")
        assert await _user_id(bob) != user_id

        again = await tab(context, base_url)
        await again.get_by_role("button", name="Continue as Ada").click()
        await is_live(again)
        assert await _user_id(again) == user_id
        await expect(again.locator(".message.own")).to_have_count(1, timeout=LIMIT)
        await expect(again.locator("#member-list li")).to_have_count(2, timeout=LIMIT)
        await ada.close()
        await say(again, "still mine")
        await sees(again, "mine", "still mine")

        await again.click("#open-account")
        await again.click("#sign-out")
        await expect(again.get_by_role("button", name="Continue as Bob")).to_be_visible(timeout=LIMIT)
        await expect(again.get_by_role("button", name="Continue as Ada")).to_have_count(0)


@pytest.mark.gen_test(timeout=90)
async def test_a_guest_keeps_name_rooms_and_messages_as_an_account(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """One form; the stream goes on, the room is still its own, the tab beside goes along, and a new tab knows it."""
    async with chromium() as browser:
        ada = await join(browser, base_url, "Ada", "lobby")
        await make_room(ada, "club")
        await say(ada, "from a guest")
        await sees(ada, "from a guest")
        user_id = await _user_id(ada)
        beside = await tab(ada.context, base_url)
        await beside.get_by_role("button", name="Continue as Ada").click()
        await is_live(beside)

        await ada.click("#keep-name")
        await expect(ada.locator("#keep-username")).to_have_value("Ada")
        await ada.fill("#keep-email", "ada@example.org")
        await ada.fill("#keep-password", "short")
        await ada.click("#keep-form [type=submit]")
        await expect(ada.locator("#keep-form .form-error")).to_contain_text("at least 8 characters")
        await ada.fill("#keep-password", PASSWORD)
        await ada.click("#keep-form [type=submit]")
        await expect(ada.locator("#account-dialog")).to_be_hidden(timeout=LIMIT)
        await expect(ada.locator("#keep")).to_be_hidden()
        await is_live(ada)
        await say(ada, "from an account")
        await sees(ada, "from a guest", "from an account")
        await expect(ada.locator(".message.own")).to_have_count(2)
        await ada.click("#open-room")
        await expect(ada.locator("#room-role")).to_have_text("You own this room.", timeout=LIMIT)

        await say(beside, "along")
        await sees(beside, "along")
        assert [await _user_id(ada), await _user_id(beside)] == [user_id, user_id]
        new = await tab(ada.context, base_url)
        await signed_in(new, "Ada")
        assert await _user_id(new) == user_id


@pytest.mark.gen_test(timeout=90)
async def test_a_guest_whose_name_was_registered_takes_another(
    http_server: HTTPServer, base_url: str, chromium: Chromium
) -> None:
    """The form says so; by another name the same user comes into the same room."""
    async with chromium() as browser:
        guest = await join(browser, base_url, "Ada", "lobby")
        user_id = await _user_id(guest)
        await sign_up(await tab(await browser.new_context(), base_url), "Ada")
        await guest.click("#keep-name")
        await guest.fill("#keep-email", "other@example.org")
        await guest.fill("#keep-password", PASSWORD)
        await guest.click("#keep-form [type=submit]")
        await expect(guest.locator("#keep-form .form-error")).not_to_be_empty(timeout=LIMIT)
        await guest.fill("#keep-username", "Ada L.")
        await guest.click("#keep-form [type=submit]")
        await expect(guest.locator("#me-name")).to_have_text("Ada L.", timeout=LIMIT)
        await is_live(guest)
        assert await _user_id(guest) == user_id
        await say(guest, "hello")
        await sees(guest, "hello")


@pytest.mark.parametrize("storage", [FORBIDDEN, FULL], ids=["forbidden", "full"])
@pytest.mark.gen_test(timeout=60)
async def test_the_page_works_without_storage(
    http_server: HTTPServer, base_url: str, chromium: Chromium, storage: str
) -> None:
    """A browser that forbids storage, or has no room left: it forgets on reload, and works until then."""
    async with chromium() as browser:
        context = await browser.new_context()
        await context.add_init_script(storage)
        problems: list[str] = []
        page = await context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        await page.goto(f"{base_url}/?room=lobby")
        await enter(page, "Ada")
        await say(page, "hello")
        await sees(page, "hello")
        await page.click("[data-theme-toggle] >> visible=true")
        await page.click("#open-account")
        await page.click("#sign-out")
        await sign_up(page)
        await say(page, "again")
        await sees(page, "hello", "again")
        assert problems == []
