"""What the tests do on the pages of the demo."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, Route, expect

PASSWORD = "correct horse"
LIMIT = 15_000  # milliseconds for anything on a page to appear


class Site:
    """A server, as a browser sees it; paths are relative to its URL."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url

    async def page(self, path: str = "/?room=lobby", beside: Page | None = None) -> Page:
        """A page in a profile of its own, or in a tab beside another."""
        return await opened(beside.context if beside else await self.browser.new_context(base_url=self.url), path)

    async def join(self, name: str, room: str = "lobby", beside: Page | None = None) -> Page:
        """The page of a guest in a room."""
        page = await self.page(f"/?room={room}", beside)
        await enter(page, name)
        return page

    async def guests(self, *names: str) -> list[Page]:
        """Guests in the lobby, each in a profile of its own."""
        return [await self.join(name) for name in names]

    async def tabs(self, *names: str) -> list[Page]:
        """Guests in the lobby, in tabs of one profile."""
        pages = [await self.join(names[0])]
        pages += [await self.join(name, beside=pages[0]) for name in names[1:]]
        return pages

    async def account(self, beside: Page | None = None) -> Page:
        """The page of Grace, who has made an account there."""
        page = await self.page(beside=beside)
        await sign_up(page)
        return page


async def opened(context: BrowserContext, path: str = "/?room=lobby") -> Page:
    """One more tab of a browser profile."""
    page = await context.new_page()
    page.set_default_timeout(LIMIT)
    await page.goto(path)
    return page


# The first screen


async def give_name(page: Page, name: str) -> None:
    """Fills in the first screen as a guest."""
    await page.fill("#join-name", name)
    await page.click("#join-submit")


async def enter(page: Page, name: str) -> None:
    """Fills in the first screen as a guest, and comes into the room."""
    await give_name(page, name)
    await is_live(page)


async def continue_as(page: Page, name: str) -> None:
    """Goes on as a guest of another tab, which the first screen offers."""
    await page.get_by_role("button", name=f"Continue as {name}").click()


async def sign_up(page: Page, name: str = "Grace") -> None:
    """Makes an account on the first screen, and comes into the room."""
    await page.click("[data-mode=signup]")
    await page.fill("#join-name", name)
    await page.fill("#join-email", f"{name}@example.org".lower())
    await page.fill("#join-password", PASSWORD)
    await page.click("#join-submit")
    await expect(page.locator("#me-name")).to_have_text(name, timeout=LIMIT)
    await is_live(page)


async def sign_in(page: Page, password: str = PASSWORD, name: str = "Grace") -> None:
    """Fills in the first screen with an account's name and password."""
    await page.click("[data-mode=signin]")
    await page.fill("#join-account", name)
    await page.fill("#join-password", password)
    await page.click("#join-submit")


async def signed_in(page: Page, name: str = "Grace") -> None:
    """The first screen knows that account, and it comes into the room."""
    await expect(page.locator("#join-username")).to_have_text(name, timeout=LIMIT)
    await page.click("#join-submit")
    await is_live(page)
    await expect(page.locator("#me-name")).to_have_text(name)


# The account


async def sign_out(page: Page) -> None:
    await page.click("#open-account")
    await page.click("#sign-out")


async def change_password(page: Page, current: str, wanted: str = "battery staple") -> None:
    """Fills in the account's dialog, which may refuse it."""
    await page.click("#open-account")
    await page.get_by_text("Change your password").click()
    await page.fill("#password-current", current)
    await page.fill("#password-next", wanted)
    await page.click("#password-form [type=submit]")


async def keep_name(page: Page, email: str, password: str = PASSWORD, name: str = "") -> None:
    """Asks to make an account of a guest, by the name that it has or another; it may be refused."""
    await page.click("#keep-name")
    if name:
        await page.fill("#keep-username", name)
    await page.fill("#keep-email", email)
    await page.fill("#keep-password", password)
    await page.click("#keep-form [type=submit]")


# The room


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


async def members_are(page: Page, count: int) -> None:
    """The list of members has so many."""
    await expect(page.locator("#member-list li")).to_have_count(count, timeout=LIMIT)


async def choose_room(page: Page, room: str) -> None:
    """Goes to a room by its name; the page may not be there yet."""
    await page.fill("#room-form-input", room)
    await page.press("#room-form-input", "Enter")


async def go_to(page: Page, room: str) -> None:
    """Goes to a room, and comes into it."""
    await choose_room(page, room)
    await expect(page.locator("#room-title")).to_have_text(room, timeout=LIMIT)
    await is_live(page)


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


# The network


def requests_of(page: Page) -> list[str]:
    """The URLs that the page asks for from now on."""
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    return urls


def complaints_of(page: Page, *kinds: str) -> list[str]:
    """What the browser complains of from now on: errors, and messages of these other kinds."""
    texts: list[str] = []
    page.on("console", lambda message: texts.append(message.text) if message.type in ("error", *kinds) else None)
    page.on("pageerror", lambda error: texts.append(str(error)))
    return texts


async def fake_stream(page: Page, events: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
    """Gives the page these events, as id, type and data, instead of the stream that it asks for."""

    async def answer(route: Route) -> None:
        (subscription,) = json.loads(route.request.post_data or "{}")["subscriptions"]
        frames = [
            f"id: {id}\nevent: {type}\nsub: {subscription['key']}\ndata: {json.dumps(data)}\n\n"
            for id, type, data in events
        ]
        await route.fulfill(content_type="text/event-stream", body="".join(frames))

    await page.route("**/events", answer)


class Held:
    """A handler of routes: requests wait until they are let go, and then go on, or are answered."""

    def __init__(self, answer: Callable[[Route], Awaitable[object]] = Route.continue_) -> None:
        self._answer = answer
        self._go = asyncio.Event()

    def let_go(self) -> None:
        self._go.set()

    async def __call__(self, route: Route) -> None:
        await self._go.wait()
        await self._answer(route)
