"""What a sign-in that changes does to the tabs beside it, and to the others in the room."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.pages import (
    LIMIT,
    Site,
    continue_as,
    enter,
    give_name,
    is_live,
    keep_name,
    members_are,
    say,
    sees,
    sign_out,
    signed_in,
)


@pytest.mark.parametrize("name", ["Ada", "Ada L."], ids=["same-name", "other-name"])
@pytest.mark.gen_test(timeout=90)
async def test_who_sees_a_guest_become_an_account_is_told(site: Site, name: str) -> None:
    """The tab beside is the account too, with what was being typed there; nobody shows a guest any more."""
    bob, ada = await site.guests("Bob", "Ada")
    beside = await site.page(beside=ada)
    await continue_as(beside, "Ada")
    await is_live(beside)
    await beside.fill("#composer-input", "half a sen")
    await expect(bob.locator("#member-list .badge.guest")).to_have_count(2, timeout=LIMIT)

    await ada.bring_to_front()
    await keep_name(ada, "nobody", name=name)
    await expect(ada.locator("#keep-form .form-error")).to_have_text("That is not an email address.", timeout=LIMIT)
    await expect(ada.locator("#keep-form .form-error")).to_have_css("color", await _colour(ada, "--danger"))
    await ada.fill("#keep-email", "ada@example.org")
    await ada.click("#keep-form [type=submit]")
    for page in (ada, beside):
        await expect(page.locator("#me-name")).to_have_text(name, timeout=LIMIT)
        await expect(page.locator("#keep")).to_be_hidden(timeout=LIMIT)
        await is_live(page)
    for page in (ada, beside, bob):
        names = ["Bob", name] if page is bob else [name, "Bob"]
        await expect(page.locator("#member-list .member-name")).to_have_text(names, timeout=LIMIT)
        await expect(page.locator("#member-list .badge.guest")).to_have_count(1, timeout=LIMIT)
    await expect(ada.locator(":focus")).to_have_count(1)
    await expect(beside.locator("#composer-input")).to_have_value("half a sen")
    await expect(beside.locator("#composer-input")).to_be_focused()
    await expect(bob.locator(".notice", has_text="went")).to_have_count(int(name != "Ada"), timeout=LIMIT)


@pytest.mark.gen_test(timeout=60)
async def test_a_neighbour_on_the_shared_connection_does_not_notice_a_sign_out(site: Site) -> None:
    """Its stream is not cut because somebody else's on the same connection was shut by the server."""
    nora = await site.join("Nora")
    grace = await site.account(beside=nora)
    beside = await site.page(beside=nora)
    await signed_in(beside)
    await nora.evaluate("""() => {
        const line = document.querySelector('#connection');
        window.states = [];
        new MutationObserver(() => states.push(line.dataset.state)).observe(line, { attributes: true });
    }""")
    await sign_out(grace)
    await expect(beside.locator("#join-notice")).to_have_text("You were signed out.", timeout=LIMIT)
    await members_are(nora, 1)
    await say(nora, "alone")
    await sees(nora, "alone")
    assert set(await nora.evaluate("states")) <= {"live"}


@pytest.mark.gen_test(timeout=60)
async def test_names_that_may_not_be_taken_are_explained(site: Site) -> None:
    """A reserved one is nobody's; one that looks like an account's may be one's own."""
    await site.account()
    page = await site.page()
    for name, words in (("Assistant", "That name is reserved."), ("\uff27race", "or one that looks like it, ")):
        await give_name(page, name)
        await expect(page.locator("#join-error")).to_contain_text(words, timeout=LIMIT)


@pytest.mark.gen_test(timeout=60)
async def test_a_sign_in_that_the_server_has_forgotten_is_let_go(site: Site) -> None:
    """One sentence says so, the guest is offered no more, and one may come in as somebody else."""
    ada = await site.join("Ada")
    new = await site.page(beside=ada)
    ended = """async () => {
        const { token } = JSON.parse(sessionStorage['chatrooms.session']);
        await fetch('/api/auth/signout', { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
    }"""
    await ada.evaluate(ended)
    await ada.close()
    await continue_as(new, "Ada")
    await expect(new.locator("#join-notice")).to_have_text("You were signed out.", timeout=LIMIT)
    await expect(new.locator("#join-submit")).to_be_enabled()
    await expect(new.locator("#join-error")).to_be_empty()
    await expect(new.locator("#join-guests .chip")).to_have_count(0)
    await enter(new, "Bob")


async def _colour(page: Page, name: str) -> str:
    """A colour of the page, as the browser computes it."""
    ask = """(name) => {
        const probe = document.body.appendChild(document.createElement('i'));
        probe.style.color = `var(${name})`;
        const { color } = getComputedStyle(probe);
        probe.remove();
        return color;
    }"""
    return str(await page.evaluate(ask, name))
