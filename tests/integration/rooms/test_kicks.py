"""Kicks: out of a room at once, whatever the user is doing."""

from __future__ import annotations

import asyncio

import pytest

from tests.helpers.channel import Subscribed, wanted
from tests.helpers.chat import Chat
from tests.helpers.den import DEN, MEMBER, MODERATOR, OWNER, TOM, do, ending, invited, make_den, must

# Keeps the connection that reads busy for a good second.
COUNT_LONG = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 6000000) select max(i) from n"

pytestmark = pytest.mark.gen_test(timeout=30)


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


@pytest.mark.parametrize("way", ["kick", "ban"])
async def test_agent_that_reads_sessions_can_be_put_out(chat: Chat, way: str) -> None:
    """An agent reads all sessions, but is not above the rules of rooms: it loses the room's stream alone."""
    await make_den(chat, private=False)
    token = chat.token("agent", role="agent")
    sessions = await chat.stream("/api/sse/messages", {"token": token})
    alone = await chat.join("den", "agent", token=token)
    many = await Subscribed.open(chat, [wanted(chat, "a", "den", "agent", token=token)])
    if way == "kick":
        await must(chat, MODERATOR, "POST", f"{DEN}/kick", {"userId": "agent"})
    else:
        await must(chat, MODERATOR, "PUT", f"{DEN}/bans/agent")
    assert (await ending(alone))["reason"] == (await many.event("a", "closing"))["reason"]
    assert chat.server.hub.readers("room:den") == []
    await chat.post("/api/messages", {"sessionId": "1", "content": "still there"}, "agent", role="agent")
    await sessions.until(lambda event: "still there" in event.data)


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
