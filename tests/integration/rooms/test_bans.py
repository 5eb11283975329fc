"""Bans and mutes, and how they end."""

from __future__ import annotations

import asyncio

import pytest

from chatrooms.rooms import moderation
from tests.helpers.chat import Chat
from tests.helpers.den import BANNED, DEN, MODERATOR, OWNER, TOM, do, ending, make_den, must

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]


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


async def test_bans_are_listed_in_pages(chat: Chat) -> None:
    """By user id, each once, and none that is over."""
    await make_den(chat, private=False)
    for n in range(5):
        await must(chat, OWNER, "PUT", f"{DEN}/bans/b{n}")
    await must(chat, OWNER, "PUT", f"{DEN}/mutes/b7")
    pages, after = [], ""
    while True:
        page = await must(chat, OWNER, "GET", f"{DEN}/bans?limit=2&after={after}")
        pages.append([ban["userId"] for ban in page["bans"]])
        if not page["hasMore"]:
            break
        after = pages[-1][-1]
    assert pages == [["b0", "b1"], ["b2", "b3"], ["b4", BANNED]]
    assert await must(chat, OWNER, "GET", f"{DEN}/mutes") == {
        "mutes": [{"userId": "b7", "until": None}],
        "hasMore": False,
    }
    assert (await do(chat, OWNER, "GET", f"{DEN}/bans?limit=201")).status == 400
    for path in (f"{DEN}/bans", "/api/rooms"):
        assert (await do(chat, OWNER, "GET", f"{path}?after=%00")).status == 400


async def test_room_takes_a_bounded_number_of_bans(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are over do not count."""
    monkeypatch.setattr(moderation, "MAX_RESTRICTIONS", 2)
    await make_den(chat, private=False)  # one is banned
    ends = (await must(chat, OWNER, "PUT", f"{DEN}/bans/{TOM}", {"seconds": 0.01}))["until"]
    async with asyncio.timeout(10):
        while chat.server.moderation.now() < ends:
            await do(chat, OWNER, "GET", DEN)
    await must(chat, OWNER, "PUT", f"{DEN}/mutes/{TOM}")
    assert (await do(chat, OWNER, "PUT", f"{DEN}/bans/sue")).status == 409


async def test_ban_survives_a_restart_of_the_rulebook(chat: Chat) -> None:
    """What is at hand is only a copy."""
    await make_den(chat, private=False)
    chat.server.policy._forget("den")
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


@pytest.mark.parametrize(
    "body", [{}, {"userId": None}, {"userId": ""}, {"userId": 2**53}, {"userId": True}, {"userId": "\t"}]
)
async def test_user_to_kick_is_checked(chat: Chat, body: object) -> None:
    """400, as everywhere."""
    await make_den(chat, private=False)
    assert (await do(chat, OWNER, "POST", f"{DEN}/kick", body)).status == 400
