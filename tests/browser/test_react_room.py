"""useRoom in real React, in StrictMode, against the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page
from tornado.web import Application

from tests.browser.pages import Site
from tests.browser.parts import app_with_parts, clean_page, needs_react, until
from tests.helpers.chat import eventually

pytestmark = needs_react


app = app_with_parts(heartbeat=0.2, max_message_bytes=1000)


@asynccontextmanager
async def person(site: Site, name: str, options: str = "") -> AsyncIterator[Page]:
    """A page that uses the room `lobby` as a guest of that name."""
    async with clean_page(site, "/probe/index.html") as page:
        await until(page, "window.ready")
        await page.evaluate(
            f"(name) => {{ window.room = mount(() => useRoom('lobby', {{ username: name, {options} }})); }}", name
        )
        await until(page, "room.now?.state === 'open' && room.now.user")
        yield page


async def shows(page: Page, *texts: str) -> None:
    """Exactly these messages, all of the log."""
    wanted = "room.now.messages.length === v.length && room.now.messages.every((m, i) => "
    await until(page, wanted + "m.message === v[i] && m.state === 'confirmed')", *texts)


@pytest.mark.gen_test(timeout=60)
async def test_people_talk(site: Site) -> None:
    """History, members, typing, edits and deletions; an own message is shown at once and keeps its key."""
    async with person(site, "Ada") as ada:
        await ada.evaluate("room.now.send('one'), room.now.send('two')")
        await shows(ada, "one", "two")
        states = await ada.evaluate("room.seen.flatMap((r) => r.messages.slice(0, 1)).map((m) => [m.key, m.state])")
        assert states[0][1] == "sending" and len({key for key, _ in states}) == 1
        async with person(site, "Bob") as bob:
            await shows(bob, "one", "two")
            await until(ada, "room.now.members.length === 2 && room.now.onlineCount === 2")
            await bob.evaluate("room.now.typing()")
            await until(ada, "room.now.typingUsers.join() === 'Bob'")
            await bob.evaluate("room.now.send('three')")
            await shows(ada, "one", "two", "three")
            assert await ada.evaluate("room.now.typingUsers.length") == 0
            await ada.evaluate("room.now.edit(room.now.messages[0].id, 'first')")
            await ada.evaluate("room.now.remove(room.now.messages[1].id)")
            await shows(bob, "first", "three")
            assert await bob.evaluate("room.now.messages[0].editedAt > 0 && !room.now.messages[0].own")
        await until(ada, "room.now.members.length === 1")


@pytest.mark.gen_test(timeout=60)
async def test_one_stream_while_it_is_mounted(app: Application, site: Site) -> None:
    """StrictMode's double effects, and two components, open one stream; another room another; unmounting closes."""

    async def rooms(*names: str) -> None:
        async def so() -> bool:
            streams = app.settings["server"].hub.streams
            return sorted(stream.topic.name for stream in streams) == [f"room:{name}" for name in names]

        await eventually(so)

    async with person(site, "Ada") as ada:
        await ada.evaluate("() => { window.twin = mount(() => useRoom('lobby', { username: 'Ada' })); }")
        await until(ada, "twin.now?.state === 'open'")
        await rooms("lobby")
        await ada.evaluate("twin.unmount()")
        await ada.evaluate("room.now.send('still here')")
        await shows(ada, "still here")
        await ada.evaluate("room.render(() => useRoom('garden', { username: 'Ada' }))")
        await until(ada, "room.now.state === 'open' && !room.now.messages.length")
        await rooms("garden")
        await ada.evaluate("room.unmount()")
        await rooms()


@pytest.mark.gen_test(timeout=60)
async def test_heartbeats_render_nothing(site: Site) -> None:
    """A room in which nothing happens is drawn no more."""
    async with person(site, "Ada") as ada:
        await ada.evaluate("room.now.send('hello')")
        await shows(ada, "hello")
        beats = """() => new Promise((resolve) => {
            const before = room.seen.length;
            const other = new Chatrooms({ getToken: () => client.account.token() }).room('garden', { username: 'Ada' });
            let left = 4;
            other.addEventListener('heartbeat', () => --left || (other.close(), resolve([before, room.seen.length])));
        })"""
        before, after = await ada.evaluate(beats)
        assert before == after


@pytest.mark.gen_test(timeout=60)
async def test_what_cannot_be_sent(site: Site) -> None:
    """Offline a message waits and is sent later; one that is refused says why, and is retried or discarded."""
    async with person(site, "Ada") as ada:
        await ada.context.set_offline(True)
        await ada.evaluate("room.now.send('patience')")
        await until(ada, "room.now.messages[0]?.state === 'waiting'")
        await ada.context.set_offline(False)
        await shows(ada, "patience")
        await ada.evaluate("room.now.send('x'.repeat(1001))")
        failed = await until(ada, "room.now.messages[1]?.state === 'failed' && room.now.messages[1]")
        assert failed["error"]
        await ada.evaluate("room.now.retry(room.now.messages[1].clientMessageId)")
        again = await until(ada, "room.now.messages[1]?.state === 'failed' && room.now.messages[1]")
        await ada.evaluate("(id) => room.now.discard(id)", again["clientMessageId"])
        await shows(ada, "patience")


@pytest.mark.gen_test(timeout=60)
async def test_older_messages_and_replies(site: Site) -> None:
    """Older ones come in front; a reply grows under one messageId and stays as the message it becomes."""
    async with person(site, "Ada") as ada:
        for text in ("one", "two", "three"):
            await ada.evaluate("(text) => room.now.send(text)", text)
        await shows(ada, "one", "two", "three")
        async with person(site, "Bob", "history: 2") as bob:
            await shows(bob, "two", "three")
            assert await bob.evaluate("room.now.hasOlder")
            await bob.evaluate("room.now.loadOlder()")
            await shows(bob, "one", "two", "three")
            assert not await bob.evaluate("room.now.hasOlder")
            await ada.evaluate("room.now.send('@ai hello')")
            await until(bob, "room.now.messages[4]?.state === 'confirmed' && room.now.messages[4].id")
            replies = await bob.evaluate("room.seen.flatMap((r) => r.messages.filter((m) => m.isFromBot))")
            assert {reply["key"] for reply in replies} == {replies[-1]["messageId"]}
            growing = [reply["message"] for reply in replies if reply["state"] == "streaming"]
            assert len(growing) > 2 and all(replies[-1]["message"].startswith(text) for text in growing)
            await bob.evaluate("""() => {
                const [stream] = client.streams;
                const say = (type, detail) => stream.dispatchEvent(new CustomEvent(type, { detail }));
                say('message-deleted', { messageId: room.now.messages[3].id });
                say('system', { recovered: false });
            }""")
            await until(bob, "room.now.messages.length === 2 && room.now.messages[0].message === '@ai hello'")
            assert await bob.evaluate("room.now.hasOlder"), "a hole is filled by what the log says now"
