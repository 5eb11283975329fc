"""Streams in odd moments: silent ones, those of many replies at the end, and what comes after it."""

from __future__ import annotations

import asyncio

import pytest

from chatrooms.ai.base import Prompt
from chatrooms.errors import Unavailable
from tests.helpers.asking import begin
from tests.helpers.channel import post_events
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import data
from tests.helpers.talk import Talk
from tests.integration.replies.test_reply_nodes import begun
from tests.integration.replies.test_reply_streams import Paced, paced, wanted

__all__ = ["paced"]

pytestmark = pytest.mark.gen_test(timeout=30)


@pytest.mark.options(heartbeat=0)
async def test_connection_answers_though_its_stream_is_silent(chat: Chat, paced: Paced) -> None:
    """Who reads a reply that has not begun needs the connection's id, to add others to it."""
    asking, reply = await begin(chat, {"message": "Hi"})
    reader = await asyncio.wait_for(post_events(chat, {"subscriptions": [wanted(chat, reply, key="c")]}), 5)
    assert reader.status == 200 and b"X-Stream-Id" in reader.head
    paced.say("Hello", None)
    assert data(await reader.until(lambda event: event.type == "content"))["text"] == "Hello"
    await asking.rest()


async def test_every_reader_is_told_that_its_reply_was_interrupted(chat: Chat, paced: Paced) -> None:
    """However many replies a stop interrupts."""
    readers = [(await begin(chat, {"message": "Hi"}, f"user-{n}"))[0] for n in range(40)]
    talks = [asyncio.create_task(reader.rest()) for reader in readers]
    await chat.server.stop()
    told = [Talk(await talk) for talk in talks]
    assert [part["code"] for talk in told for part in talk.said] == ["interrupted"] * 40
    assert {talk.done for talk in told} == {1}


async def test_reply_that_begins_while_the_server_stops_is_interrupted(chat: Chat, paced: Paced) -> None:
    """Its row was on its way when the others were ended: nobody would wait for it, nor end it."""
    who = chat.server.tokens.verify(chat.token("alice"))
    replies = chat.server.replies
    reply, _ = await asyncio.gather(replies.start(who, "Alice", Prompt("Hi"), None), replies.close())
    await eventually(lambda: reply.ending is not None)
    assert reply.state == "interrupted" and not replies.running


async def test_who_has_seen_the_end_of_a_reply_is_told_nothing_of_it_again(chat: Chat) -> None:
    """Also where the row is behind the node that writes it."""
    await begun(chat, "r1", 60)
    assert (await chat.get("/api/chat/stream/r1?after=999999999")).status == 204


async def test_no_stream_opens_after_a_stop_without_a_drain(chat: Chat) -> None:
    """One that was on its way finds that the server has stopped; so does a new request."""
    await chat.server.stop()
    with pytest.raises(Unavailable):
        chat.server.hub.check_draining()
    assert (await chat.get("/api/rooms/lobby/messages")).code == "draining"


async def test_stream_that_outlives_its_token_is_not_cut_short_by_a_new_one(chat: Chat, paced: Paced) -> None:
    """A useChat page does not come back: its stream goes on when the same client's token is renewed."""
    asking, reply = await begin(chat, {"message": "Hi"})
    room = await chat.join(user="alice", clientId="tab")
    query = {"token": chat.token("alice"), "format": "ui-message-stream", "clientId": "tab"}
    page = await chat.stream(f"/api/chat/stream/{reply}", query)
    short = {"Authorization": f"Bearer {chat.token('alice', ttl=1)}"}
    assert (await chat.call("POST", "/api/auth/extend", {"clientId": "tab"}, None, headers=short)).status == 200
    await room.rest()
    paced.say("lo", None)
    assert '"delta":"lo"' in str(await page.rest())
    await asking.rest()


async def test_no_stream_is_compressed_without_the_option(chat: Chat) -> None:
    reader = await chat.read(headers={"Accept-Encoding": "gzip"})
    assert b"Content-Encoding" not in reader.head and b"Vary" not in reader.head
    await reader.event("system")
