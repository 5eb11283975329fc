"""Invites to rooms, and the membership that they give."""

from __future__ import annotations

import pytest

from chatrooms.rooms import invites
from tests.helpers.chat import Chat, eventually, gather
from tests.helpers.den import BANNED, DEN, MEMBER, MODERATOR, OWNER, STRANGER, TOM, do, make_den, must

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]

ACCEPT = "/api/invites/accept"


async def test_invite_makes_a_member(chat: Chat) -> None:
    """Who accepts it may read and write; again is harmless."""
    await make_den(chat, private=True)
    made = await must(chat, MODERATOR, "POST", f"{DEN}/invites")
    assert (await chat.read("den", STRANGER)).status == 403
    for _ in range(2):
        assert await must(chat, STRANGER, "POST", ACCEPT, {"invite": made["invite"]}) == {"roomId": "den"}
    await chat.join("den", STRANGER)
    assert (await must(chat, STRANGER, "GET", DEN))["role"] == "member"


async def test_invite_is_unguessable_and_not_in_the_database(chat: Chat) -> None:
    """At least 128 random bits; only the hash is kept, in tables and in the log."""
    await make_den(chat, private=True)
    made = await must(chat, OWNER, "POST", f"{DEN}/invites", {})
    assert len(made["invite"]) * 6 >= 128
    for query in ("select * from room_invites", "select data from events"):
        rows = await chat.server.database.fetch(query)
        assert rows
        assert not any(made["invite"] in str(row) for row in rows)


async def test_invite_lasts_a_week_unless_told_otherwise(chat: Chat) -> None:
    """`expiresAt` in milliseconds."""
    await make_den(chat, private=True)
    now = chat.server.moderation.now()
    for body, seconds in (({}, 7 * 86_400), ({"expiresIn": 60}, 60), ({"expiresIn": 30 * 86_400}, 30 * 86_400)):
        made = await must(chat, OWNER, "POST", f"{DEN}/invites", body)
        assert 0 <= made["expiresAt"] - now - seconds * 1000 < 10_000


@pytest.mark.parametrize(
    "body", [{"expiresIn": 0}, {"expiresIn": 30 * 86_400 + 1}, {"uses": 0}, {"uses": 1.5}, {"uses": "1"}]
)
async def test_invite_is_checked(chat: Chat, body: object) -> None:
    """400."""
    await make_den(chat, private=True)
    assert (await do(chat, OWNER, "POST", f"{DEN}/invites", body)).status == 400


async def test_expired_and_unknown_invites_are_not_found(chat: Chat) -> None:
    """The same 404 for both."""
    await make_den(chat, private=True)
    made = await must(chat, OWNER, "POST", f"{DEN}/invites", {"expiresIn": 0.001})
    await eventually(lambda: chat.server.moderation.now() >= made["expiresAt"])
    expired = await do(chat, STRANGER, "POST", ACCEPT, {"invite": made["invite"]})
    unknown = await do(chat, STRANGER, "POST", ACCEPT, {"invite": "x" * 32})
    assert (expired.status, expired.body) == (404, unknown.body)
    assert (await must(chat, OWNER, "GET", f"{DEN}/invites"))["invites"][-1]["inviteId"] != made["inviteId"]


@pytest.mark.parametrize("way", ["kick", "ban"])
async def test_who_was_put_out_needs_a_newer_invite(chat: Chat, way: str) -> None:
    """The one that let them in says 404, as if used up, also after a ban has ended; to others it is good."""
    await make_den(chat, private=True)
    made = await must(chat, OWNER, "POST", f"{DEN}/invites", {"uses": 3})
    await must(chat, STRANGER, "POST", ACCEPT, {"invite": made["invite"]})
    if way == "kick":
        await must(chat, MODERATOR, "POST", f"{DEN}/kick", {"userId": STRANGER})
    else:
        await must(chat, MODERATOR, "PUT", f"{DEN}/bans/{STRANGER}")
        assert (await do(chat, STRANGER, "POST", ACCEPT, {"invite": made["invite"]})).code == "banned"
        await must(chat, MODERATOR, "DELETE", f"{DEN}/bans/{STRANGER}")
    refused = await do(chat, STRANGER, "POST", ACCEPT, {"invite": made["invite"]})
    unknown = await do(chat, STRANGER, "POST", ACCEPT, {"invite": "x" * 32})
    assert (refused.status, refused.body) == (404, unknown.body)
    assert (await chat.read("den", STRANGER)).status == 403
    await must(chat, "other", "POST", ACCEPT, {"invite": made["invite"]})
    put_out_at = chat.server.moderation.now()
    await eventually(lambda: chat.server.moderation.now() > put_out_at)
    newer = await must(chat, OWNER, "POST", f"{DEN}/invites")
    await must(chat, STRANGER, "POST", ACCEPT, {"invite": newer["invite"]})
    await chat.join("den", STRANGER)


async def test_kicks_kept_in_mind_are_bounded(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest give way; without an invite that they could use there is nothing to keep."""
    monkeypatch.setattr(invites, "MAX_KICKS", 2)
    await must(chat, OWNER, "PUT", DEN, {"private": True})
    kept = "select user_id from room_kicks order by user_id"
    await must(chat, OWNER, "POST", f"{DEN}/kick", {"userId": "nobody"})
    assert await chat.server.database.fetch(kept) == []
    await must(chat, OWNER, "POST", f"{DEN}/invites")
    for n in range(4):
        before = chat.server.moderation.now()
        await eventually(lambda before=before: chat.server.moderation.now() > before)  # type: ignore[misc]
        await must(chat, OWNER, "POST", f"{DEN}/kick", {"userId": f"u{n}"})
    assert [tuple(row) for row in await chat.server.database.fetch(kept)] == [("u2",), ("u3",)]


async def test_uses_are_counted_at_the_same_time_too(chat: Chat) -> None:
    """Two of five get in; who is a member already uses nothing up."""
    await make_den(chat, private=True)
    made = await must(chat, OWNER, "POST", f"{DEN}/invites", {"uses": 2})
    for user in (MEMBER, OWNER):
        await must(chat, user, "POST", ACCEPT, {"invite": made["invite"]})
    answers = await gather(*(do(chat, f"new-{n}", "POST", ACCEPT, {"invite": made["invite"]}) for n in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 200, 404, 404, 404]


async def test_invites_are_listed_and_revoked(chat: Chat) -> None:
    """The list never has their text; a revoked one is as one that never was."""
    await make_den(chat, private=True)
    before = (await must(chat, MODERATOR, "GET", f"{DEN}/invites"))["invites"]
    made = await must(chat, OWNER, "POST", f"{DEN}/invites", {"uses": 3})
    listed = (await must(chat, MODERATOR, "GET", f"{DEN}/invites"))["invites"]
    (entry,) = [invite for invite in listed if invite not in before]
    assert {key: entry[key] for key in ("inviteId", "expiresAt", "uses", "createdBy")} == {
        "inviteId": made["inviteId"], "expiresAt": made["expiresAt"], "uses": 3, "createdBy": OWNER,
    }  # fmt: skip
    path = f"{DEN}/invites/{made['inviteId']}"
    await must(chat, OWNER, "PUT", "/api/rooms/other", {})
    assert (await do(chat, OWNER, "DELETE", path.replace("den", "other"))).status == 404
    await must(chat, MODERATOR, "DELETE", path)
    assert (await do(chat, MODERATOR, "DELETE", path)).status == 404
    assert (await do(chat, STRANGER, "POST", ACCEPT, {"invite": made["invite"]})).status == 404


async def test_banned_users_cannot_come_in_by_an_invite(chat: Chat) -> None:
    """403 `banned`; with the ban lifted it works."""
    await make_den(chat, private=True)
    made = await must(chat, OWNER, "POST", f"{DEN}/invites", {})
    assert (await do(chat, BANNED, "POST", ACCEPT, {"invite": made["invite"]})).code == "banned"
    await must(chat, OWNER, "DELETE", f"{DEN}/bans/{BANNED}")
    await must(chat, BANNED, "POST", ACCEPT, {"invite": made["invite"]})


async def test_room_has_a_bounded_number_of_invites(chat: Chat) -> None:
    """409 beyond; revoked ones make room."""
    await must(chat, "root", "PUT", DEN, {})
    for _ in range(100):
        made = await must(chat, "root", "POST", f"{DEN}/invites", {})
    assert (await do(chat, "root", "POST", f"{DEN}/invites", {})).code == "conflict"
    await must(chat, "root", "DELETE", f"{DEN}/invites/{made['inviteId']}")
    await must(chat, "root", "POST", f"{DEN}/invites", {})


async def test_member_goes(chat: Chat) -> None:
    """The streams of a private room end as `left`; the owner cannot go."""
    await make_den(chat, private=True)
    reader = await chat.join("den", TOM)
    await must(chat, TOM, "DELETE", f"{DEN}/membership")
    last = (await reader.rest())[-1]
    assert (last.type, last.data) == ("closing", '{"reason":"left","reconnect":false}')
    assert (await do(chat, TOM, "DELETE", f"{DEN}/membership")).code == "forbidden"
    assert (await do(chat, OWNER, "DELETE", f"{DEN}/membership")).code == "conflict"


async def test_member_of_a_public_room_goes_and_reads_on(chat: Chat) -> None:
    """Reading a public room needs no membership; going twice is harmless."""
    await make_den(chat, private=False)
    reader = await chat.join("den", TOM)
    for _ in range(2):
        await must(chat, TOM, "DELETE", f"{DEN}/membership")
    await chat.say("den", "still heard", OWNER)
    await reader.message("still heard")
    assert (await must(chat, TOM, "GET", DEN))["role"] == "none"
