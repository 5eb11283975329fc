"""Room streams (section 3 of the contract): their head, their events, their end."""

from __future__ import annotations

import time

import pytest

from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Reader, data

pytestmark = pytest.mark.gen_test(timeout=30)

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache, no-transform\r\n"
    b"X-Accel-Buffering: no\r\n"
    b"Connection: keep-alive\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"\r\n"
)
EPHEMERALS = {"user-joined", "user-left", "presence", "typing", "heartbeat", "token-expiring"}


async def test_head_is_exactly_that_of_the_contract(chat: Chat) -> None:
    """No header more, none less, and the first event comes in the same write."""
    reader = await chat.read()
    assert reader.head == HEAD
    assert reader.first_write.startswith(HEAD + b"id: ")
    assert reader.first_write.endswith(b"\n\n")


async def test_head_is_the_same_for_http_1_0(chat: Chat) -> None:
    """As nginx speaks to what stands behind it."""
    target = f"/events?token={chat.token('a')}&roomId=lobby&username=a"
    reader = await Reader.send(chat.port, f"GET {target} HTTP/1.0\r\n\r\n".encode())
    assert reader.head == HEAD
    assert (await reader.event("system"))["userId"] == "a"
    reader.close()


async def test_system_tells_all_that_a_page_needs(chat: Chat) -> None:
    """The first event names user, room, members, position and times."""
    reader = await chat.read("tea room", "alice", username="alice", clientId="c1")
    system = await reader.next()
    told = data(system)
    assert system.type == "system"
    assert system.last_event_id == told["lastEventId"] == f"{chat.server.log.epoch}-{chat.server.log.head}"
    assert "alice" in told.pop("message")
    assert len(told.pop("streamId")) >= 16
    assert told == {
        "roomId": "tea room", "userId": "alice", "username": "alice", "clientId": "c1", "onlineCount": 1,
        "members": [{"userId": "alice", "username": "alice"}], "lastEventId": system.last_event_id,
        "recovered": True, "missed": 0, "heartbeat": 25.0,
    }  # fmt: skip
    assert reader.retry is not None and 500 <= reader.retry <= 1500


async def test_client_without_id_is_given_one(chat: Chat) -> None:
    """Two such streams are two clients."""
    one, two = await chat.read(), await chat.read()
    ids = {(await reader.event("system"))["clientId"] for reader in (one, two)}
    assert len(ids) == 2 and all(ids)


async def test_message_reaches_everybody_with_the_author(chat: Chat) -> None:
    """The same bytes, in the order of the log."""
    readers = [await chat.join(user=f"u{n}") for n in range(5)]
    first = await chat.say("lobby", "one", "u0")
    second = await chat.say("lobby", "two", "u1")
    for reader in readers:
        got = await reader.until(lambda event: event.type == "room-message")
        assert (data(got), got.last_event_id) == (first, first["id"])
        assert await reader.event("room-message") == second


async def test_message_stays_in_its_room(chat: Chat) -> None:
    """Names that begin alike are different rooms."""
    reader = await chat.join("lobby")
    for room in ("lobby2", "lobb", "Lobby"):
        await chat.say(room, "elsewhere")
    await chat.say("lobby", "here")
    assert (await reader.event("room-message"))["message"] == "here"


async def test_batch_reaches_a_live_reader_in_order(chat: Chat) -> None:
    """Many events at once are swept in one go, and nothing is raised in the event loop."""
    reader = await chat.join()
    texts = [str(n) for n in range(500)]
    await chat.say_all("lobby", texts)
    await reader.message("499")
    assert reader.messages() == texts


async def test_large_messages_come_whole(chat: Chat) -> None:
    """More than a socket takes at once."""
    reader = await chat.join()
    texts = [str(n) * 16_000 for n in range(10)] * 5
    await chat.say_all("lobby", texts[:25])
    await chat.say_all("lobby", texts[25:])
    while len(reader.messages()) < 50:
        await reader.next()
    assert reader.messages() == texts


@pytest.mark.options(heartbeat=0.1)
async def test_heartbeat_comes_whatever_else_flows(chat: Chat) -> None:
    """On each stream, without an id, with the time in milliseconds."""
    readers = [await chat.join(user=user) for user in ("alice", "bob")]
    for reader in readers:
        for n in range(3):
            beat = await reader.until(lambda event: event.type == "heartbeat")
            assert beat.last_event_id == reader.seen[-2].last_event_id
            assert abs(data(beat)["timestamp"] - time.time() * 1000) < 60_000
            await chat.say("lobby", str(n))
            await reader.message(str(n))


async def test_ephemerals_have_no_id_and_durable_events_do(chat: Chat) -> None:
    """Byte for byte: an `id:` line stands with the durable ones only."""
    reader = await chat.join(user="alice")
    other = await chat.join(user="bob")
    await chat.post("/api/rooms/lobby/typing", {}, "bob")
    posted = await chat.say("lobby", "a", "bob")
    path = f"/api/rooms/lobby/messages/{posted['id']}"
    await chat.call("PATCH", path, {"message": "b"}, "bob")
    await chat.call("DELETE", path, None, "bob")
    await chat.post("/api/rooms/lobby/leave", {"clientId": "none"}, "bob")
    other.close()
    await reader.event("user-left")
    blocks = [block for block in reader.body.split(b"\n\n") if block]
    assert {field(block, b"event") for block in blocks} >= EPHEMERALS - {"presence", "heartbeat", "token-expiring"}
    for block in blocks:
        assert (field(block, b"id") == "") is (field(block, b"event") in EPHEMERALS)


def field(block: bytes, name: bytes) -> str:
    """The value of a field of an event's block, or nothing."""
    lines = [line for line in block.split(b"\n") if line.startswith(name + b": ")]
    return lines[0].partition(b": ")[2].decode() if lines else ""


async def test_typing_names_who_types_and_comes_once_in_two_seconds(chat: Chat) -> None:
    """More of it is taken but not told."""
    reader = await chat.join(user="alice")
    for _ in range(5):
        answer = await chat.post("/api/rooms/lobby/typing", {"username": "Bob"}, "bob")
        assert (answer.status, answer.body) == (204, b"")
    assert (await chat.post("/api/rooms/lobby/typing", None, "carl")).status == 204
    await chat.say("lobby", "fence")
    await reader.message("fence")
    told = [data(event) for event in reader.seen if event.type == "typing"]
    assert told == [
        {"roomId": "lobby", "userId": "bob", "username": "Bob"},
        {"roomId": "lobby", "userId": "carl", "username": "carl"},
    ]


async def test_stream_of_an_expiring_token_is_warned_and_ends(chat: Chat) -> None:
    """Warned at once when less than a minute remains; a reconnect with a fresh token is invited."""
    token = chat.token("alice", ttl=2)
    reader = await chat.read(token=token)
    warning = await reader.event("token-expiring")
    assert abs(warning["expiresAt"] - (time.time() + 2) * 1000) < 2000
    rest = await reader.rest()
    assert reader.types() == ["system", "token-expiring", "closing"]
    assert data(rest[-1]) == {"reason": "token-expired", "reconnect": True}
    refused = await chat.read(token=token)
    assert refused.status == 401


async def test_extended_stream_outlives_its_token(chat: Chat) -> None:
    """All streams of that user's client do; others do not."""
    token = chat.token("alice", ttl=2)
    kept = [await chat.join(room, token=token, clientId="c") for room in ("a", "b")]
    other = await chat.join("a", token=token, clientId="d")
    answer = await chat.post("/api/auth/extend", {"clientId": "c"}, "alice")
    assert answer.status == 200
    assert abs(answer.data["expiresAt"] - (time.time() + 900) * 1000) < 5000
    assert data((await other.rest())[-1])["reason"] == "token-expired"
    for room, reader in zip(("a", "b"), kept, strict=True):
        await chat.say(room, "still here?")
        await reader.message("still here?")
        assert "closing" not in reader.types()


async def test_extend_without_a_stream_is_not_found(chat: Chat) -> None:
    """Nor does it reach the streams of another user."""
    await chat.join(user="alice", clientId="c")
    assert (await chat.post("/api/auth/extend", {"clientId": "c"}, "bob")).status == 404
    assert (await chat.post("/api/auth/extend", {"clientId": "d"}, "alice")).status == 404


async def test_stream_that_sends_junk_is_ended(chat: Chat) -> None:
    """A reader has nothing to say."""
    reader = await chat.join()
    reader.write(b"x")
    await eventually(lambda: not chat.server.hub.streams)


async def test_reader_that_hangs_up_leaves_nothing_behind(chat: Chat) -> None:
    """Neither stream nor topic, though it goes at any moment."""
    for _ in range(20):
        reader = await chat.read()
        reader.close()
    await eventually(lambda: not chat.server.hub.streams)
    assert not chat.server.hub._topics
    assert not chat.server.hub._by_user


@pytest.mark.options(drain=0.05)
async def test_drained_streams_are_told_to_come_back(chat: Chat) -> None:
    """With a jittered time and a position; new ones are refused."""
    readers = [await chat.join(user=f"u{n}") for n in range(3)]
    await chat.server.drain()
    for reader in readers:
        closing = (await reader.rest())[-1]
        assert (closing.type, data(closing)) == ("closing", {"reason": "draining", "reconnect": True})
        assert closing.last_event_id.startswith(chat.server.log.epoch)
        assert reader.retry is not None and 1000 <= reader.retry <= 5000
    refused = await chat.read()
    assert refused.status == 503
    assert (await chat.get("/readyz", None)).status == 503
