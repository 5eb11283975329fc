"""Who a browser is: accounts in all its tabs and after a restart, guests in their tab."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect
from tornado.httpserver import HTTPServer

from tests.browser.chromium import CHROMIUM, FLAGS, needs_chromium
from tests.browser.pages import (
    LIMIT,
    PASSWORD,
    Site,
    change_password,
    complaints_of,
    continue_as,
    enter,
    is_live,
    keep_name,
    make_room,
    members_are,
    opened,
    say,
    sees,
    sign_out,
    sign_up,
    signed_in,
)

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
async def test_an_account_is_signed_in_in_every_tab_and_signed_out_in_all(site: Site) -> None:
    """A tab opened before follows, one opened later needs no password, and to sign out in one is for all."""
    waiting = await site.page()
    first = await site.account(beside=waiting)
    await signed_in(waiting)
    await first.close()
    later = await site.page(beside=waiting)
    await signed_in(later)
    assert await _user_id(later) == await _user_id(waiting)

    await sign_out(later)
    for page in (later, waiting):
        await expect(page.locator("#join-notice")).to_contain_text("signed out", timeout=LIMIT)
        await expect(page.locator("#join-name")).to_be_visible()
    new = await site.page(beside=later)
    await expect(new.locator("#join-name")).to_be_visible(timeout=LIMIT)
    assert await new.evaluate("localStorage.getItem('chatrooms.account')") is None


@needs_chromium
@pytest.mark.gen_test(timeout=90)
async def test_an_account_outlives_the_browser(http_server: HTTPServer, base_url: str, tmp_path: Path) -> None:
    """The browser ends and is started again: still signed in, and as the same user."""
    async with async_playwright() as playwright:
        ids = []
        for start in range(2):
            profile = str(tmp_path / "profile")
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=CHROMIUM, args=FLAGS, base_url=base_url
            )
            page = await opened(context)
            await (sign_up(page) if start == 0 else signed_in(page))
            ids.append(await _user_id(page))
            await context.close()
        assert ids[0] == ids[1]


@pytest.mark.gen_test(timeout=90)
async def test_another_password_keeps_every_tab_of_the_browser(site: Site) -> None:
    """It ends the sign-ins of other devices, and not those of the tabs beside."""
    here = await site.account()
    beside = await site.page(beside=here)
    await signed_in(beside)
    await change_password(here, PASSWORD)
    await expect(here.locator("#account-dialog")).to_be_hidden(timeout=LIMIT)
    for page in (here, beside):
        await is_live(page)
    await say(beside, "still here")
    await sees(here, "still here")


@pytest.mark.gen_test(timeout=90)
async def test_who_steps_aside_in_one_tab_leaves_the_others_alone(site: Site) -> None:
    """A guest in the tab beside an account; a second account there is that tab's own, and lives through its reload."""
    grace = await site.account()
    other = await site.page(beside=grace)
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
async def test_a_new_tab_may_go_on_as_a_guest_of_the_browser(site: Site) -> None:
    """Offered and not done: who does not press it is somebody else; who does is the same user, in both tabs."""
    ada = await site.join("Ada")
    await say(ada, "mine")
    user_id = await _user_id(ada)

    bob = await site.page(beside=ada)
    offer = bob.get_by_role("button", name="Continue as Ada")
    await expect(offer).to_be_visible(timeout=LIMIT)
    await enter(bob, "Bob")
    assert await _user_id(bob) != user_id

    again = await site.page(beside=ada)
    await continue_as(again, "Ada")
    await is_live(again)
    assert await _user_id(again) == user_id
    await expect(again.locator(".message.own")).to_have_count(1, timeout=LIMIT)
    await members_are(again, 2)
    await ada.close()
    await say(again, "still mine")
    await sees(again, "mine", "still mine")

    await sign_out(again)
    await expect(again.get_by_role("button", name="Continue as Bob")).to_be_visible(timeout=LIMIT)
    await expect(again.get_by_role("button", name="Continue as Ada")).to_have_count(0)


@pytest.mark.gen_test(timeout=90)
async def test_a_guest_keeps_name_rooms_and_messages_as_an_account(site: Site) -> None:
    """One form; the stream goes on, the room is still its own, the tab beside goes along, and a new tab knows it."""
    ada = await site.join("Ada")
    await make_room(ada, "club")
    await say(ada, "from a guest")
    await sees(ada, "from a guest")
    user_id = await _user_id(ada)
    beside = await site.page(beside=ada)
    await continue_as(beside, "Ada")
    await is_live(beside)

    await keep_name(ada, "ada@example.org", "short")
    await expect(ada.locator("#keep-username")).to_have_value("Ada")
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
    new = await site.page(beside=ada)
    await signed_in(new, "Ada")
    assert await _user_id(new) == user_id


@pytest.mark.gen_test(timeout=90)
async def test_a_guest_whose_name_was_registered_takes_another(site: Site) -> None:
    """The form says so; by another name the same user comes into the same room."""
    guest = await site.join("Ada")
    user_id = await _user_id(guest)
    await sign_up(await site.page(), "Ada")
    await keep_name(guest, "other@example.org")
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
async def test_the_page_works_without_storage(site: Site, storage: str) -> None:
    """A browser that forbids storage, or has no room left: it forgets on reload, and works until then."""
    page = await site.page("about:blank")
    await page.context.add_init_script(storage)
    complaints = complaints_of(page)
    await page.goto("/?room=lobby")
    await enter(page, "Ada")
    await say(page, "hello")
    await sees(page, "hello")
    await page.click("[data-theme-toggle] >> visible=true")
    await sign_out(page)
    await sign_up(page)
    await say(page, "again")
    await sees(page, "hello", "again")
    assert complaints == []
