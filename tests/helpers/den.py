"""A room with rules, and people of every rank in it."""

from __future__ import annotations

from typing import Any

from tests.helpers.chat import Answer, Chat
from tests.helpers.reader import Reader, data

DEN = "/api/rooms/den"
OWNER, MODERATOR, MEMBER, TOM, STRANGER, BANNED = "olga", "max", "mia", "tom", "sue", "ben"
ROLES = {"robot": "service", "root": "admin"}  # of tokens; all others are users


async def do(chat: Chat, user: str, method: str, path: str, body: object = None) -> Answer:
    """A call by one of these people, with the role of its token."""
    return await chat.call(method, path, body, user, role=ROLES.get(user, "user"))


async def must(chat: Chat, user: str, method: str, path: str, body: object = None) -> Any:
    """The data of a call that must go through, or None."""
    answer = await do(chat, user, method, path, body)
    assert answer.status in (200, 201, 204), (method, path, answer)
    return answer.data if answer.body else None


async def invited(chat: Chat, user: str, **invite: object) -> None:
    """Makes somebody a member of the den, by an invite of its owner."""
    made = await must(chat, OWNER, "POST", f"{DEN}/invites", invite)
    await must(chat, user, "POST", "/api/invites/accept", {"invite": made["invite"]})


async def make_den(chat: Chat, private: bool) -> None:
    """Makes the room: its owner, a moderator, two members, a stranger and somebody who is banned."""
    await must(chat, OWNER, "PUT", DEN, {"private": private})
    for user in (MODERATOR, MEMBER, TOM):
        await invited(chat, user)
    await must(chat, OWNER, "PUT", f"{DEN}/moderators/{MODERATOR}")
    await must(chat, OWNER, "PUT", f"{DEN}/bans/{BANNED}")


async def ending(reader: Reader) -> dict[str, Any]:
    """The `closing` with which a stream ends."""
    last = (await reader.rest())[-1]
    assert last.type == "closing"
    return data(last)
