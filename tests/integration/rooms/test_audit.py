"""The audit log: what was done in a room, by whom, to whom, when."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.chat import Chat
from tests.helpers.den import DEN, MEMBER, MODERATOR, OWNER, STRANGER, TOM, do, make_den, must

pytestmark = pytest.mark.gen_test(timeout=30)


async def audit(chat: Chat, query: str = "") -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await must(chat, OWNER, "GET", f"{DEN}/audit{query}"))["entries"]
    return entries


async def test_every_act_is_recorded(chat: Chat) -> None:
    """Newest first, with who, what, whom and when."""
    begun = chat.server.moderation.now()
    await must(chat, OWNER, "PUT", DEN, {"private": True, "title": "Den"})
    await must(chat, OWNER, "PUT", DEN, {"title": None, "slowMode": 5})
    made = await must(chat, OWNER, "POST", f"{DEN}/invites", {})
    await must(chat, TOM, "POST", "/api/invites/accept", {"invite": made["invite"]})
    await must(chat, OWNER, "DELETE", f"{DEN}/invites/{made['inviteId']}")
    await must(chat, OWNER, "PUT", f"{DEN}/moderators/{MODERATOR}")
    message = await chat.say("den", "rude", TOM)
    await must(chat, "root", "PATCH", f"{DEN}/messages/{message['id']}", {"message": "polite"})
    await must(chat, MODERATOR, "DELETE", f"{DEN}/messages/{message['id']}")
    mute = await must(chat, MODERATOR, "PUT", f"{DEN}/mutes/{TOM}", {"seconds": 60})
    await must(chat, MODERATOR, "DELETE", f"{DEN}/mutes/{TOM}")
    await must(chat, MODERATOR, "POST", f"{DEN}/kick", {"userId": TOM})
    await must(chat, MODERATOR, "PUT", f"{DEN}/bans/{TOM}")
    await must(chat, MODERATOR, "DELETE", f"{DEN}/bans/{TOM}")
    await must(chat, OWNER, "DELETE", f"{DEN}/moderators/{MODERATOR}")
    await must(chat, MODERATOR, "DELETE", f"{DEN}/membership")
    entries = await audit(chat)
    assert all(begun <= entry["timestamp"] <= chat.server.moderation.now() for entry in entries)
    assert all(entry["roomId"] == "den" for entry in entries)
    ids = [entry["id"] for entry in entries]
    assert len(set(ids)) == len(ids)
    told = [{k: v for k, v in e.items() if k not in ("id", "roomId", "timestamp")} for e in reversed(entries)]
    invite = {"inviteId": made["inviteId"]}
    about = {"messageId": message["id"]}
    assert told == [
        {"action": "created", "actorId": OWNER, "private": True, "title": "Den"},
        {"action": "changed", "actorId": OWNER, "title": "", "slowMode": 5.0},
        {"action": "invited", "actorId": OWNER, **invite},
        {"action": "joined", "actorId": TOM, "userId": TOM, **invite},
        {"action": "invite-revoked", "actorId": OWNER, **invite},
        {"action": "moderator-added", "actorId": OWNER, "userId": MODERATOR},
        {"action": "message-edited", "actorId": "root", "userId": TOM, **about},
        {"action": "message-deleted", "actorId": MODERATOR, "userId": TOM, **about},
        {"action": "muted", "actorId": MODERATOR, "userId": TOM, "until": mute["until"]},
        {"action": "unmuted", "actorId": MODERATOR, "userId": TOM},
        {"action": "kicked", "actorId": MODERATOR, "userId": TOM},
        {"action": "banned", "actorId": MODERATOR, "userId": TOM},
        {"action": "unbanned", "actorId": MODERATOR, "userId": TOM},
        {"action": "moderator-removed", "actorId": OWNER, "userId": MODERATOR},
        {"action": "left", "actorId": MODERATOR, "userId": MODERATOR, "private": True},
    ]


async def test_what_changed_nothing_and_what_was_refused_is_not_recorded(chat: Chat) -> None:
    """Neither idle commands, nor refused ones, nor what people do to their own messages."""
    await make_den(chat, private=False)
    before = await audit(chat)
    await must(chat, OWNER, "PUT", DEN, {"private": False})
    await must(chat, OWNER, "DELETE", f"{DEN}/bans/{TOM}")
    await must(chat, OWNER, "DELETE", f"{DEN}/moderators/{TOM}")
    await must(chat, STRANGER, "DELETE", f"{DEN}/membership")
    assert (await do(chat, MEMBER, "POST", f"{DEN}/kick", {"userId": TOM})).status == 403
    assert (await do(chat, MODERATOR, "POST", f"{DEN}/kick", {"userId": OWNER})).status == 403
    message = await chat.say("den", "mine", OWNER)
    await must(chat, OWNER, "PATCH", f"{DEN}/messages/{message['id']}", {"message": "still mine"})
    await must(chat, OWNER, "DELETE", f"{DEN}/messages/{message['id']}")
    assert await audit(chat) == before


async def test_audit_pages_back(chat: Chat) -> None:
    """`before` is the id of the last entry of the page before."""
    await make_den(chat, private=False)
    entries = await audit(chat)
    paged: list[dict[str, Any]] = []
    while True:
        before = f"&before={paged[-1]['id']}" if paged else ""
        page = await must(chat, OWNER, "GET", f"{DEN}/audit?limit=3{before}")
        paged += page["entries"]
        if not page["hasMore"]:
            break
    assert paged == entries
    assert (await do(chat, OWNER, "GET", f"{DEN}/audit?before=x")).code == "bad-id"


async def test_readers_of_the_room_do_not_get_the_record(chat: Chat) -> None:
    """Acts are in the log, but not in the room's topic."""
    await make_den(chat, private=False)
    reader = await chat.join("den", MEMBER)
    await must(chat, OWNER, "PUT", f"{DEN}/mutes/{TOM}")
    await chat.say("den", "next", OWNER)
    await reader.message("next")
    assert [type for type in reader.types() if type.startswith("room-") and type != "room-message"] == []
