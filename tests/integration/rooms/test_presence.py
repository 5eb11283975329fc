"""Who is in a room, as its readers are told (section 3)."""

from __future__ import annotations

from typing import Any

import pytest

from chatrooms.rooms import presence
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Reader, data

pytestmark = pytest.mark.gen_test(timeout=30)


async def told(chat: Chat, reader: Reader) -> list[str]:
    """The joins and leaves that a reader was told until now, as `joined bob`."""
    await chat.say("lobby", "fence", "fencer")
    await reader.message("fence")
    return [
        f"{event.type.removeprefix('user-')} {data(event)['userId']}"
        for event in reader.seen if event.type in ("user-joined", "user-left")
    ]  # fmt: skip


async def test_join_is_told_to_the_others_only(chat: Chat) -> None:
    """Who joins finds itself in `system`."""
    alice = await chat.join(user="alice")
    bob = await chat.join(user="bob", username="Bob")
    joined = await alice.event("user-joined")
    assert isinstance(joined.pop("timestamp"), int)
    assert joined == {"roomId": "lobby", "userId": "bob", "username": "Bob", "onlineCount": 2}
    assert data(bob.seen[0])["members"] == [
        {"userId": "alice", "username": "alice"}, {"userId": "bob", "username": "Bob"},
    ]  # fmt: skip
    assert await told(chat, bob) == []


@pytest.mark.options(leave_grace=0)
async def test_leave_without_grace_is_told_at_once(chat: Chat) -> None:
    """With the number of those who remain."""
    alice = await chat.join(user="alice")
    (await chat.join(user="bob")).close()
    left = await alice.event("user-left")
    assert (left["userId"], left["onlineCount"]) == ("bob", 1)


@pytest.mark.options(leave_grace=0.05)
async def test_member_leaves_after_the_grace(chat: Chat) -> None:
    """The reconnection time that it was told lies within."""
    alice = await chat.join(user="alice")
    bob = await chat.join(user="bob")
    assert bob.retry is not None and bob.retry < 50
    bob.close()
    assert (await alice.event("user-left"))["userId"] == "bob"
    assert await told(chat, alice) == ["joined bob", "left bob"]


@pytest.mark.options(leave_grace=60)
async def test_reconnect_within_the_grace_announces_nothing(chat: Chat) -> None:
    """A shaky line is not news."""
    alice = await chat.join(user="alice")
    for _ in range(3):
        (await chat.join(user="bob")).close()
        await eventually(lambda: len(chat.server.hub.streams) == 1)
        assert chat.server.rooms.online("lobby") == 2
    assert await told(chat, alice) == ["joined bob"]


@pytest.mark.options(leave_grace=0)
async def test_two_tabs_of_a_member_are_one(chat: Chat) -> None:
    """It joins with the first and leaves with the last."""
    alice = await chat.join(user="alice")
    tabs = [await chat.join(user="bob") for _ in range(3)]
    assert data(tabs[2].seen[0])["onlineCount"] == 2
    for tab in tabs[:2]:
        tab.close()
    await eventually(lambda: len(chat.server.hub.streams) == 2)
    assert await told(chat, alice) == ["joined bob"]
    tabs[2].close()
    await alice.event("user-left")
    assert await told(chat, alice) == ["joined bob", "left bob"]


@pytest.mark.options(leave_grace=60)
async def test_post_leave_is_told_at_once(chat: Chat) -> None:
    """It ends that client's stream for good; another tab keeps the member."""
    alice = await chat.join(user="alice")
    tabs = [await chat.join(user="bob", clientId=client) for client in ("one", "two")]
    assert (await chat.post("/api/rooms/lobby/leave", {"clientId": "one"}, "bob")).status == 204
    assert data((await tabs[0].rest())[-1]) == {"reason": "left", "reconnect": False}
    assert await told(chat, alice) == ["joined bob"]
    assert (await chat.post("/api/rooms/lobby/leave", {"clientId": "two"}, "bob")).status == 204
    await alice.event("user-left")
    assert await told(chat, alice) == ["joined bob", "left bob"]


async def test_leave_of_a_stranger_changes_nothing(chat: Chat) -> None:
    """Nor does one of a room that nobody is in."""
    alice = await chat.join(user="alice", clientId="c")
    for room in ("lobby", "nowhere"):
        assert (await chat.post(f"/api/rooms/{room}/leave", {"clientId": "c"}, "bob")).status == 204
    assert await told(chat, alice) == []


@pytest.mark.options(leave_grace=0)
async def test_replaced_stream_is_told_and_announces_nothing(chat: Chat) -> None:
    """The same user, client and room: the newest one stays."""
    alice = await chat.join(user="alice")
    old = await chat.join(user="bob", clientId="c")
    elsewhere = await chat.join("other", user="bob", clientId="c")
    new = await chat.join(user="bob", clientId="c")
    rest = await old.rest()
    assert (rest[-1].type, data(rest[-1])) == ("closing", {"reason": "replaced", "reconnect": False})
    assert await told(chat, alice) == ["joined bob"]
    await new.message("fence")
    await chat.say("other", "here")
    await elsewhere.message("here")


async def test_two_opens_at_once_leave_one_stream(chat: Chat) -> None:
    """Whichever comes second replaces the other, whatever they wait for between."""
    await chat.say_all("lobby", [str(n) for n in range(50)])
    readers = [await chat.read(user="bob", clientId="c", history=50) for _ in range(8)]
    await eventually(lambda: len(chat.server.hub.streams) == 1)
    assert chat.server.rooms.online("lobby") == 1
    for reader in readers[:-1]:
        assert (await reader.rest())[-1].type == "closing"


async def test_two_pages_that_fight_are_stopped(chat: Chat) -> None:
    """Ten replacements of an open stream in a minute are enough."""
    for _ in range(11):
        await chat.join(user="bob", clientId="c")
    refused = await chat.read(user="bob", clientId="c")
    assert refused.status == 409
    assert b'"code":"replaced-too-often"' in refused.body
    await chat.join(user="bob", clientId="d")
    await chat.join(user="alice", clientId="c")


@pytest.mark.options(presence_limit=5, leave_grace=0)
async def test_large_room_is_told_its_state(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit `presence` comes instead of joins; well below it, joins are told again."""
    monkeypatch.setattr(presence, "PRESENCE_INTERVAL", 0.02)
    alice = await chat.join(user="alice")
    others = [await chat.join(user=f"u{n}") for n in range(8)]
    state = await alice.event("presence")
    while state["onlineCount"] < 9:
        state = await alice.event("presence")
    assert (state["roomId"], len(state["members"])) == ("lobby", 9)
    assert [data(e)["userId"] for e in alice.seen if e.type == "user-joined"] == ["u0", "u1", "u2", "u3"]
    for other in others[:4]:
        other.close()
    while state["onlineCount"] > 5:
        state = await alice.event("presence")
    others[4].close()
    assert (await alice.event("user-left"))["onlineCount"] == 4


@pytest.mark.options(leave_grace=0, max_streams_per_user=0)
async def test_members_are_listed_in_pages(chat: Chat) -> None:
    """`system` names the first 200 and says that there are more; the call pages through all."""
    for n in range(205):
        await chat.join(user="crowd", username=f"u{n:03}")
    reader = await chat.read(user="alice")
    system = await reader.event("system")
    assert (system["onlineCount"], len(system["members"]), system["membersTruncated"]) == (206, 200, True)
    listed: list[Any] = []
    path = "/api/rooms/lobby/members?limit=100"
    page = (await chat.get(path)).data
    listed += page["members"]
    while page["hasMore"]:
        page = (await chat.get(f"{path}&after={page['next']}")).data
        listed += page["members"]
    names = [member["username"] for member in listed]
    assert names == ["alice", *(f"u{n:03}" for n in range(205))]
    room = (await chat.get("/api/rooms/lobby")).data
    assert (room["onlineCount"], len(room["members"]), room["membersTruncated"]) == (206, 200, True)


@pytest.mark.parametrize("after", ["x", "%ff", "e30=", "WyJhIl0=", "WzEsMl0=", "é", "=", "W1tbW1tbW1tb", "%00"])
async def test_foreign_page_mark_is_refused(chat: Chat, after: str) -> None:
    """`after` is what `next` was."""
    answer = await chat.raw(
        f"GET /api/rooms/lobby/members?after={after} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {chat.token('a')}\r\n\r\n".encode()
    )
    assert (answer.status, answer.code) == (400, "bad-field")


async def test_member_with_a_name_of_its_token_has_just_that(chat: Chat) -> None:
    """However the query spells it."""
    token = chat.token("alice", "José")
    reader = await chat.read(token=token, username=" JOSE\u0301 ")
    assert (await reader.event("system"))["username"] == "José"


@pytest.mark.options(leave_grace=0)
async def test_member_whose_token_ran_out_is_expected_back(chat: Chat) -> None:
    """A stream that the server ended with `reconnect` keeps its member for the retry it was told."""
    alice = await chat.join(user="alice")
    bob = await chat.join(user="bob", token=chat.token("bob", ttl=1))
    assert data((await bob.rest())[-1])["reason"] == "token-expired"
    assert chat.server.rooms.online("lobby") == 2
    await chat.join(user="bob")
    assert await told(chat, alice) == ["joined bob"]
