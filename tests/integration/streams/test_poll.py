"""Polling (section 3, poll=1): for networks that hold streams back."""

from __future__ import annotations

from typing import Any

import pytest

from chatrooms.rooms import presence
from tests.helpers.chat import Chat

pytestmark = pytest.mark.gen_test(timeout=30)


async def poll(chat: Chat, position: str = "", user: str = "alice", more: str = "") -> dict[str, Any]:
    answer = await chat.get(f"/events?roomId=lobby&username={user}&poll=1&lastEventId={position}{more}", user)
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"].startswith("application/json")
    decoded: dict[str, Any] = answer.data
    assert decoded.keys() == {"events", "more", "lastEventId", "recovered"}
    return decoded


async def test_first_poll_is_told_where_it_stands(chat: Chat) -> None:
    """`system` first, with an id, and no history unless asked."""
    posted = await chat.say("lobby", "before")
    answer = await poll(chat)
    (system,) = answer["events"]
    assert (system["event"], system["id"]) == ("system", posted["id"])
    assert system["data"]["roomId"] == "lobby" and system["data"]["onlineCount"] == 1
    assert (answer["more"], answer["lastEventId"], answer["recovered"]) == (False, posted["id"], True)
    assert [e["data"]["message"] for e in (await poll(chat, more="&history=5"))["events"][1:]] == ["before"]


async def test_polls_page_through_everything_once(chat: Chat) -> None:
    """At most 200 events each, until there is no more."""
    position = (await poll(chat))["lastEventId"]
    texts = [str(n) for n in range(450)]
    await chat.say_all("lobby", texts)
    await chat.say_all("other", ["x"] * 10)
    got: list[str] = []
    more = True
    while more:
        answer = await poll(chat, position)
        assert len(answer["events"]) <= 200 and answer["recovered"] is True
        assert answer["events"][0]["id"] == position
        messages = [event for event in answer["events"] if event["event"] == "room-message"]
        assert all(event["id"] == event["data"]["id"] for event in messages)
        got += [event["data"]["message"] for event in messages]
        position, more = answer["lastEventId"], answer["more"]
    assert got == texts
    assert (await poll(chat, position))["events"][1:] == []


async def test_poll_and_stream_share_positions(chat: Chat) -> None:
    """One may go on where the other stopped."""
    reader = await chat.join()
    await chat.say("lobby", "a")
    position = (await poll(chat, reader.last_event_id))["lastEventId"]
    await chat.say("lobby", "b")
    again = await chat.join(lastEventId=position)
    await again.message("b")
    assert again.messages() == ["b"]


async def test_poll_from_an_unknown_position_is_not_recovered(chat: Chat) -> None:
    """As a stream."""
    assert (await poll(chat, "nonsense"))["recovered"] is False


async def test_poll_counts_as_presence_for_a_while(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several of them are one join."""
    watcher = await chat.join(user="watcher")
    for _ in range(3):
        await poll(chat)
    assert chat.server.rooms.online("lobby") == 2
    monkeypatch.setattr(presence, "POLL_HOLD", 0.01)
    await poll(chat)
    assert (await watcher.event("user-left"))["userId"] == "alice"
    assert watcher.types() == ["system", "user-joined", "user-left"]


async def test_leave_ends_the_presence_of_a_poll(chat: Chat) -> None:
    """At once."""
    watcher = await chat.join(user="watcher")
    await poll(chat)
    assert (await chat.post("/api/rooms/lobby/leave", {"clientId": "any"}, "alice")).status == 204
    assert (await watcher.event("user-left"))["userId"] == "alice"


async def test_poll_shows_the_present_text(chat: Chat) -> None:
    """Deleted messages not at all."""
    position = (await poll(chat))["lastEventId"]
    one, two = await chat.say("lobby", "one"), await chat.say("lobby", "two")
    await chat.call("PATCH", f"/api/rooms/lobby/messages/{one['id']}", {"message": "one!"})
    await chat.call("DELETE", f"/api/rooms/lobby/messages/{two['id']}")
    events = (await poll(chat, position))["events"]
    assert [event["event"] for event in events[1:]] == ["room-message", "message-edited", "message-deleted"]
    assert events[1]["data"]["message"] == "one!"
