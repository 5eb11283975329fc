"""Rooms with rules: made and changed, private, slow; kicks, bans and mutes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatrooms.roomsettings import Change
from tests.helpers.chat import Answer, Chat, gather
from tests.helpers.den import (
    BANNED,
    DEN,
    MEMBER,
    MODERATOR,
    OWNER,
    STRANGER,
    TOM,
    do,
    invited,
    make_den,
    must,
)
from tests.helpers.reader import Reader, data

# Keeps the connection that reads busy for a good second.
COUNT_LONG = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 6000000) select max(i) from n"

pytestmark = pytest.mark.gen_test(timeout=30)


async def ending(reader: Reader) -> dict[str, Any]:
    """The `closing` with which a stream ends."""
    last = (await reader.rest())[-1]
    assert last.type == "closing"
    return data(last)


# Making and changing


async def test_room_is_made_once_and_then_changed_by_its_owner(chat: Chat) -> None:
    """201 and the caller owns it; then 200; what is not named stays as it is."""
    made = await do(chat, OWNER, "PUT", DEN, {"private": True, "title": " The den "})
    expected = {"roomId": "den", "private": True, "title": "The den", "slowMode": 0.0, "role": "owner"}
    assert (made.status, made.data) == (201, expected)
    changed = await do(chat, OWNER, "PUT", DEN, {"slowMode": 2})
    assert (changed.status, changed.data) == (200, {**expected, "slowMode": 2.0})
    assert (await must(chat, OWNER, "PUT", DEN, {"title": None}))["title"] is None
    info = await must(chat, OWNER, "GET", DEN)
    assert info == {**expected, "slowMode": 2.0, "title": None, "onlineCount": 0, "members": []}


async def test_room_without_any_settings_can_be_made(chat: Chat) -> None:
    """An empty body makes a public room with an owner."""
    made = await do(chat, OWNER, "PUT", DEN)
    assert (made.status, made.data["private"], made.data["role"]) == (201, False, "owner")
    assert (await do(chat, OWNER, "PUT", DEN)).status == 200
    assert (await must(chat, STRANGER, "GET", DEN))["role"] == "none"


async def test_room_that_exists_by_use_is_changed_by_service_and_admin_only(chat: Chat) -> None:
    """It has no owner, and who wrote first does not become one."""
    await chat.say("den", "first", OWNER)
    assert (await do(chat, OWNER, "PUT", DEN, {"private": True})).code == "forbidden"
    assert (await do(chat, "root", "PUT", DEN, {"slowMode": 1})).status == 200
    info = await must(chat, "root", "GET", DEN)
    assert (info["slowMode"], info["role"]) == (1.0, "none")
    await must(chat, "root", "PUT", f"{DEN}/moderators/{MODERATOR}")
    await must(chat, MODERATOR, "POST", f"{DEN}/kick", {"userId": STRANGER})


async def test_room_that_others_are_in_cannot_be_taken(chat: Chat) -> None:
    """Being alone in it, one may make it one's own."""
    mine = await chat.join("den", OWNER)
    other = await chat.join("den", STRANGER)
    assert (await do(chat, OWNER, "PUT", DEN, {"private": True})).code == "forbidden"
    await must(chat, STRANGER, "POST", f"{DEN}/leave", {"clientId": data(other.seen[0])["clientId"]})
    assert (await do(chat, OWNER, "PUT", DEN, {"private": True})).status == 201
    await chat.say("den", "mine", OWNER)
    await mine.message("mine")


@pytest.mark.parametrize(
    "body",
    [
        {"private": 1},
        {"private": None},
        {"slowMode": -1},
        {"slowMode": 86_401},
        {"slowMode": "1"},
        {"title": "x" * 101},
        {"title": "\u202e"},
        {"title": "a\nb"},
        {"title": 1},
        [],
    ],
)
async def test_settings_are_checked(chat: Chat, body: object) -> None:
    """400, and no room is made."""
    assert (await do(chat, OWNER, "PUT", DEN, body)).status == 400
    assert (await do(chat, OWNER, "GET", DEN)).status == 404


async def test_same_room_made_by_two_at_once_has_one_owner(chat: Chat) -> None:
    """One gets 201, the other 403."""
    answers = await gather(*(do(chat, user, "PUT", DEN, {"title": user}) for user in (OWNER, STRANGER)))
    assert sorted(answer.status for answer in answers) == [201, 403]


# Private rooms


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
    chat.server.rulebook._forget("den")
    root = chat.tokens.verify(chat.token("root", role="admin"))
    await chat.server.room_settings.change(root, "den", Change(private=True))
    for reader in (stranger, member):
        assert await ending(reader) == {"reason": "private", "reconnect": True}
    assert (await chat.read("den", STRANGER, lastEventId=stranger.last_event_id)).status == 403
    again = await chat.read("den", MEMBER, lastEventId=member.last_event_id)
    assert (await again.event("system"))["recovered"]


# Kick


async def test_kick_ends_streams_and_presence_at_once(chat: Chat) -> None:
    """All streams of that user in that room, and no other; the grace does not count."""
    await make_den(chat, private=False)
    watcher = await chat.join("den", OWNER)
    first, second = [await chat.join("den", TOM, clientId=client) for client in ("1", "2")]
    elsewhere = await chat.join("lobby", TOM)
    await must(chat, MODERATOR, "POST", f"{DEN}/kick", {"userId": TOM})
    for reader in (first, second):
        assert await ending(reader) == {"reason": "kicked", "reconnect": False}
    assert (await watcher.event("user-left"))["userId"] == TOM
    await chat.say("lobby", "still there")
    await elsewhere.message("still there")
    await chat.join("den", TOM)  # the room is public: who was kicked may come back


async def test_kick_takes_membership(chat: Chat) -> None:
    """Who was kicked out of a private room needs a new invite; a moderator is one no more."""
    await make_den(chat, private=True)
    reader = await chat.join("den", MODERATOR)
    await must(chat, OWNER, "POST", f"{DEN}/kick", {"userId": MODERATOR})
    assert (await ending(reader))["reason"] == "kicked"
    assert (await chat.read("den", MODERATOR)).status == 403
    await invited(chat, MODERATOR)
    assert (await must(chat, MODERATOR, "GET", DEN))["role"] == "member"


@pytest.mark.options(leave_grace=600)
async def test_kick_reaches_who_has_no_stream_right_now(chat: Chat) -> None:
    """A member within its grace, and one that polls, leave as well."""
    await make_den(chat, private=False)
    watcher = await chat.join("den", OWNER)
    (await chat.join("den", TOM)).close()
    await must(chat, MEMBER, "GET", f"/events?roomId=den&username={MEMBER}&poll=1")
    assert (await must(chat, OWNER, "GET", DEN))["onlineCount"] == 3
    for user in (TOM, MEMBER):
        await must(chat, OWNER, "POST", f"{DEN}/kick", {"userId": user})
        assert (await watcher.event("user-left"))["userId"] == user


async def test_kick_while_the_stream_is_opening(chat: Chat) -> None:
    """Whatever comes first: no stream of a private room outlives the kick of its reader."""
    await make_den(chat, private=True)
    for _ in range(20):
        await invited(chat, TOM)
        opening = [asyncio.create_task(chat.read("den", TOM, clientId=str(n))) for n in range(5)]
        kick = asyncio.create_task(do(chat, OWNER, "POST", f"{DEN}/kick", {"userId": TOM}))
        readers = await asyncio.gather(*opening)
        assert (await kick).status == 204
        for reader in readers:
            assert reader.status == 403 or (await ending(reader))["reason"] == "kicked"
        assert chat.server.hub.readers("room:den") == []


async def test_kick_between_the_check_and_the_opening(chat: Chat) -> None:
    """A stream whose start is being read from the log is not opened any more."""
    await make_den(chat, private=True)
    await must(chat, TOM, "GET", DEN)  # the rules are at hand: the first check passes at once
    busy = asyncio.create_task(chat.server.database.fetch(COUNT_LONG))
    opening = asyncio.create_task(chat.read("den", TOM, history=1))
    for _ in range(3):  # by then the request has come as far as it can
        await must(chat, TOM, "GET", "/healthz")
    await must(chat, OWNER, "POST", f"{DEN}/kick", {"userId": TOM})
    assert not busy.done()
    assert (await opening).status == 403
    await busy


# Bans and mutes


async def test_ban_ends_streams_and_keeps_out_until_it_is_lifted(chat: Chat) -> None:
    """Every way in answers 403 `banned`."""
    await make_den(chat, private=False)
    message = await chat.say("den", "mine", TOM)
    reader = await chat.join("den", TOM)
    answer = await must(chat, MODERATOR, "PUT", f"{DEN}/bans/{TOM}")
    assert answer == {"roomId": "den", "userId": TOM, "until": None}
    assert await ending(reader) == {"reason": "banned", "reconnect": False}
    assert (await chat.read("den", TOM, lastEventId=reader.last_event_id)).status == 403
    for method, path, body in (
        ("GET", f"/events?roomId=den&username={TOM}&poll=1", None),
        ("POST", f"{DEN}/messages", {"message": "x"}),
        ("POST", f"{DEN}/messages/batch", {"messages": [{"message": "x"}]}),
        ("PATCH", f"{DEN}/messages/{message['id']}", {"message": "x"}),
        ("POST", f"{DEN}/typing", {}),
        ("GET", f"{DEN}/messages", None),
        ("GET", DEN, None),
    ):
        assert (await do(chat, TOM, method, path, body)).code == "banned", path
    await must(chat, MODERATOR, "DELETE", f"{DEN}/bans/{TOM}")
    await chat.join("den", TOM)
    assert (await must(chat, TOM, "GET", DEN))["role"] == "none"


async def test_ban_in_the_middle_of_a_catch_up(chat: Chat) -> None:
    """The replay stops where it is; nothing follows but the end."""
    await make_den(chat, private=False)
    texts = [f"{n} " + "x" * 1000 for n in range(6000)]
    posted = await chat.say_all("den", texts)
    reader = await chat.read("den", TOM, lastEventId=posted[0]["id"])
    await reader.message(texts[100])
    await must(chat, OWNER, "PUT", f"{DEN}/bans/{TOM}")
    await chat.say("den", "after the ban", OWNER)
    await reader.rest()
    messages = reader.messages()
    assert messages == texts[1 : 1 + len(messages)]
    assert len(messages) < len(texts) - 1
    assert chat.server.hub.readers("room:den") == []


async def test_ban_ends_by_itself(chat: Chat) -> None:
    """`until` says when; from then on the user may write again, and the list does not show it."""
    await make_den(chat, private=False)
    answer = await must(chat, OWNER, "PUT", f"{DEN}/bans/{TOM}", {"seconds": 0.3})
    assert (await do(chat, TOM, "POST", f"{DEN}/messages", {"message": "x"})).code == "banned"
    listed = (await must(chat, OWNER, "GET", f"{DEN}/bans"))["bans"]
    assert {"userId": TOM, "until": answer["until"]} in listed
    async with asyncio.timeout(10):
        while (await do(chat, TOM, "GET", DEN)).status == 403:
            pass
    assert chat.server.moderation.now() >= answer["until"]
    await chat.say("den", "back", TOM)
    assert [ban["userId"] for ban in (await must(chat, OWNER, "GET", f"{DEN}/bans"))["bans"]] == [BANNED]


async def test_ban_survives_a_restart_of_the_rulebook(chat: Chat) -> None:
    """What is at hand is only a copy."""
    await make_den(chat, private=False)
    chat.server.rulebook._forget("den")
    assert (await do(chat, BANNED, "GET", DEN)).code == "banned"


async def test_mute_leaves_reading_and_erasing(chat: Chat) -> None:
    """Posting, editing and typing are 403 `muted`; the stream goes on."""
    await make_den(chat, private=False)
    message = await chat.say("den", "mine", TOM)
    reader = await chat.join("den", TOM)
    await must(chat, MODERATOR, "PUT", f"{DEN}/mutes/{TOM}", {"seconds": 3600})
    for method, path, body in (
        ("POST", f"{DEN}/messages", {"message": "x"}),
        ("POST", f"{DEN}/messages/batch", {"messages": [{"message": "x"}]}),
        ("PATCH", f"{DEN}/messages/{message['id']}", {"message": "x"}),
        ("POST", f"{DEN}/typing", {}),
    ):
        answer = await do(chat, TOM, method, path, body)
        assert (answer.status, answer.code) == (403, "muted"), path
    await chat.say("den", "heard", OWNER)
    await reader.message("heard")
    await must(chat, TOM, "DELETE", f"{DEN}/messages/{message['id']}")
    await must(chat, MODERATOR, "DELETE", f"{DEN}/mutes/{TOM}")
    await chat.say("den", "again", TOM)


@pytest.mark.parametrize("body", [{"seconds": 0}, {"seconds": -1}, {"seconds": "1"}, {"seconds": 1e12}])
@pytest.mark.parametrize("kind", ["bans", "mutes"])
async def test_seconds_are_checked(chat: Chat, kind: str, body: object) -> None:
    """400, and nobody is banned."""
    await make_den(chat, private=False)
    assert (await do(chat, OWNER, "PUT", f"{DEN}/{kind}/{TOM}", body)).status == 400
    await chat.say("den", "still here", TOM)


async def test_user_ids_of_any_kind_can_be_banned(chat: Chat) -> None:
    """With a slash, percent-encoded in the path, or a number in the body."""
    await make_den(chat, private=False)
    await must(chat, OWNER, "PUT", f"{DEN}/bans/a%2Fb%20c")
    assert (await do(chat, "a/b c", "GET", DEN)).code == "banned"
    reader = await chat.join("den", "42")
    await must(chat, OWNER, "POST", f"{DEN}/kick", {"userId": 42})
    assert (await ending(reader))["reason"] == "kicked"


# Slow mode


async def test_slow_mode_spaces_the_messages_of_one_user(chat: Chat) -> None:
    """429 `slow-mode` with Retry-After, for this user only; moderators talk on."""
    await make_den(chat, private=False)
    await must(chat, OWNER, "PUT", DEN, {"slowMode": 60})
    await chat.say("den", "one", TOM)
    answer = await do(chat, TOM, "POST", f"{DEN}/messages", {"message": "two"})
    assert (answer.status, answer.code) == (429, "slow-mode")
    assert 50 <= int(answer.headers["Retry-After"]) <= 60
    await chat.say("den", "mine", MEMBER)
    for user in (MODERATOR, OWNER):
        await chat.say("den", "one", user)
        await chat.say("den", "two", user)
    await must(chat, OWNER, "PUT", DEN, {"slowMode": 0})
    await chat.say("den", "two", TOM)


async def test_slow_mode_ends_after_its_time(chat: Chat) -> None:
    """The next message is taken as soon as the time is over."""
    await make_den(chat, private=False)
    await must(chat, OWNER, "PUT", DEN, {"slowMode": 0.3})
    await chat.say("den", "one", TOM)
    async with asyncio.timeout(10):
        while (await do(chat, TOM, "POST", f"{DEN}/messages", {"message": "two"})).status == 429:
            pass
    first, second = (await must(chat, TOM, "GET", f"{DEN}/messages"))["messages"]
    assert second["timestamp"] - first["timestamp"] >= 300


async def test_slow_mode_does_not_hinder_a_retry(chat: Chat) -> None:
    """The same clientMessageId is answered with the first message, later and at the same time."""
    await make_den(chat, private=False)
    await must(chat, OWNER, "PUT", DEN, {"slowMode": 60})
    body = {"message": "one", "clientMessageId": "1"}
    answers: list[Answer] = await gather(*(do(chat, TOM, "POST", f"{DEN}/messages", body) for _ in range(5)))
    answers.append(await do(chat, TOM, "POST", f"{DEN}/messages", body))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
    assert len({answer.data["id"] for answer in answers}) == 1


async def test_slow_mode_takes_one_of_many_at_once(chat: Chat) -> None:
    """However they come: in one commit, or in one batch."""
    await make_den(chat, private=False)
    await must(chat, OWNER, "PUT", DEN, {"slowMode": 60})
    batch = {"messages": [{"message": "1"}, {"message": "2"}]}
    assert (await do(chat, TOM, "POST", f"{DEN}/messages/batch", batch)).code == "slow-mode"
    posts = (do(chat, TOM, "POST", f"{DEN}/messages", {"message": str(n)}) for n in range(10))
    assert sorted(answer.status for answer in await gather(*posts)) == [201] + [429] * 9
