"""What one user may begin in a time (section 3, and what would grow without bound)."""

from __future__ import annotations

import pytest

from chatrooms.rooms import messages
from tests.helpers.chat import Chat, eventually
from tests.helpers.den import DEN, MEMBER, OWNER, TOM, do, invited, must
from tests.helpers.personal import joined_rooms

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]


@pytest.mark.options(stream_rate=3)
async def test_streams_of_one_user_are_counted(chat: Chat) -> None:
    """A first request over the rate gets 429 and the time to wait; other users are not concerned."""
    for _ in range(3):
        await chat.join()
    refused = await chat.get("/events?roomId=lobby&username=alice")
    assert (refused.status, refused.code) == (429, "rate-limited")
    assert int(refused.headers["Retry-After"]) >= 1
    await chat.join(user="bob")


@pytest.mark.options(stream_rate=3)
async def test_polls_count_as_streams(chat: Chat) -> None:
    """Each poll of another room keeps a room in memory for half a minute."""
    for n in range(3):
        assert (await chat.get(f"/events?roomId=r{n}&username=alice&poll=1")).status == 200
    assert (await chat.get("/events?roomId=r4&username=alice&poll=1")).status == 429


@pytest.mark.options(stream_rate=3)
async def test_soft_refusals_are_no_tight_loop(chat: Chat) -> None:
    """Who comes back at once, whatever `retry:` says, is refused for good in the end."""
    position = (await chat.join()).last_event_id
    statuses = [(await chat.read(lastEventId=position)).status for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    soft = await chat.read(user="bob", lastEventId=position)
    assert soft.status == 200


@pytest.mark.options(stream_rate=3)
async def test_a_soft_refusal_says_when_to_come_back(chat: Chat) -> None:
    """5 to 15 s, so that a native EventSource waits."""
    position = (await chat.join()).last_event_id
    for _ in range(2):
        await chat.read(lastEventId=position)
    refused = await chat.read(lastEventId=position)
    assert await refused.event("closing") == {"reason": "rate-limited", "reconnect": True}
    assert refused.retry is not None and 5000 <= refused.retry <= 15000


@pytest.mark.options(stream_rate=1, max_streams_per_user=0, room_rate=1, reply_rate=1, message_rate=1)
async def test_services_are_exempt(chat: Chat) -> None:
    """A back end speaks for many."""
    for n in range(3):
        said = await chat.post(f"/api/rooms/r{n}/messages", {"message": "x"}, role="service")
        assert said.status == 201
        assert (await chat.get(f"/events?roomId=r{n}&username=a&poll=1", role="service")).status == 200
        assert (await chat.post("/api/chat/stream", {"message": "x"}, role="service")).status == 200


@pytest.mark.options(room_rate=2)
async def test_rooms_of_one_user_are_counted(chat: Chat) -> None:
    """Each room is a row forever; what exists may be used as before."""
    for room in ("a", "b", "a", "b"):
        await chat.say(room, "x")
    refused = await chat.post("/api/rooms/c/messages", {"message": "x"})
    assert (refused.status, refused.code) == (429, "rate-limited")
    await chat.say("c", "x", user="bob")
    await chat.say("c", "x")


@pytest.mark.options(room_rate=2)
async def test_rooms_made_by_put_are_counted(chat: Chat) -> None:
    """Together with those that are made by use; changing one makes none."""
    await must(chat, TOM, "PUT", "/api/rooms/a")
    await chat.say("b", "x", user=TOM)
    for _ in range(3):
        await must(chat, TOM, "PUT", "/api/rooms/a", {"title": "A"})
    refused = await do(chat, TOM, "PUT", "/api/rooms/c")
    assert (refused.status, refused.code) == (429, "rate-limited")
    assert await chat.server.database.fetch("select 1 from rooms where room_id = 'c'") == []
    for n in range(3):
        await must(chat, "robot", "PUT", f"/api/rooms/robot-{n}")
    await must(chat, MEMBER, "PUT", "/api/rooms/c")


@pytest.mark.options(room_rate=2)
async def test_memberships_of_rooms_that_do_not_exist_are_counted(chat: Chat) -> None:
    """By PUT it is refused; a stream opens all the same, and joins nothing."""
    await chat.say("tea", "x", user="robot")
    for room in ("a", "b", "a"):
        await must(chat, TOM, "PUT", f"/api/rooms/{room}/membership")
    refused = await do(chat, TOM, "PUT", "/api/rooms/c/membership")
    assert (refused.status, refused.code) == (429, "rate-limited")
    (await chat.join("c", TOM)).close()
    await must(chat, TOM, "PUT", "/api/rooms/tea/membership")  # after that of the stream
    assert await joined_rooms(chat, TOM) == ["a", "b", "tea"]
    await must(chat, MEMBER, "PUT", "/api/rooms/c/membership")


@pytest.mark.options(max_rooms_per_user=2)
async def test_rooms_that_one_user_joins_are_bounded(chat: Chat) -> None:
    """By PUT 409, by a stream or an invite the room is open but not joined; leaving one makes room."""
    await must(chat, OWNER, "PUT", DEN, {"private": True})
    for room in "abcd":
        await chat.say(room, "x", user="robot")
    for room in "ab":
        await must(chat, TOM, "PUT", f"/api/rooms/{room}/membership")
    refused = await do(chat, TOM, "PUT", "/api/rooms/c/membership")
    assert (refused.status, refused.code) == (409, "conflict")
    (await chat.join("d", TOM)).close()
    await invited(chat, TOM)
    await chat.say("den", "let in", user=TOM)
    await must(chat, TOM, "DELETE", "/api/rooms/a/membership")
    await must(chat, TOM, "PUT", "/api/rooms/c/membership")
    assert await joined_rooms(chat, TOM) == ["b", "c"]
    for room in "abcd":
        await must(chat, "robot", "PUT", f"/api/rooms/{room}/membership")


@pytest.mark.options(max_rooms_per_user=5)
async def test_rooms_joined_at_the_same_time_are_bounded_too(chat: Chat) -> None:
    """Many that are written in one group."""
    for n in range(20):
        await chat.say(f"r{n}", "x", user="robot", clientMessageId=str(n))
    for n in range(20):
        chat.server.memberships.note(TOM, f"r{n}", False)
    await eventually(lambda: not chat.server.memberships._waiting)
    assert len(await joined_rooms(chat, TOM)) == 5


@pytest.mark.options(reply_rate=2)
async def test_replies_of_one_user_are_counted(chat: Chat) -> None:
    """Each is a job, and costs money where a model is connected."""
    for _ in range(2):
        assert (await chat.post("/api/chat/stream", {"message": "x"})).status == 200
    assert (await chat.post("/api/chat/stream", {"message": "x"})).status == 429


@pytest.mark.options(task_rate=3)
async def test_changes_of_tasks_are_counted(chat: Chat) -> None:
    """Each is a commit and an event: made or changed, also where nothing is different; programs are exempt."""
    assert (await chat.post("/api/v1/tasks", {"title": "t", "task_id": "t"})).status == 201
    statuses = [(await chat.call("PATCH", "/api/v1/tasks/t", {"progress": n})).status for n in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert (await chat.post("/api/v1/tasks", {"title": "u"})).status == 429
    assert (await chat.post("/api/v1/tasks", {"title": "u"}, "bob")).status == 201
    for n in range(5):
        assert (await chat.call("PATCH", "/api/v1/tasks/t", {"progress": n + 5}, "robot", role="service")).status == 200


@pytest.mark.options(stream_rate=0, room_rate=0, reply_rate=0)
async def test_nought_turns_each_off(chat: Chat) -> None:
    """As with every limit."""
    for n in range(5):
        await chat.say(f"r{n}", "x")
        await chat.join()
        assert (await chat.post("/api/chat/stream", {"message": "x"})).status == 200


@pytest.mark.options(message_rate=0)
async def test_edits_of_one_message_are_bounded(chat: Chat) -> None:
    """Each rewrites those before it in the log: 10,000 of them would keep the writer busy for all."""
    path = f"/api/rooms/lobby/messages/{(await chat.say('lobby', 'x'))['id']}"
    for n in range(messages.MAX_EDITS):
        assert (await chat.call("PATCH", path, {"message": str(n)})).status == 200
    refused = await chat.call("PATCH", path, {"message": "one more"})
    assert (refused.status, refused.code) == (409, "conflict")
    assert (await chat.call("DELETE", path)).status == 204


@pytest.mark.options(task_rate=3)
async def test_changes_of_tasks_of_one_user_are_counted(chat: Chat) -> None:
    """Making one counts, too; services and others are not concerned."""
    made = await chat.post("/api/v1/tasks", {"title": "x", "task_id": "t"})
    assert made.status == 201
    for progress in (1, 2):
        assert (await chat.call("PATCH", "/api/v1/tasks/t", {"progress": progress})).status == 200
    for refused in (
        await chat.call("PATCH", "/api/v1/tasks/t", {"progress": 3}),
        await chat.post("/api/v1/tasks", {"title": "y"}),
    ):
        assert (refused.status, refused.code) == (429, "rate-limited")
        assert int(refused.headers["Retry-After"]) >= 1
    assert (await chat.call("PATCH", "/api/v1/tasks/t", {"progress": 3}, "robot", role="service")).status == 200
    assert (await chat.post("/api/v1/tasks", {"title": "z"}, "bob")).status == 201
