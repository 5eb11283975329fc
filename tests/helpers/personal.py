"""Personal streams, and what is in them."""

from __future__ import annotations

from tests.helpers.chat import Chat
from tests.helpers.reader import Reader


async def mine(
    chat: Chat, user: str = "alice", position: str = "", unnamed: bool = False, ttl: float = 900,
    token: str = "", ok: bool = True,
) -> Reader:  # fmt: skip
    """Opens a user's personal stream, at a position if one is given; `unnamed` in that form."""
    token = token or chat.token(user, ttl=ttl)
    query = {"access_token": token} if unnamed else {}
    headers = {} if unnamed else {"Authorization": f"Bearer {token}"}
    if position:
        headers["Last-Event-ID"] = position
    reader = await chat.stream("/events", query, headers)
    assert reader.status == 200 or not ok, reader.first_write
    return reader


async def joined_rooms(chat: Chat, user: str) -> list[str]:
    """The rooms that a user's personal stream begins with."""
    page = await chat.get("/events?poll=1", user)
    return [room["roomId"] for room in page.data["events"][0]["data"]["rooms"]]
