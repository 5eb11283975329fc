"""A fault in one listener or stream is its own: all others get what is theirs, once and in order."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from benchmarks.postgres import Postgres
from chatrooms.log.event import CONTROL, Event
from chatrooms.personal import personal as inboxes
from chatrooms.streams import catchup
from chatrooms.streams.stream import Stream
from tests.helpers.chat import Chat, eventually
from tests.helpers.personal import mine
from tests.helpers.reader import Ended, Reader
from tests.integration.cluster.test_nodes import started, take
from tests.integration.replies.test_room_replies import final
from tests.integration.sessions.test_sessions import connected, must

pytestmark = pytest.mark.gen_test(timeout=60)

TEXTS = [f"{n}" for n in range(20)]


def fail(*_: Any) -> None:
    raise ValueError("what somebody wrote")


class Broken:
    """A sink that takes nothing: every send fails with a fault of the program."""

    def send(self, data: bytes, /) -> int:
        fail()
        return len(data)


# How it is logged: without its text.
FAULT = f"ValueError at test_listeners.py:{fail.__code__.co_firstlineno + 1}"


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The errors that were logged, which are no fault of the test."""
    lines = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    caplog.clear()
    return lines


class Deaf:
    """A listener that fails at each event, between two that do not."""

    def __init__(self, chat: Chat, topic: str) -> None:
        self.heard: tuple[list[Event], list[Event]] = ([], [])
        for listener in (self.heard[0].append, fail, self.heard[1].append):
            chat.server.hub.listen(topic, listener)

    @property
    def seqs(self) -> list[int]:
        assert self.heard[0] == self.heard[1]
        return [event.seq for event in self.heard[0]]


@pytest.mark.every_engine
async def test_fault_in_a_listener_is_its_own(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """Posts are answered and there once; the other listeners and the streams get them once, in order."""
    deaf = Deaf(chat, "room:lobby")
    reader = await chat.join()
    posted = await asyncio.gather(*(chat.say("lobby", text) for text in TEXTS))
    await take(reader, len(TEXTS))
    history = (await chat.get("/api/rooms/lobby/messages?limit=200")).data["messages"]
    assert sorted(reader.messages()) == sorted(TEXTS)
    assert [message["message"] for message in history] == reader.messages()
    assert {message["id"] for message in posted} == {message["id"] for message in history}
    assert deaf.seqs == sorted(set(deaf.seqs)) and len(deaf.seqs) == len(TEXTS)
    lines = faults(caplog)
    assert set(lines) == {f"fail failed: {FAULT}"} and len(lines) == len(TEXTS)


async def test_fault_in_a_listener_of_another_node_loses_nothing(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a node takes of others it takes whole, orders included."""
    async with started(2, database_url=postgres_url) as (one, two):
        deaf, orders = Deaf(two, "room:lobby"), Deaf(two, CONTROL)
        reader = await two.join()
        await asyncio.gather(*(one.say("lobby", text) for text in TEXTS))
        assert (await one.call("PUT", "/api/rooms/den", {"private": True})).status == 201
        await take(reader, len(TEXTS))
        await eventually(lambda: len(deaf.seqs) == len(TEXTS) and len(orders.seqs) >= 2)
        assert sorted(reader.messages()) == sorted(TEXTS)
        assert deaf.seqs == sorted(set(deaf.seqs)) and orders.seqs == sorted(set(orders.seqs))
    assert faults(caplog)


async def test_fault_in_a_stream_ends_no_other(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """It ends, and its reader goes on from where it was; the sweep serves all others, then and later."""
    readers = [await chat.join(user=name) for name in ("ann", "ben", "cid")]
    await chat.say("lobby", "first")
    for reader in readers:
        await reader.message("first")
    for stream in chat.server.hub.streams_of("ann"):
        stream.sink = Broken()
    for text in TEXTS:
        await chat.say("lobby", text)
    for reader in readers[1:]:
        await take(reader, 1 + len(TEXTS))
        assert reader.messages() == ["first", *TEXTS]
    with pytest.raises((Ended, ConnectionResetError)):
        await readers[0].next()
    again = await chat.join(user="ann", lastEventId=readers[0].last_event_id)
    await take(again, len(TEXTS))
    assert again.messages() == TEXTS
    assert faults(caplog) == [f"a stream failed: {FAULT}"]


async def test_fault_in_catching_up_ends_no_other(
    chat: Chat, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many streams fail there."""
    posted = await chat.say_all("lobby", TEXTS)
    start = posted[0]["id"]
    deliver = Stream.deliver
    monkeypatch.setattr(
        Stream, "deliver", lambda self, batch: fail() if self.user_id == "ann" else deliver(self, batch)
    )
    failing = [await chat.join(user="ann", clientId=f"{n}", lastEventId=start) for n in range(8)]
    reader = await chat.join(user="ben", lastEventId=start)
    await take(reader, len(TEXTS) - 1)
    for each in failing:
        with pytest.raises((Ended, ConnectionResetError)):
            await each.next()
    assert len(faults(caplog)) == len(failing)


@pytest.mark.every_engine
async def test_event_that_cannot_be_encoded_is_passed_over(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """By live streams and by those that resume; else they would wait before it for good."""
    live = await connected(chat, sessionId="42")
    start = live.last_event_id
    await chat.server.log.append([Event("message", b"{}", ("session:42",))])
    await must(chat, None, "42", "after")
    assert '"content":"after"' in (await live.next()).data
    chat.server.hub.forget()
    resumed = await connected(chat, sessionId="42", lastEventId=start)
    assert '"content":"after"' in (await resumed.next()).data
    assert all("(message) cannot be encoded: ValidationError" in line for line in faults(caplog))


async def test_stream_that_falls_behind_as_the_last_has_caught_up_is_served(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the moment in which nobody reads pages any more, and it is not known yet."""
    monkeypatch.setattr(catchup, "READERS", 1)
    reader = await chat.join()
    (stream,) = chat.server.hub.streams
    pages = chat.server.hub._catchup
    pages.add(stream)
    (worker,) = pages._workers
    while not worker.done():  # noqa: ASYNC110 - the very turn of the event loop in which it is
        await asyncio.sleep(0)
    pages.add(stream)
    await chat.say("lobby", "hello")
    await reader.message("hello")


async def test_fault_at_the_end_of_a_stream_ends_no_other(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """Who is told that a stream has ended may fail; the stream is gone, and the others go on."""
    reader, leaver = await chat.join(user="ann"), await chat.join(user="ben")
    stream = next(chat.server.hub.streams_of("ben"))
    chat.server.hub.streams[stream] = _BadOwner()
    leaver.close()
    await eventually(lambda: len(chat.server.hub.streams) == 1)
    await chat.say("lobby", "after")
    await reader.message("after")
    assert faults(caplog) == [f"_BadOwner.stream_ended failed: {FAULT}"]


class _BadOwner:
    def stream_ended(self, stream: Stream, hold: float) -> None:
        fail()


async def test_fault_in_one_inbox_ends_no_other(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its personal stream waits, and goes on when it can; the others do not wait for it."""
    monkeypatch.setattr(inboxes, "RETRY", 0.01)
    release = chat.server.hub.release
    broken = True

    def flawed(topic: Any, sources: set[str]) -> None:
        if broken and topic.name.endswith("ann"):
            fail()
        release(topic, sources)

    monkeypatch.setattr(chat.server.hub, "release", flawed)
    for name in ("ann", "ben"):
        assert (await chat.call("PUT", "/api/rooms/tea/membership", user=name)).status == 204
    ann, ben = await mine(chat, "ann"), await mine(chat, "ben")
    await chat.say("tea", "hello")
    await ben.message("hello")
    broken = False
    await ann.message("hello")


async def test_fault_of_who_is_told_of_the_bus_does_not_end_it(postgres: Postgres, postgres_url: str) -> None:
    """It comes back, and says so."""
    async with started(1, database_url=postgres_url) as (chat,):
        told: list[bool] = []

        def hear(healthy: bool) -> None:
            told.append(healthy)
            fail()

        chat.server.nodes._listeners = chat.server.nodes._listeners._replace(on_health=hear)
        ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chatrooms bus'"
        await asyncio.to_thread(postgres.sql, "test", ended)
        await eventually(lambda: told == [False, True])
        assert chat.server.nodes.healthy


@pytest.mark.parametrize("callback", ["on_start", "on_end"])
async def test_fault_of_who_is_told_of_a_reply_does_not_end_it(
    chat: Chat, callback: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message comes all the same."""
    setattr(chat.server.room_replies, callback, fail)
    reader: Reader = await chat.join()
    await chat.say("lobby", "@ai hello")
    assert "hello" in (await final(reader))["message"]
    await eventually(lambda: chat.server.replies.running == 0)
    assert faults(caplog)
