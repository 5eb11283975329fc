"""Resuming a stream: everything durable after a position, in order, once (section 3)."""

from __future__ import annotations

import asyncio

import pytest

from chatrooms.streams import topic as all_tails
from chatrooms.streams import topic as tails
from chatrooms.streams.resume import MAX_MISSED
from tests.helpers.chat import Chat
from tests.helpers.personal import mine
from tests.helpers.reader import Reader, data

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]


async def read_messages(reader: Reader, count: int) -> list[str]:
    """The texts of the first `count` messages."""
    while len(reader.messages()) < count:
        await reader.next()
    return reader.messages()


@pytest.mark.parametrize("way", ["header", "query", "both"])
async def test_resumed_stream_gets_what_it_missed(chat: Chat, way: str) -> None:
    """By the header, else by the query; the header counts when both are there."""
    reader = await chat.join()
    await chat.say("lobby", "seen")
    position = (await reader.until(lambda event: event.type == "room-message")).last_event_id
    reader.close()
    await chat.say_all("lobby", ["a", "b", "c"])
    headers = {"Last-Event-ID": position} if way != "query" else {}
    query = {"lastEventId": position} if way == "query" else {"lastEventId": "nonsense"} if way == "both" else {}
    again = await chat.read(headers=headers, **query)
    system = await again.event("system")
    assert (system["recovered"], system["missed"], system["lastEventId"]) == (True, 3, position)
    assert again.seen[0].last_event_id == position
    await chat.say("lobby", "d")
    assert await read_messages(again, 4) == ["a", "b", "c", "d"]


async def test_reader_that_has_seen_nothing_yet_resumes(chat: Chat) -> None:
    """The first event's id is a position."""
    reader = await chat.join()
    reader.close()
    await chat.say("lobby", "missed")
    again = await chat.join(lastEventId=reader.last_event_id)
    assert await read_messages(again, 1) == ["missed"]


@pytest.mark.parametrize("tail", [True, False], ids=["tail", "log"])
async def test_missed_is_counted_up_to_a_limit(chat: Chat, tail: bool) -> None:
    """Who was away for long is told that it was a lot; what is counted would keep others waiting."""
    if tail:
        await chat.join(user="somebody")
    await chat.call("PUT", "/api/rooms/lobby/membership")
    position = (await chat.join()).last_event_id
    posted = await chat.say_all("lobby", [str(n) for n in range(MAX_MISSED + 5)])
    assert data((await chat.join(lastEventId=position)).seen[0])["missed"] == MAX_MISSED
    assert data((await chat.join(lastEventId=posted[9]["id"])).seen[0])["missed"] == MAX_MISSED - 5
    own = await mine(chat, position=position)
    assert (await own.event("system"))["missed"] == MAX_MISSED
    own = await mine(chat, position=posted[9]["id"])
    assert (await own.event("system"))["missed"] == MAX_MISSED - 5
    await chat.call("DELETE", f"/api/rooms/lobby/messages/{posted[20]['id']}", None, "robot", role="service")
    assert data((await chat.join(lastEventId=posted[9]["id"])).seen[0])["missed"] == MAX_MISSED - 5


async def test_resuming_twice_with_nothing_between_repeats_nothing(chat: Chat) -> None:
    """Each `system` carries the position that was resumed from."""
    await chat.say("lobby", "before")
    position = (await chat.join()).last_event_id
    for _ in range(3):
        reader = await chat.join(lastEventId=position)
        assert reader.last_event_id == position
        reader.close()
        position = reader.last_event_id
    reader = await chat.join(lastEventId=position)
    await chat.say("lobby", "after")
    assert await read_messages(reader, 1) == ["after"]


@pytest.mark.parametrize("history", [0, 1, 3, 5, 200])
async def test_history_is_the_last_messages(chat: Chat, history: int) -> None:
    """No more than there are, and edits count for nothing."""
    posted = [await chat.say("lobby", str(n)) for n in range(5)]
    await chat.say("elsewhere", "x")
    await chat.call("PATCH", f"/api/rooms/lobby/messages/{posted[4]['id']}", {"message": "4!"})
    reader = await chat.join(history=history)
    assert data(reader.seen[0])["recovered"] is True
    await chat.say("lobby", "fence")
    await reader.message("fence")
    wanted = ["0", "1", "2", "3", "4!"][max(0, 5 - history) :] if history else []
    assert reader.messages() == [*wanted, "fence"]


async def test_position_overrides_history(chat: Chat) -> None:
    """Who has read up to there needs no more."""
    posted = await chat.say_all("lobby", [str(n) for n in range(5)])
    reader = await chat.join(history=5, lastEventId=posted[3]["id"])
    await chat.say("lobby", "fence")
    assert await read_messages(reader, 2) == ["4", "fence"]


async def test_reader_cut_in_mid_replay_loses_nothing(chat: Chat) -> None:
    """Every event of a replay is a position, and the first is just before it."""
    texts = [str(n) for n in range(30)]
    await chat.say_all("lobby", texts)
    position, got = "", []
    for cut in [0, 1, 2, 7, 20]:
        reader = await chat.join(**({"lastEventId": position} if position else {"history": 30}))
        got += (await read_messages(reader, cut))[:cut]
        position = reader.last_event_id
        reader.close()
    assert got == texts


@pytest.mark.parametrize(
    "make",
    [
        lambda epoch, head: "nonsense",
        lambda epoch, head: f"{epoch}-{head + 1}",
        lambda epoch, head: f"{epoch}-9007199254740991",
        lambda epoch, head: f"{epoch}-9007199254740992",
        lambda epoch, head: f"{epoch}-01",
        lambda epoch, head: f"{epoch}--1",
        lambda epoch, head: f"00000000-{head}",
        lambda epoch, head: f"{epoch}-{head},{epoch}-{head}",
        lambda epoch, head: "null",
        lambda epoch, head: "x" * 5000,
        lambda epoch, head: "é\xff\x80",
        lambda epoch, head: "💬",
    ],
)
@pytest.mark.parametrize("way", ["header", "query"])
async def test_unknown_position_starts_as_if_none_was_given(chat: Chat, make: object, way: str) -> None:
    """`recovered` is false, so that the client reloads; never a silent gap."""
    await chat.say_all("lobby", ["a", "b", "c"])
    assert callable(make)
    asked = make(chat.server.log.epoch, chat.server.log.head)
    sent = asked.encode().decode("latin-1") if way == "header" else ""
    reader = await chat.read(history=2, **({"headers": {"Last-Event-ID": sent}} if sent else {"lastEventId": asked}))
    system = await reader.event("system")
    assert (system["recovered"], system["missed"]) == (False, None)
    await chat.say("lobby", "d")
    assert await read_messages(reader, 3) == ["b", "c", "d"]


async def test_position_past_retention_is_not_recovered(chat: Chat) -> None:
    """What followed it is gone; the floor itself is still good."""
    posted = await chat.say_all("lobby", ["a", "b", "c"])
    await chat.server.log.forget(posted[1]["timestamp"] + 60_000)
    chat.server.hub.forget()
    assert data((await chat.join(lastEventId=posted[0]["id"])).seen[0])["recovered"] is False
    reader = await chat.join(lastEventId=posted[2]["id"])
    assert data(reader.seen[0])["recovered"] is True
    await chat.say("lobby", "d")
    assert await read_messages(reader, 1) == ["d"]


@pytest.mark.parametrize("start", [0, 1, 250, 999])
async def test_position_older_than_the_tail_leaves_no_gap(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    """Pages of the log join the live tail though others post meanwhile."""
    monkeypatch.setattr(tails, "TAIL_FRAMES", 20)
    texts = [str(n) for n in range(1000)]
    posted = await chat.say_all("lobby", texts)
    live = await chat.join(user="bob")
    position = posted[start]["id"]
    more = [f"more {n}" for n in range(300)]

    async def post() -> None:
        for n in range(0, 300, 10):
            await chat.say_all("lobby", more[n : n + 10])

    posting = asyncio.create_task(post())
    readers = [await chat.read(user=f"u{n}", lastEventId=position) for n in range(5)]
    wanted = texts[start + 1 :] + more
    for reader in readers:
        assert await read_messages(reader, len(wanted)) == wanted
        ids = [int(event.last_event_id.partition("-")[2]) for event in reader.seen if event.type == "room-message"]
        assert ids == sorted(set(ids))
    await posting
    assert await read_messages(live, 300) == more


async def test_resumed_reader_is_told_the_present_state_it_may_have_missed(chat: Chat) -> None:
    """Who catches up by the log gets no joins that came meanwhile, hence `presence`."""
    posted = await chat.say_all("lobby", [str(n) for n in range(1000)])
    await chat.join(user="keeps the topic")
    reader = await chat.read(user="late", lastEventId=posted[0]["id"])
    await chat.join(user="meanwhile")
    await read_messages(reader, 999)
    told = [event for event in reader.seen if event.type in ("presence", "user-joined")]
    state = data(told[-1]) if told else await reader.event("presence")
    assert state["onlineCount"] == 3


async def test_replay_shows_the_present_text(chat: Chat) -> None:
    """Edited messages as they are now, deleted ones not at all, and every edit with the last text."""
    start = (await chat.join()).last_event_id
    one, two = await chat.say("lobby", "one"), await chat.say("lobby", "two")
    for text in ("one!", "one!!"):
        await chat.call("PATCH", f"/api/rooms/lobby/messages/{one['id']}", {"message": text})
    await chat.call("PATCH", f"/api/rooms/lobby/messages/{two['id']}", {"message": "two!"})
    await chat.call("DELETE", f"/api/rooms/lobby/messages/{two['id']}")
    reader = await chat.join(lastEventId=start)
    await reader.event("message-deleted")
    durable = [(event.type, data(event)) for event in reader.seen[1:] if event.type != "user-joined"]
    assert [type for type, _ in durable] == ["room-message", "message-edited", "message-edited", "message-deleted"]
    assert [told.get("message") for _, told in durable] == ["one!!", "one!!", "one!!", None]
    assert isinstance(durable[0][1]["editedAt"], int)
    assert durable[3][1]["messageId"] == two["id"]
    assert b"two" not in reader.body and b'"one"' not in reader.body


async def test_live_reader_is_told_edits_and_deletions(chat: Chat) -> None:
    """Each as an event of its own with an id of its own."""
    reader = await chat.join()
    posted = await chat.say("lobby", "a")
    await chat.call("PATCH", f"/api/rooms/lobby/messages/{posted['id']}", {"message": "b"})
    edited = await reader.until(lambda event: event.type == "message-edited")
    told = data(edited)
    assert (told["id"], told["messageId"], told["message"]) == (edited.last_event_id, posted["id"], "b")
    assert {"roomId", "userId", "timestamp"} <= told.keys()
    await chat.call("DELETE", f"/api/rooms/lobby/messages/{posted['id']}")
    assert (await reader.event("message-deleted"))["messageId"] == posted["id"]


async def test_stalled_reader_is_not_sent_text_that_was_erased(chat: Chat) -> None:
    """Also when it was encoded before, in the same group of commits."""
    start = (await chat.join()).last_event_id
    posted = await chat.say("lobby", "secret original")
    path = f"/api/rooms/lobby/messages/{posted['id']}"
    edits = [chat.call("PATCH", path, {"message": f"secret {n}"}) for n in range(3)]
    answers = await asyncio.gather(*edits, chat.call("DELETE", path))
    assert answers[-1].status == 204
    assert {answer.status for answer in answers[:-1]} <= {200, 404}  # four connections: any may be first
    reader = await chat.join(lastEventId=start)
    await reader.event("message-deleted")
    assert b"secret" not in reader.body


@pytest.mark.options(message_rate=0)
async def test_tails_that_gave_way_cost_nobody_an_event(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more rooms than all tails together hold, those who read on and those who come back get all of it."""
    monkeypatch.setattr(all_tails, "TAILS_BYTES", 4_000)
    rooms = [f"room-{number}" for number in range(12)]
    readers = [await chat.join(room) for room in rooms]
    positions = [reader.seen[0].last_event_id for reader in readers]
    texts = [f"{number} " + "x" * 300 for number in range(20)]
    for text in texts:
        await asyncio.gather(*(chat.say(room, text) for room in rooms))
    for reader in readers:
        assert await read_messages(reader, len(texts)) == texts
    for room, position in zip(rooms, positions, strict=True):
        again = await chat.read(room, user="bob", lastEventId=position)
        assert (await again.event("system"))["recovered"] is True
        assert await read_messages(again, len(texts)) == texts


@pytest.mark.every_engine
async def test_readers_of_a_quiet_room_come_back_to_the_tail(chat: Chat) -> None:
    """Once one of them was found to have missed nothing, the log is not asked again for the others."""
    positions = [(await chat.say(room, "x"))["id"] for room in ("lobby", "den", "den", "den")]
    first = await chat.join(user="u0", lastEventId=positions[0])
    counted = await chat.join(user="u1", lastEventId=positions[0])
    topic = chat.server.hub.find_topic("room:lobby")
    assert topic is not None
    assert topic.covers(int(positions[0].rpartition("-")[2]))
    later = await chat.join(user="u2", lastEventId=positions[1])
    await chat.say("lobby", "y")
    for reader in (first, counted, later):
        system = data(reader.seen[0])
        assert (system["recovered"], system["missed"]) == (True, 0)
        await reader.message("y")
        assert reader.messages() == ["y"]
