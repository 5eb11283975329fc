"""Many tabs of one browser, over plain HTTP/1.1, where it opens six connections for all of them together."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.browser.chromium import needs_chromium, server_and_tabs
from tests.browser.crowd import Person, Talk, all_hear
from tests.helpers.chat import eventually, within
from tests.helpers.devtools import DevTools

TABS = 10
HOST = "chat.example"


@needs_chromium
@pytest.mark.parametrize("host", ["127.0.0.1", HOST])
@within(120)
async def test_ten_tabs_share_a_connection(host: str, tmp_path: Path) -> None:
    """Ten users in ten tabs talk; whoever carries their streams freezes, hangs, crashes, goes: nothing is lost.

    Under a name that is not the machine's own a plain-HTTP page has no Web Locks: a shared worker carries there.
    """
    options = ("--message-rate", "0", "--allow-guests", "true", "--allowed-hosts", f"127.0.0.1,{HOST}")
    flags = [f"--host-resolver-rules=MAP {HOST} 127.0.0.1"]
    async with server_and_tabs(tmp_path, *options, flags=flags) as (server, tools):
        url = f"http://{host}:{server.port}"
        people = [await Person.enters(tools, url, f"user{number}") for number in range(TABS)]
        assert {await person.tab.evaluate("room.state.via") for person in people} == {"shared"}
        assert await people[0].tab.evaluate("Boolean(navigator.locks)") == (host != HOST)
        said = []
        slowest = 0.0
        for person in people:
            said.append(f"hello from {person.name}")
            when = await person.say(said[-1])
            await all_hear(people, said)
            slowest = max(slowest, *[(await one.times())[-1] - when for one in people])
        print(f"\nslowest of {TABS * TABS} deliveries: {slowest:.0f} ms")

        changes = (freeze, hang, crash, close) if host != HOST else (crash, close)
        for change in changes:
            people = await change(tools, people, Talk(said))
        newcomer = await Person.enters(tools, url, "newcomer")
        await people[0].say("welcome")
        await eventually(lambda: _heard_last(newcomer, "welcome"))


async def freeze(tools: DevTools, people: list[Person], talk: Talk) -> list[Person]:
    """Frozen, it still holds its lock and its connection; thawed, it has missed nothing, and nobody has left."""
    first, *others = await _carrier_first(people)
    since = len(talk.said)
    await talk.while_(others, first.tab.send("Page.setWebLifecycleState", {"state": "frozen"}))
    await all_hear(others, talk.said)
    await first.tab.send("Page.setWebLifecycleState", {"state": "active"})
    await all_hear(people, talk.said)
    await _report("frozen", others, since)
    for person in people:
        assert await person.saw_leave() == [], person.name
    return people


async def hang(tools: DevTools, people: list[Person], talk: Talk) -> list[Person]:
    """A page that is busy for long is relieved, and finds out; its own user does not seem to leave."""
    first, *others = await _carrier_first(people)
    led = await first.leads()
    since = len(talk.said)
    await talk.while_(others, first.tab.start("for (const begun = Date.now(); Date.now() - begun < 2000; );"))
    await all_hear(people, talk.said)
    assert not (led and await first.leads())
    await _report("hung", others, since)
    for person in people:
        assert await person.saw_leave() == [], person.name
    return people


async def crash(tools: DevTools, people: list[Person], talk: Talk) -> list[Person]:
    """Its process dies, and takes nobody's messages with it."""
    first, *others = await _carrier_first(people)
    since = len(talk.said)
    await talk.while_(others, first.tab.crash())
    await all_hear(others, talk.said)
    await _report("crashed", others, since)
    for person in others:
        assert set(await person.saw_leave()) <= {first.name}
    return others


async def close(tools: DevTools, people: list[Person], talk: Talk) -> list[Person]:
    """It leaves in order, and it alone."""
    first, *others = await _carrier_first(people)
    since = len(talk.said)
    await talk.while_(others, first.tab.send("Page.close"))
    await all_hear(others, talk.said)
    await _report("closed", others, since)
    for person in others:
        await eventually(lambda person=person: _saw_leave(person, first.name))  # type: ignore[misc]
        assert len(set(await person.saw_leave())) <= 2, "the one that crashed, and this one"
    return others


async def _carrier_first(people: list[Person]) -> list[Person]:
    """The one whose tab carries the streams, where it is a tab, before the others."""
    leads = [person for person in people if await person.leads()]
    return leads + [person for person in people if person not in leads]


async def _saw_leave(person: Person, name: str) -> bool:
    return name in await person.saw_leave()


async def _heard_last(person: Person, text: str) -> bool:
    return (await person.heard())[-1:] == [text]


async def _report(what: str, people: list[Person], since: int) -> None:
    """The longest time without a message, while they were said without a pause."""
    times = await people[-1].times()
    longest = max(later - earlier for earlier, later in pairwise(times[since:]))
    print(f"{what}: {longest:.0f} ms between two messages")
