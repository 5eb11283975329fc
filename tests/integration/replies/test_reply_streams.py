"""A reply's stream is that of a topic: shared, bounded in memory, read from the reply where the tail has no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from chatrooms.ai.base import Prompt
from chatrooms.replies.store import extend_replies
from chatrooms.replies.stream import KEPT
from chatrooms.sse import ServerEvent
from tests.helpers.asking import begin, resume
from tests.helpers.channel import post_events
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Reader, data
from tests.helpers.talk import Talk
from tests.integration.replies.test_reply_nodes import begun, finished

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
    assert topic.size < 2 * KEPT * 1000 and topic.floor > 0
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


def wanted(chat: Chat, reply: str, user: str = "alice", **more: object) -> dict[str, object]:
    """A reply's stream, as a body asks for it."""
    return {"stream": "reply", "messageId": reply, "token": chat.token(user), **more}


@pytest.mark.options(drain=30)
async def test_drain_ends_a_connection_of_replies_when_they_have_finished(chat: Chat, paced: Paced) -> None:
    """As any other: with `closing` and a time to come back, once its last reply is over."""
    asking, reply = await begin(chat, {"message": "Hi"})
    reader = await post_events(chat, {"subscriptions": [wanted(chat, reply, key="c")]})
    await eventually(lambda: len(chat.server.hub.streams) == 2)
    draining = asyncio.create_task(chat.server.drain())
    paced.say("Hello")
    await reader.until(lambda event: event.type == "content")
    paced.say(None)
    *_, over, last = await reader.rest()
    assert (over.sub, data(over)["reason"]) == ("c", "ended")
    assert (last.type, last.sub, data(last)) == ("closing", "", {"reason": "draining", "reconnect": True})
    assert reader.retry
    assert Talk(await asking.rest()).text == "Hello"
    await draining


@pytest.mark.options(drain=0.3)
async def test_connection_of_an_endless_reply_is_closed_after_the_drain(chat: Chat, paced: Paced) -> None:
    asking, reply = await begin(chat, {"message": "Hi"})
    reader = await post_events(chat, {"subscriptions": [wanted(chat, reply, key="c")]})
    await eventually(lambda: len(chat.server.hub.streams) == 2)
    await chat.server.drain()
    assert chat.server.channels.count == 1
    await chat.server.stop()
    last = (await reader.rest())[-1]
    assert (last.type, last.sub, data(last)) == ("closing", "", {"reason": "draining", "reconnect": True})
    assert Talk(await asking.rest()).done == 1


async def test_reply_shares_a_connection(chat: Chat, paced: Paced) -> None:
    """In both forms, each block with its `sub:`; when it is over its subscription is, and the connection goes on."""
    asking, reply = await begin(chat, {"message": "Hi"})
    asked = [
        wanted(chat, reply, key="c"), wanted(chat, reply, key="u", form="ui"), wanted(chat, reply, "eve", key="eve"),
        wanted(chat, reply, key="x", form="html"), wanted(chat, "none", key="none"),
    ]  # fmt: skip
    reader = await post_events(chat, {"subscriptions": asked})
    refused = [data(await reader.until(lambda event: event.type == "refused")) for _ in range(3)]
    codes = {"eve": (404, "not-found"), "x": (400, "bad-field"), "none": (404, "not-found")}
    assert {told["key"]: (told["status"], told["code"]) for told in refused} == codes
    paced.say("Hel", "lo", None)
    ended = {"reason": "ended", "reconnect": False}
    closed = [await reader.until(closing) for _ in range(2)]
    assert {event.sub for event in closed} == {"c", "u"}
    content = [event for event in reader.seen if event.sub == "c"]
    assert Talk(content[:-1]).text == "Hello" and Talk(content[:-1]).whole()
    assert data(content[-1]) == {"type": "closing", **ended}
    page = [event.data for event in reader.seen if event.sub == "u"]
    assert [json.loads(told)["type"] for told in page[:-2]] == [
        "start", "text-start", "text-delta", "text-delta", "text-end", "finish",
    ]  # fmt: skip
    assert page[-2] == "[DONE]" and json.loads(page[-1]) == {"type": "data-closing", "data": ended, "transient": True}
    assert all(event.sub for event in reader.seen)
    body = wanted(chat, reply, key="c", lastEventId="0")
    stream_id = reader.head.partition(b"X-Stream-Id: ")[2].partition(b"\r\n")[0].decode()
    assert (await chat.post(f"/api/streams/{stream_id}/subscriptions", body, None)).status == 202
    again = [await reader.next() for _ in range(3)]
    assert [event.data for event in again[:2]] == [content[1].data, "[DONE]"] and closing(again[2])
    await asking.rest()


async def test_reply_is_polled(chat: Chat, paced: Paced) -> None:
    """What there is, in order, as JSON; nothing follows its end."""
    asking, reply = await begin(chat, {"message": "Hi"})
    path = f"/api/chat/stream/{reply}?poll=1"
    empty = {"events": [], "more": False, "lastEventId": "-1", "recovered": True}
    assert (await chat.get(path)).data == empty
    paced.say(*[f"{n} " for n in range(250)])
    await asking.until(lambda event: '"index":249' in event.data)
    first = (await chat.get(path)).data
    assert first["more"] and first["events"][0]["data"]["text"] == "0 "
    second = (await chat.get(f"{path}&after={first['lastEventId']}")).data
    assert [event["id"] for event in first["events"] + second["events"]] == [f"{n}" for n in range(250)]
    assert {event["event"] for event in second["events"]} == {"content"} and not second["more"]
    assert (await chat.call("DELETE", f"/api/chat/stream/{reply}")).status == 204
    last = (await chat.get(f"{path}&lastEventId={second['lastEventId']}")).data
    told = [(event["event"], event["data"]) for event in last["events"]]
    assert told == [("message", {"type": "stopped", "by": "alice"}), ("message", "[DONE]")]
    assert (await chat.get(f"{path}&after={last['lastEventId']}")).status == 204
    assert (await chat.get(path, user="eve")).status == 404
    assert (await chat.get(f"{path}&format=ui-message-stream")).code == "bad-field"


@pytest.mark.options(max_streams=1)
async def test_reader_that_comes_back_is_refused_softly(chat: Chat, paced: Paced) -> None:
    """With the index that it has, and a time to wait; any other reader by status. No reply begins that is refused."""
    held = await chat.join(user="other")
    assert (await chat.post("/api/chat/stream", {"message": "Hi"})).code == "full"
    assert await chat.server.database.fetch("select id from replies") == []
    held.close()
    await eventually(lambda: not chat.server.hub.streams)
    asking, reply = await begin(chat, {"message": "Hi"})
    paced.say("Hel")
    await asking.next()
    assert (await chat.get(f"/api/chat/stream/{reply}")).code == "full"
    refused = await resume(chat, reply, "0")
    (told,) = await refused.rest()
    assert (told.type, data(told)) == ("closing", {"type": "closing", "reason": "full", "reconnect": True})
    assert told.last_event_id == "0" and (refused.retry or 0) >= 5000
    paced.say(None)


async def test_reader_is_replaced_by_the_next_of_its_client(chat: Chat, paced: Paced) -> None:
    """Told of it by an error and the end; without a clientId nobody is."""
    asking, reply = await begin(chat, {"message": "Hi"})
    query = {"token": chat.token("alice"), "clientId": "tab"}
    one = await chat.stream(f"/api/chat/stream/{reply}", query)
    two = await chat.stream(f"/api/chat/stream/{reply}", query)
    talk = Talk(await one.rest())
    assert [part["code"] for part in talk.said] == ["replaced"] and talk.done == 1
    paced.say("Hello", None)
    assert Talk(await two.rest()).text == Talk(await asking.rest()).text == "Hello"


async def test_stream_of_a_reply_ends_with_its_token(chat: Chat, paced: Paced) -> None:
    """Its reader comes back with a new one: no `[DONE]`, for the reply goes on. A useChat page would not."""
    asking, reply = await begin(chat, {"message": "Hi"})
    query = {"token": chat.token("alice", ttl=1), "format": "ui-message-stream"}
    page = await chat.stream(f"/api/chat/stream/{reply}", query)
    short = await chat.stream(f"/api/chat/stream/{reply}", {"token": chat.token("alice", ttl=1)})
    paced.say("Hel")
    events = await short.rest()
    assert data(events[-1]) == {"type": "closing", "reason": "token-expired", "reconnect": True}
    assert [event.type for event in events] == ["content", "closing"]
    rest = await resume(chat, reply, short.last_event_id)
    paced.say("lo", None)
    assert Talk(await rest.rest()).text == "lo"
    assert '"delta":"lo"' in str(await page.rest())
    await asking.rest()


def closing(event: ServerEvent) -> bool:
    return event.type == "closing" or "data-closing" in event.data
