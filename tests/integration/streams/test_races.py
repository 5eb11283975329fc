"""Things that happen at the same time: whatever the order, nothing is lost, repeated or left behind."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest

from chatrooms.streams import topic as tails
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Ended, Reader, data

pytestmark = [pytest.mark.gen_test(timeout=90), pytest.mark.every_engine]

MESSAGES = "/api/rooms/lobby/messages"


@pytest.mark.options(leave_grace=0)
async def test_peers_that_vanish_during_the_handshake_leave_nothing(chat: Chat) -> None:
    """At any moment: before the request is read, while the log is read, after the head."""
    posted = await chat.say_all("lobby", [str(n) for n in range(300)])
    request = (
        f"GET /events?token={chat.token('a')}&roomId=lobby&username=a&lastEventId={posted[0]['id']} HTTP/1.1\r\n"
        "Host: localhost\r\n\r\n"
    ).encode()
    for turns in range(60):
        _, writer = await asyncio.open_connection("127.0.0.1", chat.port)
        writer.write(request)
        for _ in range(turns % 20):
            await asyncio.sleep(0)
        writer.transport.abort()
    watcher = await chat.join(user="watcher")
    await eventually(lambda: len(chat.server.hub.streams) == 1 and chat.server.rooms.online("lobby") == 1)
    assert len(chat.server.hub._topics) == 1
    await chat.say("lobby", "fence")
    await watcher.message("fence")


@pytest.mark.options(leave_grace=0)
async def test_message_posted_while_the_last_stream_closes_is_not_lost(chat: Chat) -> None:
    """The topic goes with the stream; the position is in the log."""
    got: list[str] = []
    reader = await chat.join()
    for n in range(60):
        posting = asyncio.create_task(chat.say_all("lobby", [str(n)]))
        for _ in range(n % 12):
            await asyncio.sleep(0)
        position = reader.last_event_id
        got += reader.messages()
        reader.close()
        reader = await chat.join(lastEventId=position)
        await posting
    await chat.say("lobby", "fence")
    await reader.message("fence")
    assert got + reader.messages() == [*map(str, range(60)), "fence"]


async def test_leave_and_join_at_once_end_in_presence(chat: Chat) -> None:
    """Who has an open stream is in the room, and what was announced adds up."""
    watcher = await chat.join(user="watcher")
    for _ in range(20):
        reader = await chat.join(user="bob", clientId="c")
        leaving = asyncio.create_task(chat.post("/api/rooms/lobby/leave", {"clientId": "c"}, "bob"))
        again = await chat.join(user="bob", clientId="d")
        await leaving
        assert chat.server.rooms.online("lobby") == 2
        again.close()
        reader.close()
    await chat.say("lobby", "fence")
    await watcher.message("fence")
    told = [event.type for event in watcher.seen if event.type.startswith("user-")]
    assert all(a != b for a, b in itertools.pairwise(told))
    assert told.count("user-joined") - told.count("user-left") == chat.server.rooms.online("lobby") - 1


def apply(shown: dict[str, str], event: str, told: dict[str, Any]) -> None:
    """What a page does with an event."""
    if event == "room-message":
        assert told["id"] not in shown
        shown[told["id"]] = told["message"]
    elif event == "message-edited":
        if told["messageId"] in shown:
            shown[told["messageId"]] = told["message"]
    elif event == "message-deleted":
        shown.pop(told["messageId"], None)


async def follow(chat: Chat, user: str, cuts: random.Random) -> dict[str, str]:
    """What a page shows that reads until the fence, over many cuts of its connection."""
    shown: dict[str, str] = {}
    position, fenced = "", False
    while not fenced:
        reader = await chat.read(user=user, **({"lastEventId": position} if position else {"history": 200}))
        try:
            for _ in range(cuts.randrange(1, 60)):
                event = await reader.next()
                apply(shown, event.type, data(event))
                if fenced := event.type == "room-message" and data(event)["message"] == "fence":
                    break
        except Ended:
            pass
        position = reader.last_event_id or position
        reader.close()
    return shown


@pytest.mark.options(message_rate=0, leave_grace=0)
@pytest.mark.parametrize("seed", range(4))
async def test_every_page_ends_up_showing_the_history(chat: Chat, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """However often it is cut, while others post, edit and delete, and the tail is short."""
    monkeypatch.setattr(tails, "TAIL_FRAMES", 8)
    chance = random.Random(seed)
    pages = [asyncio.create_task(follow(chat, f"u{n}", random.Random(seed * 100 + n))) for n in range(5)]
    ids = [(await chat.say("lobby", "first"))["id"]]
    for n in range(12):
        texts = [f"{n}.{m}" for m in range(12)]
        ids += [(message["id"]) for message in await chat.say_all("lobby", texts)]
        chosen = chance.sample(ids, 8)
        changes = [chat.call("PATCH", f"{MESSAGES}/{id}", {"message": f"{id}!{n}"}, "m", "admin") for id in chosen[:5]]
        changes += [chat.call("DELETE", f"{MESSAGES}/{id}", None, "m", "admin") for id in chosen[3:]]
        answers = await asyncio.gather(*changes)
        assert {answer.status for answer in answers} <= {200, 204, 404}
    await chat.say("lobby", "fence")
    history = (await chat.get(f"{MESSAGES}?limit=200")).data["messages"]
    expected = {message["id"]: message["message"] for message in history}
    for page in pages:
        assert await page == expected


async def test_slow_reader_is_not_in_the_way_of_the_others(chat: Chat) -> None:
    """It stays behind by its position, and gets everything when it reads."""
    slow: Reader = await chat.join(user="slow")
    fast = await chat.join(user="fast")
    texts = [f"{n} " + "x" * 8000 for n in range(1500)]
    for start in range(0, 1500, 100):
        await chat.say_all("lobby", texts[start : start + 100])
        await fast.message(texts[start + 99])
    assert fast.messages() == texts
    while len(slow.messages()) < 1500:
        await slow.next()
    assert slow.messages() == texts
