"""Rooms with rules: made, changed, kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.server_process import SECRET
from chatrooms.app import make_app
from chatrooms.server import Server
from tests.helpers.chat import Chat, gather
from tests.helpers.den import DEN, MODERATOR, OWNER, STRANGER, do, make_den, must
from tests.helpers.reader import data

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]


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


async def test_room_is_found_after_its_first_message(chat: Chat) -> None:
    """Though its rules were at hand before, when there was no such room."""
    assert (await do(chat, STRANGER, "GET", DEN)).status == 404
    await chat.say("den", "first", OWNER)
    assert (await do(chat, STRANGER, "GET", DEN)).status == 200
    assert (await do(chat, OWNER, "PUT", DEN, {"private": True})).code == "forbidden"


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


async def test_bytes_that_are_no_text_are_refused(chat: Chat) -> None:
    """In every part of a path, without a fault of the server."""
    await make_den(chat, private=False)
    for method, path, status in (
        ("PUT", f"{DEN}/bans/%FF", 400),
        ("DELETE", f"{DEN}/mutes/%FF", 400),
        ("PUT", f"{DEN}/moderators/%FF", 400),
        ("DELETE", f"{DEN}/invites/%FF", 404),
        ("PUT", "/api/rooms/%FF", 400),
        ("POST", "/api/rooms/%FF/kick", 400),
    ):
        assert (await do(chat, OWNER, method, path)).status == status, path


@pytest.mark.options(message_rate=5)
async def test_acts_of_one_user_are_bounded(chat: Chat) -> None:
    """429 beyond `message-rate`; service and admin are exempt."""
    await must(chat, OWNER, "PUT", DEN)
    bans = [await do(chat, OWNER, "PUT", f"{DEN}/bans/{n}") for n in range(5)]
    assert [ban.status for ban in bans] == [200, 200, 200, 200, 429]
    for n in range(10):
        await must(chat, "root", "PUT", f"{DEN}/bans/{n}")


async def test_rules_survive_a_restart(chat: Chat, tmp_path: Path, database_url: str | None) -> None:
    """They and the record of them are in the database."""
    await make_den(chat, private=True)
    rules = await chat.server.policy.of("den")
    entries = (await must(chat, OWNER, "GET", f"{DEN}/audit"))["entries"]
    await chat.server.stop()
    server: Server = make_app(data_dir=tmp_path, secret=SECRET, database_url=database_url).settings["server"]
    await server.start()
    try:
        assert await server.policy.of("den") == rules
        assert [json.loads(act) for act in (await server.audit.page("den", "", 100)).acts] == entries
    finally:
        await server.stop()
