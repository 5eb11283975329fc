"""A family of streams that does not exist yet: what it is given by being a `StreamKind`."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from chatrooms.errors import Forbidden
from chatrooms.identity import Identity
from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.streams.hub import Hub
from chatrooms.streams.opening import Fields, LogStream
from chatrooms.streams.resume import Start
from tests.helpers.channel import Subscribed, post_events
from tests.helpers.chat import Chat
from tests.helpers.reader import Reader, data

pytestmark = pytest.mark.gen_test(timeout=60)


class WeatherStream(LogStream):
    """The forecasts for a place, which only agents may read."""

    def __init__(self, hub: Hub, log: Log, who: Identity, fields: Fields) -> None:
        self._place = fields.get("roomId", "here")
        super().__init__(hub, log, who, fields, f"weather:{self._place}")

    async def check(self) -> int:
        if self.who.role != "agent":
            raise Forbidden("forbidden", "The weather is for agents.")
        return 0

    def described(self, start: Start, stream_id: str) -> dict[str, Any]:
        return {"place": self._place, **super().described(start, stream_id)}


@pytest.fixture(autouse=True)
def weather(chat: Chat) -> None:
    """The server has the family."""
    server = chat.server
    server.opener.families["weather"] = partial(WeatherStream, server.hub, server.log)


async def forecast(chat: Chat, sky: str) -> None:
    await chat.server.log.append([Event("forecast", b'{"sky":"%b"}' % sky.encode(), ("weather:Oslo",))])


def asked(chat: Chat, role: str = "agent", **more: Any) -> dict[str, object]:
    token = chat.token("ann", role=role)
    return {"stream": "weather", "token": token, "roomId": "Oslo", "clientId": "c", **more}


async def read(chat: Chat, position: str = "", **more: Any) -> Reader:
    reader = await post_events(chat, asked(chat, **more), {"Last-Event-ID": position} if position else {})
    assert reader.status == 200, reader.first_write
    return reader


async def test_it_is_read_and_resumed(chat: Chat) -> None:
    """Everything after the position, in order, once."""
    reader = await read(chat)
    system = await reader.event("system")
    assert (system["place"], system["clientId"], system["recovered"]) == ("Oslo", "c", True)
    await forecast(chat, "grey")
    assert (await reader.event("forecast"))["sky"] == "grey"
    reader.close()
    await forecast(chat, "blue")
    again = await read(chat, reader.last_event_id)
    assert [(await again.next()).type, (await again.event("forecast"))["sky"]] == ["system", "blue"]
    assert data(again.seen[0])["missed"] == 1


async def test_it_is_polled(chat: Chat) -> None:
    first = (await chat.post("/events", asked(chat, poll=1), None)).data
    await forecast(chat, "blue")
    page = (await chat.post("/events", asked(chat, poll=1, lastEventId=first["lastEventId"]), None)).data
    assert [(event["event"], event["data"].get("sky")) for event in page["events"]] == [
        ("system", None), ("forecast", "blue"),
    ]  # fmt: skip
    assert (page["more"], page["recovered"]) == (False, True)


async def test_its_rights_are_asked(chat: Chat) -> None:
    answer = await chat.post("/events", asked(chat, role="user"), None)
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.options(max_streams=1)
async def test_it_is_softly_refused(chat: Chat) -> None:
    """A reader that comes back keeps its place, and is told when to come again."""
    held = await chat.join()
    assert (await chat.post("/events", asked(chat), None)).status == 503
    refused = await read(chat, held.last_event_id)
    (last,) = await refused.rest()
    assert (last.type, data(last)) == ("closing", {"reason": "full", "reconnect": True})
    assert last.last_event_id == held.last_event_id and 5000 <= (refused.retry or 0) <= 15000


async def test_it_is_replaced(chat: Chat) -> None:
    """By the same user's stream of the same clientId."""
    old = await read(chat)
    await old.event("system")
    await (await read(chat)).event("system")
    assert data((await old.rest())[-1])["reason"] == "replaced"
    assert len(chat.server.hub.streams) == 1


async def test_it_shares_a_connection(chat: Chat) -> None:
    """Each event with the line `sub:`; one that may not is refused alone."""
    agent, user = asked(chat, key="w"), asked(chat, role="user", key="x")
    many = await Subscribed.open(chat, [agent, user])
    await forecast(chat, "blue")
    assert (await many.event("w", "forecast"))["sky"] == "blue"
    assert [(event.type, data(event)["status"]) for event in many.of("x")] == [("refused", 403)]
