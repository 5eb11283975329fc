"""Slow mode: one message of a user in so many seconds."""

from __future__ import annotations

import asyncio

import pytest

from tests.helpers.chat import Answer, Chat, gather
from tests.helpers.den import DEN, MEMBER, MODERATOR, OWNER, TOM, do, make_den, must

pytestmark = pytest.mark.gen_test(timeout=30)


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


async def test_slow_mode_counts_what_the_assistant_is_asked_to_say(chat: Chat) -> None:
    """A reply asked for outside the room is a message in it; so is another one to the same question."""
    await make_den(chat, private=False)
    await must(chat, OWNER, "PUT", DEN, {"slowMode": 60})
    ask = {"message": "Say this", "roomId": "den"}
    first = await do(chat, TOM, "POST", "/api/chat/stream", ask)
    assert first.status == 200
    again = f"/api/chat/stream/{first.headers['X-Message-Id']}/regenerate"
    for path, body in (("/api/chat/stream", ask), (again, {}), (f"{DEN}/messages", {"message": "x"})):
        answer = await do(chat, TOM, "POST", path, body)
        assert (answer.status, answer.code) == (429, "slow-mode"), path
    await chat.say("den", "one", MEMBER)
    assert (await do(chat, MEMBER, "POST", "/api/chat/stream", ask)).code == "slow-mode"
    for _ in range(2):
        assert (await do(chat, MODERATOR, "POST", "/api/chat/stream", ask)).status == 200
    assert (await do(chat, TOM, "POST", "/api/chat/stream", {"message": "alone"})).status == 200


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
