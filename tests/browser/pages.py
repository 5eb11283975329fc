"""What the tests do on a page of the demo."""

from __future__ import annotations

from playwright.async_api import Browser, BrowserContext, Page, expect

PASSWORD = "correct horse"
LIMIT = 15_000  # milliseconds for anything on a page to appear


async def opened(browser: Browser, url: str) -> Page:
    """A page of a browser profile of its own."""
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(LIMIT)
    await page.goto(url)
    return page


async def join(browser: Browser, url: str, name: str, room: str) -> Page:
    """A guest on a page of its own, in a room."""
    page = await opened(browser, f"{url}/?room={room}")
    await enter(page, name)
    return page


async def enter(page: Page, name: str) -> None:
    """Fills in the first screen as a guest, and comes into the room."""
    await page.fill("#join-name", name)
    await page.click("#join-submit")
    await is_live(page)


async def is_live(page: Page) -> None:
    await state_is(page, "live")


async def state_is(page: Page, state: str) -> None:
    """The page says so of its connection."""
    await expect(page.locator("#connection")).to_have_attribute("data-state", state, timeout=LIMIT)


async def say(page: Page, text: str) -> None:
    await page.fill("#composer-input", text)
    await page.press("#composer-input", "Enter")


async def sees(page: Page, *texts: str) -> None:
    """The page shows exactly these messages, confirmed by the server, in this order."""
    confirmed = page.locator(".message[data-state=confirmed] .message-text")
    await expect(confirmed).to_have_text(list(texts), timeout=LIMIT)


async def make_room(page: Page, name: str, access: str = "public") -> None:
    """Makes a room by the dialog; the page is in it then."""
    await page.click("#make-room")
    await page.fill("#make-name", name)
    await page.check(f"#make-form [value={access}]")
    await page.click("#make-form [type=submit]")
    await expect(page.locator("#room-title")).to_have_text(name, timeout=LIMIT)
    await is_live(page)


async def act_on(page: Page, name: str, act: str) -> None:
    """Chooses from the menu of a member."""
    await page.get_by_role("button", name=f"Actions for {name}").click()
    await page.get_by_role("menuitem", name=act).click()


async def tab(context: BrowserContext, url: str) -> Page:
    """One more tab of a browser, on the first screen."""
    page = await context.new_page()
    page.set_default_timeout(LIMIT)
    await page.goto(f"{url}/?room=lobby")
    return page


async def sign_up(page: Page, name: str = "Grace") -> None:
    """Makes an account on the first screen, and comes into the room."""
    await page.click("[data-mode=signup]")
    await page.fill("#join-name", name)
    await page.fill("#join-email", f"{name}@example.org".lower())
    await page.fill("#join-password", PASSWORD)
    await page.click("#join-submit")
    await expect(page.locator("#me-name")).to_have_text(name, timeout=LIMIT)
    await is_live(page)


async def signed_in(page: Page, name: str) -> None:
    """The first screen knows that account, and it comes into the room."""
    await expect(page.locator("#join-username")).to_have_text(name, timeout=LIMIT)
    await page.click("#join-submit")
    await is_live(page)
    await expect(page.locator("#me-name")).to_have_text(name)
