"""Compressed streams (--compress): each event can be read as soon as it is sent, and the body ends as gzip wants."""

from __future__ import annotations

import asyncio
import random
import shutil
import string

import pytest

from chatrooms.sse import Parser
from tests.helpers.asking import begin
from tests.helpers.channel import post_events, wanted
from tests.helpers.chat import Chat, eventually
from tests.helpers.families import FAMILIES, OWNER, Family
from tests.helpers.reader import Reader, data
from tests.helpers.talk import Talk
from tests.integration.replies.test_reply_streams import Paced, paced

__all__ = ["paced"]

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.options(compress=True)]

GZIP = {"Accept-Encoding": "gzip, deflate, br"}
PLAIN = {"Accept-Encoding": "gzip;q=0, *"}
SMALL = 4096  # bytes of SO_RCVBUF

families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name + family.fields.get("form", ""))


def compressed(reader: Reader) -> bool:
    return b"\r\nContent-Encoding: gzip\r\n" in reader.head


async def opened(chat: Chat, user: str, headers: dict[str, str] | None = None) -> Reader:
    """A stream of the lobby that has its first event; compressed unless other headers are given."""
    reader = await chat.read(user=user, headers=GZIP if headers is None else headers)
    assert compressed(reader) is (headers is None)
    await reader.event("system")
    return reader


@families
@pytest.mark.parametrize("by_post", [True, False], ids=["POST", "GET"])
async def test_every_family_is_compressed_and_resumed(chat: Chat, family: Family, by_post: bool) -> None:
    """Each event comes before the next one happens; after a cut all of what was missed follows."""

    async def ask(position: str = "") -> Reader:
        headers = GZIP | ({"Last-Event-ID": position} if position else {})
        if by_post:
            return await post_events(chat, family.wanted(chat, "c"), headers)
        return await chat.stream(family.path, None, headers | {"Authorization": f"Bearer {chat.token(OWNER)}"})

    await family.prepare(chat)
    reader = await ask()
    assert reader.status == 200 and compressed(reader) and b"\r\nVary: Accept-Encoding\r\n" in reader.head
    first = await reader.next()
    for number in (1, 2, 3):
        await family.happen(chat, number)
        await reader.until(lambda event, n=number: family.tells(event, n))  # type: ignore[misc]
    position = reader.last_event_id
    reader.cut()
    await family.happen(chat, 4)
    await family.happen(chat, 5)
    again = await ask(position)
    assert compressed(again) and (await again.next()).type == first.type
    if family.name != "task":
        await again.until(lambda event: family.tells(event, 4))
        await again.until(lambda event: family.tells(event, 5))
        assert not any(family.tells(event, n) for event in again.seen for n in (1, 2, 3))


async def test_compressed_and_plain_readers_of_a_room_get_the_same(chat: Chat) -> None:
    """Whoever asks for gzip gets it, and nobody else; each is told of the others."""
    asked = [None, PLAIN, None, {}, {"Accept-Encoding": "br"}, None]
    readers = [await opened(chat, f"user-{n}", headers) for n, headers in enumerate(asked)]
    for n in range(20):
        await chat.say("lobby", f"m{n}")
        for reader in readers:
            await reader.message(f"m{n}")
    await chat.say_all("lobby", [f"b{n}" for n in range(500)])
    for reader in readers:
        await reader.message("b499")
        assert reader.messages() == [*(f"m{n}" for n in range(20)), *(f"b{n}" for n in range(500))]
    assert readers[0].received < readers[1].received / 3


async def test_stream_that_ends_is_whole_gzip(chat: Chat) -> None:
    """With a trailer, whose checksum and length hold: strict readers take the end for an error without it."""
    reader, plain = await opened(chat, "ann"), await opened(chat, "bob", {})
    await chat.say_all("lobby", [f"m{n}" for n in range(100)])
    for one in (reader, plain):
        await one.message("m99")
    chat.server.hub.broadcast("status", {"degraded": False, "reason": ""})
    await chat.server.stop()
    assert (await reader.rest())[-1].type == "closing" and reader.whole
    assert (await plain.rest())[-1].type == "closing"
    told = [(event.type, event.data) for event in reader.seen if event.type == "room-message"]
    assert told == [(event.type, event.data) for event in plain.seen if event.type == "room-message"]


async def test_reply_is_compressed_piece_by_piece(chat: Chat, paced: Paced) -> None:
    """By POST, and for those that come later by GET, to `[DONE]` and the trailer."""
    headers = {**GZIP, "Authorization": f"Bearer {chat.token('ann')}"}
    reader = await chat.stream("/api/chat/stream", None, headers, {"message": "Hi"})
    assert compressed(reader), reader.first_write
    for word in ("One ", "two ", "three."):
        paced.say(word)
        assert data(await reader.until(lambda event: event.type == "content"))["text"] == word
    paced.say(None)
    talk = Talk(await reader.rest())
    assert talk.done == 1 and reader.whole

    id = reader.head.decode().split("X-Message-Id: ")[1].split("\r\n")[0]
    late = await chat.stream(f"/api/chat/stream/{id}", None, headers)
    assert compressed(late) and Talk(await late.rest()).done == 1 and late.whole


@pytest.mark.options(heartbeat=0.1)
async def test_heartbeats_are_compressed(chat: Chat) -> None:
    """And nothing is lost between them."""
    reader = await opened(chat, "ann")
    for n in range(5):
        await reader.event("heartbeat")
        await chat.say("lobby", f"m{n}")
        await reader.message(f"m{n}")
    await chat.server.stop()
    await reader.rest()
    assert reader.whole


@pytest.mark.options(heartbeat=0.25)
async def test_slow_compressed_reader_loses_nothing(chat: Chat) -> None:
    """Cut in the midst of blocks again and again, while others read on."""
    noise = random.Random(7)
    texts = [f"{n} " + "".join(noise.choices(string.printable[:94], k=900)) for n in range(3000)]
    slow = await chat.stream(
        "/events", {"token": chat.token("slow"), "roomId": "lobby", "username": "slow"}, GZIP, receive_buffer=SMALL
    )
    quick = await opened(chat, "quick")
    await chat.say_all("lobby", texts)
    stream = next(stream for stream in chat.server.hub.streams if stream.user_id == "slow")
    await eventually(lambda: stream.stalled_at > 0 and len(stream._rest) > 0)
    await quick.message(texts[-1])
    while len(slow.posts) < len(texts):
        assert await slow.read(777)
    assert [post["message"] for post in slow.posts] == texts and stream.open
    await chat.say("lobby", "after")
    await slow.collect(lambda r: r.posts[-1]["message"] == "after")


@pytest.mark.options(max_streams=1)
async def test_soft_refusal_is_plain(chat: Chat) -> None:
    """It says so: a reader decodes what its head names."""
    held = await opened(chat, "ann")
    headers = GZIP | {"Last-Event-ID": held.last_event_id}
    reader = await chat.read(user="bob", headers=headers)
    assert not compressed(reader) and b"\r\nVary: Accept-Encoding\r\n" in reader.head
    assert [event.type for event in await reader.rest()] == ["closing"]
    assert (await chat.get("/events?roomId=lobby&username=bob&poll=1", "bob")).status == 503


async def test_shared_connections_and_polls_are_plain(chat: Chat) -> None:
    reader = await post_events(chat, {"subscriptions": [wanted(chat, "a")]}, GZIP)
    assert not compressed(reader) and (await reader.next()).sub == "a"
    token = chat.token("bob")
    poll = await chat.get(f"/events?roomId=lobby&username=bob&poll=1&token={token}", None, headers=GZIP)
    assert poll.status == 200 and poll.data["events"] and "Content-Encoding" not in poll.headers


async def test_gzip_that_ends_satisfies_the_strict(chat: Chat, paced: Paced) -> None:
    """The gzip program itself finds nothing lacking."""
    tool = shutil.which("gzip")
    if tool is None:
        pytest.skip("there is no gzip")
    reader, _ = await begin(chat, {"message": "Hi"})
    plain = asyncio.create_task(reader.rest_of_body())
    assert not compressed(reader)
    paced.say("Hello", None)
    await plain
    headers = {**GZIP, "Authorization": f"Bearer {chat.token('alice')}", "Connection": "close"}
    id = reader.head.decode().split("X-Message-Id: ")[1].split("\r\n")[0]
    answer = await chat.get(f"/api/chat/stream/{id}", None, headers=headers)
    process = await asyncio.create_subprocess_exec(
        tool, "-dc", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, complaint = await process.communicate(answer.body)
    assert (process.returncode, complaint) == (0, b"")
    assert Parser().feed(out)[-1].data == "[DONE]"
