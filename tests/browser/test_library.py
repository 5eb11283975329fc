"""The browser library in Chromium, where the network and the server fail it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import needs_chromium, server_and_tabs
from tests.browser.crowd import MOST_ON_ONE, Person, all_hear
from tests.browser.pages import Site, requests_of
from tests.helpers.chat import eventually, within
from tests.helpers.data import load

CASES: list[dict[str, Any]] = load("wpt_eventsource_cases.json")["cases"]
FEEDINGS = Path(__file__).parent.parent / "clients" / "library" / "feedings.mjs"
KILLS = 10

PARSE = """async (cases) => {
    const { FEEDINGS, parse } = await import("/static/library/feedings.mjs");
    const results = [];
    for (const { bytes_in_b64 } of cases) {
        const bytes = Uint8Array.from(atob(bytes_in_b64), (char) => char.charCodeAt(0));
        results.push(await Promise.all(Object.values(FEEDINGS).map((cut) => parse(bytes, cut))));
    }
    return results;
}"""

MANY = """async (count) => {
    const { Chatrooms } = await import("/static/client/chatrooms.js");
    const chat = new Chatrooms();
    await chat.account.enterAsGuest("Ada");
    const heard = Array.from({ length: count }, (_, number) => new Promise((hear) => {
        const room = chat.room(`room-${number}`);
        room.addEventListener("room-message", ({ detail }) => hear(detail.message));
        room.addEventListener("system", () => room.send(`hello ${number}`));
    }));
    return Promise.all(heard);
}"""

EVENT_SOURCE = """async () => {
    const { Chatrooms } = await import("/static/client/chatrooms.js");
    const { eventSource } = await import("/static/client/eventsource.js");
    const chat = new Chatrooms({ transport: eventSource(), share: false });
    await chat.account.enterAsGuest("Ada");
    const room = chat.room("lobby");
    const heard = [];
    await new Promise((done) => room.addEventListener("system", done));
    const two = new Promise((done) => room.addEventListener("room-message", ({ detail }) => {
        if (heard.push(detail.message) === 2) done();
    }));
    room.send("one");
    room.send("two");
    await two;
    const refused = chat.room("lobby", { username: "Somebody else" });
    await new Promise((done) => refused.addEventListener("state", () => refused.state.state === "closed" && done()));
    return [heard, refused.state];
}"""


@pytest.mark.gen_test(timeout=60)
async def test_the_parser_follows_the_standard(site: Site) -> None:
    """All cases of web-platform-tests, whole, byte by byte and cut at random."""
    page = await site.page("about:blank")
    await page.route("**/static/library/feedings.mjs", lambda route: route.fulfill(path=FEEDINGS))
    await page.goto("/docs")
    results = await page.evaluate(PARSE, CASES)
    for case, parsed in zip(CASES, results, strict=True):
        for result in parsed:
            assert result["events"] == case["expected_events"], case["name"]
            for key, name in (("retry", "retry_ms"), ("lastEventId", "lastEventId_on_reconnect")):
                assert name not in case or result[key] == case[name], case["name"]


@needs_chromium
@within(120)
async def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed ten times under two who go on talking, also while it is down: each message once, in order, for both."""
    async with server_and_tabs(tmp_path, "--message-rate", "0") as (server, tools):
        people = [await Person.enters(tools, server.url, name) for name in ("ada", "bob")]
        said: list[str] = []
        for kill in range(KILLS):
            await _say_all(people, said, f"before kill {kill}")
            server.kill()
            await _say_all(people, said, f"after kill {kill}")
            await asyncio.to_thread(server.start)
            if 0 < kill < KILLS - 1:  # they learn that the network is back, or find out by themselves
                await people[1].tab.evaluate("dispatchEvent(new Event('online')), null")
            await eventually(lambda: _hears(people, said))
        await all_hear(people, said)
        for person in people:
            of_one = [text for text in await people[0].heard() if text.startswith(person.name)]
            assert of_one == [text for text in said if text.startswith(person.name)]
            assert await person.saw_leave() == []


@pytest.mark.gen_test(timeout=60)
async def test_more_streams_than_one_connection_takes(site: Site) -> None:
    """The server takes so many on one: the others share a second."""
    page = await site.page("about:blank")
    requests = requests_of(page)
    await page.goto("/docs")
    heard = await page.evaluate(MANY, MOST_ON_ONE + 5)
    assert heard == [f"hello {number}" for number in range(MOST_ON_ONE + 5)]
    assert len([url for url in requests if url.endswith("/events")]) == 2


@pytest.mark.gen_test(timeout=60)
async def test_streams_by_the_browsers_own_event_source(site: Site) -> None:
    """With a ticket in the address instead of the token; a refusal is told as one by fetch is."""
    page = await site.page("about:blank")
    requests = requests_of(page)
    await page.goto("/docs")
    heard, refusal = await page.evaluate(EVENT_SOURCE)
    assert heard == ["one", "two"]
    assert refusal == {"state": "closed", "reason": "username-mismatch"}
    streams = [url for url in requests if "/events?" in url]
    assert all("ticket=" in url or "poll=1" in url for url in streams)
    assert not any("token=" in url for url in streams)


async def _say_all(people: list[Person], said: list[str], what: str) -> None:
    for number in range(3):
        for person in people:
            said.append(f"{person.name} {what} {number}")
            await person.say(said[-1])


async def _hears(people: list[Person], said: list[str]) -> bool:
    """Somebody has heard one of the last; all the others may still be on their way."""
    return said[-6] in await people[0].heard()


@needs_chromium
@within(60)
async def test_a_reload_goes_on_where_the_page_was(tmp_path: Path) -> None:
    """What was said while the page was away comes when it is back, and nothing that it had before."""
    async with server_and_tabs(tmp_path) as (server, tools):
        ada = await Person.enters(tools, server.url, "ada")
        bob = await Person.enters(tools, server.url, "bob")
        await bob.say("before")
        await all_hear([ada, bob], ["before"])
        await ada.tab.go(f"{server.url}/api/openapi.json")
        await bob.say("meanwhile")
        await all_hear([bob], ["before", "meanwhile"])
        await ada.tab.go(f"{server.url}/docs")
        await ada.opens()
        await all_hear([ada], ["meanwhile"])
