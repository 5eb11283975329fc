"""What has ended is held by nothing, though the tokens of those who were there last for weeks."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import pytest

from chatrooms.personal.personal import MergedTopic
from chatrooms.replies.reply import Reply
from chatrooms.replies.stream import ReplyStream
from chatrooms.rooms.presence import Member
from chatrooms.rooms.rooms import Room
from chatrooms.streams.channels import Channel
from chatrooms.streams.opening import LogStream
from chatrooms.streams.shared import Outlet
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic
from tests.helpers.asking import begin
from tests.helpers.channel import Subscribed, wanted
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Reader

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]

HELD = (Channel, Outlet, Stream, Topic, MergedTopic, LogStream, ReplyStream, Reply, Member, Room)
TWENTY_DAYS = 20 * 86400


def held(*kinds: type) -> Counter[str]:
    """How many there are of those kinds, whoever holds them."""
    return Counter(kind.__name__ for found in gc.get_objects() for kind in kinds if isinstance(found, kind))


def held_after_all() -> Counter[str]:
    """Of all that should go, when the garbage collector has been round."""
    gc.collect()
    return held(*HELD)


async def opened(chat: Chat, path: str, user: str, **query: object) -> Reader:
    """A stream by a token of twenty days, when its first event is there."""
    headers = {"Authorization": f"Bearer {chat.token(user, ttl=TWENTY_DAYS)}"}
    reader = await Reader.open(chat.port, path, query, headers)
    assert reader.status == 200, reader.first_write
    await reader.next()
    return reader


async def crowd(chat: Chat, number: int) -> list[Reader]:
    """One of each kind of stream, by users and in rooms of their own."""
    user, room = f"user-{number}", f"room-{number}"
    task = (await chat.post("/api/v1/tasks", {"title": "Work"}, user)).data["task_id"]
    token = chat.token(f"{user}-shared", ttl=TWENTY_DAYS)
    asked = [wanted(chat, f"{n}", f"{room}-{n}", f"{user}-shared", token=token) for n in range(3)]
    return [
        await opened(chat, "/events", user, roomId=room, username=user),
        await opened(chat, "/events", user),
        await opened(chat, "/api/sse/messages", user, sessionId=number),
        await opened(chat, f"/api/v1/sse/tasks/{task}/progress", user),
        (await Subscribed.open(chat, asked)).reader,
        (await begin(chat, {"message": "Hi"}, user))[0],
    ]


def assert_empty(chat: Chat) -> None:
    """Of every list in which a stream, or what it reads, could stay."""
    server = chat.server
    hub, pulse, catchup = server.hub, server.hub._pulse, server.hub._catchup
    lists: list[object] = [
        hub.streams, hub._topics, hub._by_user, hub._by_client, hub._sources._by_source, hub._sweep._topics,
        pulse._due, pulse._stalled, *pulse._phases, catchup._queue, catchup._workers, catchup._pages,
        server.rooms._live, server.channels._channels, server.channels._tasks, server.sessions._readers,
        server.personal.inboxes._inboxes, server.personal.inboxes._unsettled, server.order_log._writing,
        server.replies._running, server.replies._jobs, server.replies._generations, server.replies._orders,
        server.replies._elsewhere._tasks, server.replies._queue._waiting, server.running_replies.sent,
        server.room_replies._publishers, server.reply_topics._topics, server.tasks._running,
    ]  # fmt: skip
    assert [found for found in lists if found] == []


@pytest.mark.options(leave_grace=0, heartbeat=20)
async def test_streams_that_have_ended_leave_nothing_behind(chat: Chat) -> None:
    """With all that they read: a megabyte of a room's tail for each, it was, until their tokens ended."""
    before = held_after_all()
    for turn in range(3):
        readers = [reader for number in range(3) for reader in await crowd(chat, number)]
        texts = ["x" * 10_000] * 20
        await asyncio.gather(*(chat.say_all(f"room-{number}", texts, f"writer-{turn}") for number in range(3)))
        for reader in readers:
            reader.close()
        await eventually(lambda: not chat.server.hub.streams and not chat.server.rooms.live())
        await eventually(lambda: not chat.server.replies.running and not chat.server.replies._jobs)
    await eventually(lambda: held_after_all() == before)
    assert_empty(chat)


@pytest.mark.options(heartbeat=0)
async def test_tail_goes_with_its_last_stream(chat: Chat) -> None:
    """At once, and not when the garbage collector comes round."""
    before = held(Stream, Topic)
    reader = await opened(chat, "/events", "ann", roomId="lobby", username="ann")
    personal = await opened(chat, "/events", "ann")
    await chat.say_all("lobby", ["x" * 1000] * 10, "ann")
    gc.disable()
    try:
        reader.close()
        personal.close()
        await eventually(lambda: not chat.server.hub.streams)
        await eventually(lambda: held(Stream, Topic) == before)
    finally:
        gc.enable()
