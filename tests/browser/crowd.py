"""People in tabs of one browser, each a user of its own, on pages that use the library."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable
from typing import Any

from tests.helpers.chat import eventually
from tests.helpers.devtools import DevTools, Tab

ENTER = """(async ({name, roomId, options}) => {
    const { Chatrooms } = await import("/static/client/chatrooms.js");
    window.chat = new Chatrooms(options);
    if (!chat.user) await chat.account.enterAsGuest(name);
    window.room = chat.room(roomId);
    window.heard = [];
    window.times = [];
    window.left = [];
    window.states = [];
    room.addEventListener("room-message", ({ detail }) => {
        heard.push(detail.message);
        times.push(performance.timeOrigin + performance.now());
    });
    room.addEventListener("user-left", ({ detail }) => left.push(detail.username));
    room.addEventListener("state", ({ detail }) => states.push(detail));
})"""


SHARED = {"state": "open", "via": "shared"}
POLLING = {"state": "polling", "reason": "held", "via": "poll"}
MOST_ON_ONE = 20  # subscriptions on one connection, by the server


class Visitor:
    """A user of the library, in a tab."""

    def __init__(self, tab: Tab, name: str) -> None:
        self.tab = tab
        self.name = name

    async def leads(self) -> bool:
        """Whether this tab carries the streams of all."""
        return bool(await self.tab.evaluate("chat.tabs.then((tabs) => tabs.leads)"))


class Person(Visitor):
    """A guest in a room."""

    @classmethod
    async def enters(cls, tools: DevTools, url: str, name: str, room: str = "lobby", **options: Any) -> Person:
        person = cls(await tools.open(f"{url}/docs"), name)
        await person.opens(room, **options)
        return person

    async def opens(self, room: str = "lobby", **options: Any) -> None:
        """Opens the room, as whoever is signed in in this tab."""
        asked = json.dumps({"name": self.name, "roomId": room, "options": options})
        await self.tab.evaluate(f"{ENTER}({asked})")
        await eventually(self.is_open)

    async def is_open(self) -> bool:
        return bool(await self.tab.evaluate('["open", "polling"].includes(room.state.state)'))

    async def say(self, text: str) -> float:
        """Says it, and returns when, in the milliseconds of `times`."""
        when = await self.tab.evaluate(f"room.send({json.dumps(text)}), performance.timeOrigin + performance.now()")
        return float(when)

    async def say_and_wait(self, text: str) -> None:
        """Says it, and returns when the server has it."""
        sent = 'new Promise((done) => room.addEventListener("sent", done, {once: true})).then(() => null)'
        await self.tab.evaluate(f"room.send({json.dumps(text)}), {sent}")

    async def heard(self) -> list[str]:
        texts: list[str] = await self.tab.evaluate("heard")
        return texts

    async def times(self) -> list[float]:
        """When each message was heard, in milliseconds."""
        times: list[float] = await self.tab.evaluate("times")
        return times

    async def saw_leave(self) -> list[str]:
        names: list[str] = await self.tab.evaluate("left")
        return names


class Talk:
    """Somebody of a group says something all the time, in turn; `said` is all of it."""

    def __init__(self, said: list[str]) -> None:
        self.said = said
        self._numbers = itertools.count(len(said))

    async def while_(self, people: list[Person], change: Any) -> None:
        """Talks before, during and after a change."""
        talking = asyncio.create_task(self._go_on(people))
        before = len(self.said)
        await eventually(lambda: _true(len(self.said) > before + 3))
        await change
        after = len(self.said)
        await eventually(lambda: _true(len(self.said) > after + 10))
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)

    async def _go_on(self, people: list[Person]) -> None:
        for person in itertools.cycle(people):
            text = f"{next(self._numbers)} by {person.name}"
            self.said.append(text)
            await asyncio.shield(person.say_and_wait(text))


async def all_hear(people: Iterable[Person], said: list[str]) -> None:
    """Everybody hears all that was said, once, and all in the same order."""
    people = list(people)
    for person in people:
        await eventually(lambda person=person: _has_heard(person, said))  # type: ignore[misc]
    first = await people[0].heard()
    assert sorted(first) == sorted(said)
    for person in people[1:]:
        assert await person.heard() == first, person.name


async def _has_heard(person: Person, said: list[str]) -> bool:
    return len(await person.heard()) >= len(said)


async def _true(holds: bool) -> bool:
    return holds
