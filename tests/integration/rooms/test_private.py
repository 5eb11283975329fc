"""Private rooms: for their members, and invisible to others."""

from __future__ import annotations

import pytest

from chatrooms.rooms.settings import SettingsChange
from tests.helpers.chat import Chat
from tests.helpers.den import BANNED, DEN, MEMBER, OWNER, STRANGER, TOM, do, ending, make_den, must

pytestmark = pytest.mark.gen_test(timeout=30)


async def test_private_room_is_listed_for_those_who_may_read_it(chat: Chat) -> None:
    """Others do not see it; the banned do not see the public one."""
    await make_den(chat, private=True)
    await must(chat, OWNER, "PUT", "/api/rooms/open", {})
    await must(chat, OWNER, "PUT", f"/api/rooms/open/bans/{BANNED}")
    await chat.join("den", MEMBER)
    await chat.join("live", MEMBER)

    async def listed(user: str) -> list[str]:
        return [room["roomId"] for room in (await must(chat, user, "GET", "/api/rooms"))["rooms"]]

    assert await listed(MEMBER) == await listed(OWNER) == await listed("root") == ["den", "live", "open"]
    assert await listed(STRANGER) == ["live", "open"]
    assert await listed(BANNED) == ["live"]


async def test_list_of_rooms_says_which_are_private_and_what_they_are_called(chat: Chat) -> None:
    """So a page need not ask for each."""
    await must(chat, OWNER, "PUT", "/api/rooms/den", {"private": True, "title": "The den"})
    await chat.join("live", OWNER)
    listed = (await must(chat, OWNER, "GET", "/api/rooms"))["rooms"]
    assert listed == [
        {"roomId": "den", "onlineCount": 0, "private": True, "title": "The den"},
        {"roomId": "live", "onlineCount": 1, "private": False, "title": None},
    ]


async def test_list_of_rooms_pages_over_those_that_are_hidden(chat: Chat) -> None:
    """A page is full as long as there is more."""
    for name in ("a", "b", "c", "d"):
        await must(chat, OWNER, "PUT", f"/api/rooms/{name}", {"private": name in "ac"})
    first = await must(chat, STRANGER, "GET", "/api/rooms?limit=1")
    assert ([room["roomId"] for room in first["rooms"]], first["hasMore"]) == (["b"], True)
    second = await must(chat, STRANGER, "GET", "/api/rooms?limit=1&after=b")
    assert ([room["roomId"] for room in second["rooms"]], second["hasMore"]) == (["d"], False)


async def test_private_room_cannot_be_told_from_none_by_its_info(chat: Chat) -> None:
    """The same 404, also while people are in it."""
    await make_den(chat, private=True)
    await chat.join("den", MEMBER)
    private, missing = [await do(chat, STRANGER, "GET", f"/api/rooms/{name}") for name in ("den", "none")]
    assert (private.status, private.body) == (missing.status, missing.body)
    assert private.status == 404


async def test_stream_of_a_private_room_is_refused(chat: Chat) -> None:
    """403, with a position too, and before malformed fields are looked at."""
    await make_den(chat, private=True)
    message = await chat.say("den", "secret", MEMBER)
    for query in ({}, {"lastEventId": message["id"]}, {"history": "x"}):
        reader = await chat.read("den", STRANGER, **query)
        assert reader.status == 403
        assert b"secret" not in reader.body


async def test_message_cannot_be_reached_through_the_path_of_another_room(chat: Chat) -> None:
    """Neither its author, thrown out, nor a stranger changes it by a room that they may write in."""
    await make_den(chat, private=True)
    message = await chat.say("den", "mine", TOM)
    await must(chat, OWNER, "POST", f"{DEN}/kick", {"userId": TOM})
    for user in (TOM, STRANGER, "root"):
        path = f"/api/rooms/lobby/messages/{message['id']}"
        assert (await do(chat, user, "DELETE", path)).code == "not-found"
        assert (await do(chat, user, "PATCH", path, {"message": "x"})).code == "not-found"
    assert (await do(chat, TOM, "DELETE", f"{DEN}/messages/{message['id']}")).code == "forbidden"
    assert (await must(chat, MEMBER, "GET", f"{DEN}/messages"))["messages"][0]["message"] == "mine"


async def test_room_made_private_ends_the_streams_of_strangers(chat: Chat) -> None:
    """Members stay, and nobody else gets what is said afterwards."""
    await make_den(chat, private=False)
    stranger, member, owner = [await chat.join("den", user) for user in (STRANGER, MEMBER, OWNER)]
    program = await chat.join("den", "robot", token=chat.token("robot", role="service"))
    await must(chat, OWNER, "POST", f"{DEN}/invites")
    await must(chat, OWNER, "PUT", DEN, {"slowMode": 1})  # who is what in the room stays known
    await must(chat, OWNER, "PUT", DEN, {"title": "Den", "slowMode": 0})
    await must(chat, OWNER, "PUT", DEN, {"private": True})
    await chat.say("den", "among us", MEMBER)
    assert await ending(stranger) == {"reason": "private", "reconnect": False}
    for reader in (member, owner, program):
        await reader.message("among us")
        assert "closing" not in reader.types()
    names = [member["userId"] for member in (await must(chat, OWNER, "GET", DEN))["members"]]
    assert sorted(names) == sorted([MEMBER, OWNER, "robot"])


async def test_room_made_private_whose_members_are_not_at_hand_asks_them_back(chat: Chat) -> None:
    """A node that does not remember the rules ends all streams; members resume, others get 403."""
    await make_den(chat, private=False)
    stranger, member = [await chat.join("den", user) for user in (STRANGER, MEMBER)]
    chat.server.policy._forget("den")
    root = chat.tokens.verify(chat.token("root", role="admin"))
    await chat.server.room_settings.change(root, "den", SettingsChange(private=True))
    for reader in (stranger, member):
        assert await ending(reader) == {"reason": "private", "reconnect": True}
    assert (await chat.read("den", STRANGER, lastEventId=stranger.last_event_id)).status == 403
    again = await chat.read("den", MEMBER, lastEventId=member.last_event_id)
    assert (await again.event("system"))["recovered"]
