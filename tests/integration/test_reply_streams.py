"""A reply's stream is that of a topic: shared, bounded in memory, read from the reply where the tail has no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from chatrooms.ai.base import Prompt
from chatrooms.replies.store import extend_replies
from tests.helpers.asking import begin, resume
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Reader
from tests.helpers.talk import Talk
from tests.integration.test_reply_nodes import begun, finished

pytestmark = pytest.mark.gen_test(timeout=60)


class Paced:
    """A provider that says what it is given, and ends at None."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()

    async def reply(self, prompt: Prompt) -> AsyncIterator[str]:
        while (piece := await self.pieces.get()) is not None:
            yield piece

    async def close(self) -> None:
        pass

    def say(self, *pieces: str | None) -> None:
        for piece in pieces:
            self.pieces.put_nowait(piece)


@pytest.fixture
def paced(chat: Chat) -> Paced:
    provider = chat.server.replies._provider = Paced()
    return provider


def topics(chat: Chat) -> list[str]:
    return [name for name in chat.server.hub.counts() if name.startswith("reply:")]


async def test_reply_that_nobody_reads_costs_no_topic(chat: Chat, paced: Paced) -> None:
    """One topic for each form that is read; none when its readers are gone."""
    reader, reply = await begin(chat, {"message": "Hi"})
    assert len(topics(chat)) == 1
    other = await resume(chat, reply)
    as_page = await chat.stream(
        f"/api/chat/stream/{reply}", {"token": chat.token("alice"), "format": "ui-message-stream"}
    )
    await as_page.next()
    assert len(topics(chat)) == 2
    for each in (reader, other, as_page):
        each.close()
    await eventually(lambda: not topics(chat))
    paced.say("Hel", "lo", None)
    await eventually(lambda: not chat.server.replies.running)
    assert Talk.of((await chat.get(f"/api/chat/stream/{reply}")).body).text == "Hello"
    assert topics(chat) == []


@pytest.mark.options(max_reply_bytes=4 << 20)
async def test_long_reply_is_whole_for_early_late_and_slow_readers(chat: Chat, paced: Paced) -> None:
    """Far more chunks than a tail holds; each index once, and the end once, for everybody."""
    pieces = [f"{n:05}" + "x" * 60 for n in range(8_000)]
    early, reply = await begin(chat, {"message": "Hi"})
    head = f"GET /api/chat/stream/{reply}?token={chat.token('alice')} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    slow = await Reader.send(chat.port, head.encode(), receive_buffer=4096)
    reading = asyncio.create_task(early.rest())
    for start in range(0, len(pieces), 500):
        paced.say(*pieces[start : start + 500])
        await eventually(lambda: paced.pieces.empty())
    (topic,) = [s.topic for s in chat.server.hub.streams][:1]
    await eventually(lambda: any(stream.stalled_at for stream in chat.server.hub.streams))
    assert topic.size < 8 << 20 and topic.floor > 0
    late = asyncio.create_task(chat.get(f"/api/chat/stream/{reply}"))
    resumed = asyncio.create_task((await resume(chat, reply, "3999")).rest())
    paced.say("the end", None)
    whole = "".join(pieces) + "the end"
    for events in (await reading, await slow.rest()):
        talk = Talk(events)
        assert talk.text == whole and talk.whole()
    assert Talk.of((await late).body).text == whole
    rest = Talk(await resumed)
    assert rest.indexes == list(range(4_000, len(pieces) + 1)) and rest.done == 1
    assert Talk.of((await chat.get(f"/api/chat/stream/{reply}")).body).text == whole


@pytest.mark.every_engine
async def test_reader_ahead_of_the_row_gets_no_chunk_twice(chat: Chat) -> None:
    """It has read at the node that writes the reply, whose row comes after."""
    row = await begun(chat, "r1", 60)
    ahead, beyond, other = await resume(chat, "r1", "2"), await resume(chat, "r1", "99"), await resume(chat, "r1", "0")
    async with chat.server.database.transaction() as tx:
        await extend_replies(tx, [(" the", "2,2,", "r1")])
    assert (await ahead.next()).data == (await other.until(lambda event: '"index":3' in event.data)).data
    await finished(chat, row._replace(text="Hel😀lo there!", lengths="4,2,2,2,4,"))
    assert Talk(await ahead.rest()).done == 1
    assert Talk(await other.rest()).done == 1
    assert [event.data for event in await beyond.rest()] == ["[DONE]"]


async def test_who_is_banned_meanwhile_reads_no_more_of_a_reply_in_the_room(chat: Chat, paced: Paced) -> None:
    """One error that says so, and the end; others go on."""
    assert (await chat.call("PUT", "/api/rooms/den", {}, user="olga")).status == 201
    asking, reply = await begin(chat, {"message": "Hi", "roomId": "den"}, "olga")
    tom = await resume(chat, reply, user="tom")
    paced.say("Hel")
    await tom.event("content")
    assert (await chat.call("PUT", "/api/rooms/den/bans/tom", user="olga")).status == 200
    talk = Talk(await tom.rest())
    assert [part["code"] for part in talk.said] == ["banned"] and talk.done == 1
    paced.say("lo", None)
    assert Talk(await asking.rest()).text == "Hello"


async def test_text_that_was_erased_is_not_read_again(chat: Chat, paced: Paced) -> None:
    """Though a slow reader still holds what the reply said."""
    reader, reply = await begin(chat, {"message": "Hi", "roomId": "lobby"})
    paced.say("secret " * 10, *["x" * 9000] * 60, None)
    await reader.rest()
    head = f"GET /api/chat/stream/{reply}?token={chat.token('alice')} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    slow = await Reader.send(chat.port, head.encode(), receive_buffer=4096)
    await eventually(lambda: any(stream.stalled_at for stream in chat.server.hub.streams))
    message = (await chat.get("/api/rooms/lobby/messages")).data["messages"][-1]
    path = f"/api/rooms/lobby/messages/{message['id']}"
    assert (await chat.call("DELETE", path, user="boss", role="admin")).status == 204
    talk = Talk.of((await chat.get(f"/api/chat/stream/{reply}")).body)
    assert (talk.text, talk.done) == ("", 1)
    assert Talk(await slow.rest()).done == 1


@pytest.mark.options(drain=0.5)
async def test_drain_lets_a_reply_come_to_its_end(chat: Chat, paced: Paced) -> None:
    """Its readers are not sent elsewhere in the middle; what is left at the stop is interrupted."""
    reader, _ = await begin(chat, {"message": "Hi"})
    other, _ = await begin(chat, {"message": "Hi"}, "bob")
    await chat.server.drain()
    paced.say("Hello", None)
    talks = [asyncio.create_task(each.rest()) for each in (reader, other)]
    await eventually(lambda: chat.server.replies.running == 1)
    await chat.server.stop()
    first, second = sorted([Talk(await talk) for talk in talks], key=lambda talk: len(talk.said))
    assert first.text == "Hello" and first.whole() and first.said == []
    assert [part["code"] for part in second.said] == ["interrupted"] and second.done == 1
