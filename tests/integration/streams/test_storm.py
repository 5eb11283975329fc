"""A crowd that comes at once: nobody else waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port

from chatrooms.http.front import Acceptor
from chatrooms.streams import resume
from chatrooms.streams.resume import Admission, Place
from tests.helpers.chat import Chat, eventually

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice is a single stream."""
    monkeypatch.setattr(resume, "OPENING_SLICE", 0.0)


@asynccontextmanager
async def endless_crowd(admission: Admission) -> AsyncIterator[None]:
    """Streams that wait to be opened, without end."""

    async def come() -> None:
        while True:
            while admission.waiting < 100:
                admission.place()
            await asyncio.sleep(0)

    coming = asyncio.create_task(come())
    try:
        yield
    finally:
        coming.cancel()
        await eventually(lambda: admission.waiting == 0)


def crowd(admission: Admission) -> list[Place]:
    return [admission.place() for _ in range(2000)]


async def test_a_post_is_answered_while_streams_wait(chat: Chat) -> None:
    """Though the queue never gets shorter; those who are in the room hear it, too."""
    reader = await chat.join()
    async with endless_crowd(chat.server.admission):
        await chat.say("lobby", "hello")
        await reader.message("hello")
        assert chat.server.admission.waiting


async def test_a_crowd_gets_in_and_misses_nothing(chat: Chat) -> None:
    """What is said meanwhile comes once and in order, wherever a reader was in the queue."""
    first = (await chat.say("lobby", "first"))["id"]
    opening = [asyncio.create_task(chat.join(user=f"u{n}", lastEventId=first)) for n in range(100)]
    said = [f"m{n}" for n in range(20)]
    for text in said:
        await chat.say("lobby", text)
    for reader in await asyncio.gather(*opening):
        await reader.message(said[-1])
        assert reader.messages() == said


async def test_a_peer_that_goes_away_frees_its_place(chat: Chat) -> None:
    """Long before its turn, and nothing of it is left."""
    admission = chat.server.admission
    places = crowd(admission)

    def others() -> int:
        return admission.waiting - sum(not place.done() for place in places)

    _, writer = await asyncio.open_connection("127.0.0.1", chat.port)
    writer.write(
        f"GET /events?token={chat.token('a')}&roomId=lobby&username=a HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    )
    await eventually(lambda: others() == 1)
    writer.transport.abort()
    await eventually(lambda: others() == 0)
    assert not places[-1].done()
    assert not chat.server.hub.streams
    await places[-1]


@pytest.mark.options(drain=0.05)
async def test_streams_that_wait_in_a_drain_are_sent_away(chat: Chat) -> None:
    """With the time to come back."""
    position = (await chat.say("lobby", "first"))["id"]
    places = crowd(chat.server.admission)
    opening = asyncio.create_task(chat.read(lastEventId=position))
    await eventually(lambda: chat.server.admission.waiting > sum(not place.done() for place in places))
    await chat.server.drain()
    closing = await (await opening).event("closing")
    assert closing == {"reason": "draining", "reconnect": True}


async def test_streams_beyond_the_bound_are_refused(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Softly for one that comes back, as when the server is full."""
    position = (await chat.join()).last_event_id
    monkeypatch.setattr(resume, "MAX_OPENING", 0)
    refused = await chat.get("/events?roomId=lobby&username=alice")
    assert (refused.status, refused.code) == (503, "full")
    assert refused.headers["Retry-After"]
    soft = await chat.read(lastEventId=position)
    assert await soft.event("closing") == {"reason": "full", "reconnect": True}


async def test_a_shared_connection_waits_for_its_turn(chat: Chat) -> None:
    """Each of its streams has a place of its own."""
    places = crowd(chat.server.admission)
    parts = [{"key": key, "roomId": key, "username": "alice"} for key in ("a", "b")]
    headers = {"Authorization": f"Bearer {chat.token('alice')}"}
    reader = await chat.stream("/events", headers=headers, body={"subscriptions": parts})
    assert places[-1].done()
    assert [(await reader.event("system"))["roomId"] for _ in parts] == ["a", "b"]


@pytest.fixture
def accepted(io_loop: IOLoop) -> Iterator[list[int]]:
    """How many connections of six came in at each turn of the event loop, of an acceptor in a crowd."""
    sock, port = bind_unused_port()
    counts: list[int] = []

    async def accept() -> None:
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        taken: list[object] = []
        acceptor = Acceptor(sock, lambda connection, address: taken.append(connection), lambda: True)
        while len(taken) < len(streams):
            before = len(taken)
            await asyncio.sleep(0)
            counts.append(len(taken) - before)
        acceptor.stop()
        for _, writer in streams:
            writer.transport.abort()
        for connection in taken:
            connection.close()  # type: ignore[attr-defined]

    io_loop.run_sync(accept)
    sock.close()
    yield counts


async def test_connections_come_in_one_by_one_in_a_crowd(accepted: list[int]) -> None:
    """The kernel keeps the others."""
    assert set(accepted) <= {0, 1}
