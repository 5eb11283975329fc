"""AI replies in rooms: asked by @ai, told to everybody, stopped by those who may."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from chatrooms.sse import ServerEvent
from tests.helpers.asking import begin
from tests.helpers.chat import Chat
from tests.helpers.reader import Reader, data
from tests.helpers.talk import Talk

pytestmark = pytest.mark.gen_test(timeout=30)


def chunks(events: Sequence[ServerEvent]) -> list[dict[str, Any]]:
    return [data(event) for event in events if event.type == "bot-chunk"]


def text_of(events: Sequence[ServerEvent]) -> str:
    """What a page shows: chunks appended, a reset instead of all before."""
    text = ""
    for chunk in chunks(events):
        text = chunk["chunk"] if chunk.get("reset") else text + chunk["chunk"]
    return text


async def final(reader: Reader) -> dict[str, Any]:
    """The durable message of a reply."""
    return data(await reader.until(lambda event: '"isFromBot":true' in event.data))


@pytest.mark.options(ai_delay=0.002)
async def test_reply_is_told_to_everybody_and_then_durable(chat: Chat) -> None:
    """Merged to at most 25 chunks a second, in order; one last one; then one message with the same text."""
    alice, bob = await chat.join(user="alice"), await chat.join(user="bob")
    before = time.monotonic()
    await chat.say("lobby", "@ai hello")
    message = await final(bob)
    took = time.monotonic() - before
    told = chunks(bob.seen)
    assert len(told) <= 25 * took + 2
    assert [chunk["isFinal"] for chunk in told] == [False] * (len(told) - 1) + [True]
    assert [chunk["index"] for chunk in told] == sorted({chunk["index"] for chunk in told})
    question = next(data(event)["id"] for event in bob.seen if event.type == "room-message")
    assert {event.last_event_id for event in bob.seen if event.type == "bot-chunk"} == {question}  # none of their own
    assert text_of(bob.seen) == message["message"] and "“hello”" in message["message"]
    assert {chunk["messageId"] for chunk in told} == {message["messageId"]}
    assert message["userId"] == "assistant" and "state" not in message
    assert (await final(alice)) == message
    reply = await chat.get(f"/api/chat/stream/{message['messageId']}", user="bob")
    assert Talk.of(reply.body).text == message["message"]


@pytest.mark.parametrize("text", ["@aid me", "say @ai", "ai hello"])
async def test_only_what_begins_with_the_name_is_answered(chat: Chat, text: str) -> None:
    reader = await chat.join()
    await chat.say("lobby", text)
    await chat.say("lobby", "@ai: help")
    message = await final(reader)
    assert "“help”" in message["message"]
    assert len({chunk["messageId"] for chunk in chunks(reader.seen)}) == 1


async def test_a_repeated_post_is_answered_once(chat: Chat) -> None:
    reader = await chat.join()
    for _ in range(3):
        await chat.say("lobby", "@ai hello", clientMessageId="1")
    await chat.say("lobby", "@ai bye")
    await final(reader)
    await final(reader)
    assert len({chunk["messageId"] for chunk in chunks(reader.seen)}) == 2


@pytest.mark.options(reply_rate=1)
async def test_a_question_over_a_limit_is_told_so(chat: Chat) -> None:
    reader = await chat.join()
    await chat.say("lobby", "@ai hello")
    await final(reader)
    await chat.say("lobby", "@ai again")
    told = data(await reader.until(lambda event: event.type == "bot-chunk" and data(event).get("state") == "error"))
    assert told["isFinal"] and "Too many" in told["chunk"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("who is here?", "In lobby right now: alice, bob"),
        ("what was said about lunch?", "About “lunch” I found 1 message:\n\n- bob, "),
        ("what was said about dinner?", "I found nothing about “dinner” in the last 2 messages."),
        ("recap please", "In the last hour: 2 messages by 1 person, mostly bob (2)."),
    ],
)
async def test_offline_knows_the_room(chat: Chat, question: str, answer: str) -> None:
    reader = await chat.join(user="alice")
    await chat.join(user="bob")
    await chat.say("lobby", "Lunch at noon?", user="bob")
    await chat.say("lobby", "Or later", user="bob")
    await chat.say("lobby", f"@ai {question}")
    assert answer in (await final(reader))["message"]


@pytest.mark.options(ai_delay=0.05)
async def test_who_comes_later_gets_the_text_so_far(chat: Chat) -> None:
    """One chunk with `reset`, and the index of the last piece in it; what follows joins it without a gap."""
    first = await chat.join(user="alice")
    await chat.say("lobby", "@ai hello")
    await first.until(lambda event: event.type == "bot-chunk" and data(event)["index"] >= 5)
    late = await chat.join(user="bob")
    message = await final(late)
    told = chunks(late.seen)
    assert told[0]["reset"] is True and told[0]["index"] >= 5 and not any("reset" in chunk for chunk in told[1:])
    assert [chunk["index"] for chunk in told] == sorted({chunk["index"] for chunk in told})
    assert text_of(late.seen) == message["message"]


@pytest.mark.options(ai_delay=0.05)
async def test_stop_is_for_who_asked_and_moderators_and_everybody_sees_who(chat: Chat) -> None:
    reader = await chat.join(user="bob")
    await chat.say("lobby", "@ai hello")
    first = await reader.event("bot-chunk")
    path = f"/api/chat/stream/{first['messageId']}"
    refused = await chat.call("DELETE", path, user="bob")
    assert (refused.status, refused.code) == (403, "not-author")
    assert (await chat.call("DELETE", path, user="boss", role="admin")).status == 204
    message = await final(reader)
    last = chunks(reader.seen)[-1]
    assert (last["isFinal"], last["state"], last["by"]) == (True, "stopped", "boss")
    assert (message["state"], message["stoppedBy"]) == ("stopped", "boss")
    assert message["message"] == text_of(reader.seen)


async def test_owner_of_a_room_moderates_its_replies(chat: Chat) -> None:
    assert (await chat.call("PUT", "/api/rooms/den", {}, user="olga")).status == 201
    reader = await chat.join("den", user="bob")
    body = {"message": "hello", "roomId": "den"}
    asking, reply = await begin(chat, body, user="bob")
    assert (await chat.call("DELETE", f"/api/chat/stream/{reply}", user="olga")).status == 204
    assert (await final(reader))["stoppedBy"] == "olga"
    await asking.rest()
    assert Talk(asking.seen).said == [{"type": "stopped", "by": "olga"}]


async def test_ask_and_regenerate_in_a_room_by_call(chat: Chat) -> None:
    """POST /api/chat/stream with roomId streams to the caller and to the room."""
    reader = await chat.join(user="bob")
    answer = await chat.post("/api/chat/stream", {"message": "hello", "roomId": "lobby"})
    message = await final(reader)
    assert Talk.of(answer.body).text == message["message"]
    path = f"/api/chat/stream/{message['messageId']}/regenerate"
    assert (await chat.post(path, user="bob")).status == 403
    again = await chat.post(path)
    assert (await final(reader))["messageId"] == again.headers["X-Message-Id"]


async def test_regenerate_answers_the_question_as_it_is_now(chat: Chat) -> None:
    reader = await chat.join()
    question = await chat.say("lobby", "@ai helo")
    message = await final(reader)
    await chat.call("PATCH", f"/api/rooms/lobby/messages/{question['id']}", {"message": "@ai hello"})
    assert (await chat.post(f"/api/chat/stream/{message['messageId']}/regenerate")).status == 200
    assert "“hello”" in (await final(reader))["message"]
    await chat.call("DELETE", f"/api/rooms/lobby/messages/{question['id']}")
    assert (await chat.post(f"/api/chat/stream/{message['messageId']}/regenerate")).status == 404


async def test_what_is_deleted_in_the_room_is_gone_from_the_reply(chat: Chat) -> None:
    reader = await chat.join()
    await chat.say("lobby", "@ai hello")
    message = await final(reader)
    deleted = await chat.call("DELETE", f"/api/rooms/lobby/messages/{message['id']}", user="boss", role="admin")
    assert deleted.status == 204
    assert Talk.of((await chat.get(f"/api/chat/stream/{message['messageId']}")).body).text == ""
    rows = await chat.server.database.fetch("select text, prompt from replies")
    assert rows == [("", "")]


async def test_replies_of_a_private_room_are_its_members(chat: Chat) -> None:
    assert (await chat.call("PUT", "/api/rooms/den", {"private": True}, user="olga")).status == 201
    answer = await chat.post("/api/chat/stream", {"message": "hello", "roomId": "den"}, user="olga")
    path = f"/api/chat/stream/{answer.headers['X-Message-Id']}"
    assert (await chat.get(path, user="bob")).status == 403
    assert (await chat.post("/api/chat/stream", {"message": "hello", "roomId": "den"}, user="bob")).status == 403


@pytest.mark.options(ai_delay=0.2)
async def test_server_that_stops_keeps_what_there_is(chat: Chat) -> None:
    reader = await chat.join()
    await chat.say("lobby", "@ai hello")
    told = await reader.event("bot-chunk")
    await chat.server.replies.close()
    message = await final(reader)
    assert message["state"] == "interrupted" and json.dumps(told["chunk"])[1:-1] in message["message"]
