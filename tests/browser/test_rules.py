"""Rooms with rules, as the people in them see it."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.pages import (
    LIMIT,
    Site,
    act_on,
    enter,
    give_name,
    is_live,
    make_room,
    members_are,
    say,
    sees,
    state_is,
)


async def _forum(site: Site) -> tuple[Page, Page]:
    """Ada's page and Bob's, in a room that she owns."""
    ada = await site.join("Ada")
    await make_room(ada, "forum")
    return ada, await site.join("Bob", "forum")


@pytest.mark.gen_test(timeout=60)
async def test_a_private_room_is_entered_by_an_invite(site: Site) -> None:
    """Without one there is only a sentence; the link made in the dialog lets its reader in, after sign-in."""
    ada = await site.join("Ada")
    await make_room(ada, "club", "private")
    await expect(ada.locator("#room-lock")).to_be_visible(timeout=LIMIT)
    await say(ada, "Only for members")
    await ada.click("#open-room")
    await ada.click("#tab-invites")
    await ada.click("#invite-form [type=submit]")
    await expect(ada.locator("#invite-list li")).to_have_count(1, timeout=LIMIT)
    link = await ada.input_value("#invite-link")
    await ada.keyboard.press("Escape")
    await expect(ada.locator("#open-room")).to_be_focused()

    stranger = await site.page("/?room=club")
    await give_name(stranger, "Mallory")
    await expect(stranger.locator("#shut-title")).to_have_text("This room is private", timeout=LIMIT)
    await expect(stranger.locator(".message")).to_have_count(0)

    bob = await site.page(link)
    await enter(bob, "Bob")
    assert bob.url == f"{site.url}/?room=club", "the invite does not stay in the address"
    await sees(bob, "Only for members")
    await say(bob, "Thank you")
    await sees(ada, "Only for members", "Thank you")


@pytest.mark.gen_test(timeout=60)
async def test_kick_and_ban_are_seen_by_both(site: Site) -> None:
    """Who is kicked comes back by a press; who is banned does not; the log tells of both."""
    ada, bob = await _forum(site)
    await say(bob, "Hello")
    await sees(ada, "Hello")

    await act_on(ada, "Bob", "Remove from the room")
    await ada.click("#confirm-yes")
    await expect(bob.locator("#banner-text")).to_contain_text("removed you", timeout=LIMIT)
    await expect(bob.locator("#composer-box")).to_be_hidden()
    await members_are(ada, 1)
    await bob.click("#rejoin")
    await is_live(bob)

    await act_on(ada, "Bob", "Ban")
    await ada.click("#term-yes")
    await expect(bob.locator("#banner-text")).to_contain_text("banned", timeout=LIMIT)
    await bob.click("#rejoin")
    await state_is(bob, "stopped")

    await ada.click("#open-room")
    await ada.click("#tab-audit")
    done = ada.locator("#audit-list p")
    await expect(done.first).to_contain_text("Ada banned Bob until", timeout=LIMIT)
    await expect(done.nth(1)).to_have_text("Ada removed Bob")


@pytest.mark.gen_test(timeout=60)
async def test_who_is_muted_reads_on(site: Site) -> None:
    """The composer closes with a sentence, keeps what was written, and opens when the mute is lifted."""
    ada, bob = await _forum(site)
    await act_on(ada, "Bob", "Mute")
    await ada.click("#term-yes")
    await expect(ada.locator("#member-list")).to_contain_text("muted", timeout=LIMIT)

    await say(bob, "Can you hear me?")
    await expect(bob.locator("#composer-closed-text")).to_contain_text("You are muted", timeout=LIMIT)
    await say(ada, "No")
    await sees(bob, "No")

    await act_on(ada, "Bob", "Unmute")
    await expect(ada.locator("#member-list")).not_to_contain_text("muted", timeout=LIMIT)
    await bob.click("#composer-check")
    await expect(bob.locator("#composer-input")).to_have_value("Can you hear me?", timeout=LIMIT)
    await bob.press("#composer-input", "Enter")
    await sees(ada, "No", "Can you hear me?")


@pytest.mark.gen_test(timeout=60)
async def test_slow_mode_counts_down(site: Site) -> None:
    """After a message the composer tells how long to wait, and sends nothing until then."""
    ada = await site.join("Ada")
    await make_room(ada, "forum")
    await ada.click("#open-room")
    await ada.select_option("#setting-slow", "60")
    await ada.click("#room-settings [type=submit]")
    await expect(ada.locator("#room-dialog")).to_be_hidden(timeout=LIMIT)

    bob = await site.join("Bob", "forum")
    await say(bob, "one")
    await sees(bob, "one")
    await say(bob, "two")
    await expect(bob.locator("#composer-wait-text")).to_contain_text("Slow mode", timeout=LIMIT)
    for page in (ada, bob):
        await sees(page, "one")
    await say(ada, "I am the owner")
    await say(ada, "and need not wait")
    await sees(bob, "one", "I am the owner", "and need not wait")


@pytest.mark.gen_test(timeout=60)
async def test_a_moderator_deletes_what_others_wrote(site: Site) -> None:
    """Who was made one may, after asking; the owner is out of reach."""
    ada, bob = await _forum(site)
    await act_on(ada, "Bob", "Make moderator")
    await expect(ada.locator("#member-list")).to_contain_text("moderator", timeout=LIMIT)
    await bob.reload()
    await is_live(bob)
    await expect(bob.locator("#member-list")).to_contain_text("owner", timeout=LIMIT)
    await expect(bob.get_by_role("button", name="Actions for")).to_have_count(0)

    await say(ada, "Not for everybody")
    await sees(bob, "Not for everybody")
    await bob.locator(".message").hover()
    await bob.locator(".message").get_by_role("button", name="Delete message").click()
    await bob.click("#confirm-yes")
    for page in (ada, bob):
        await sees(page)
