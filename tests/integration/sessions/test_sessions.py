"""Message sessions (section 5): who reads and writes what, and how it looks on the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from chatrooms.log.event import event_id
from tests.helpers.chat import Answer, Chat, eventually
from tests.helpers.reader import Reader, data

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ROLES = {"agent": "agent", "robot": "service", "root": "admin"}  # of tokens; all others are users


def headers(chat: Chat, user: str | None) -> dict[str, str]:
    """Nobody has no token."""
    return {"Authorization": f"Bearer {chat.token(user, role=ROLES.get(user, 'user'))}"} if user else {}


async def listen(chat: Chat, user: str | None = None, more: Mapping[str, str] | None = None, **query: object) -> Reader:
    """A stream of this family, as it is answered."""
    reader = await Reader.open(chat.port, "/api/sse/messages", query, {**headers(chat, user), **(more or {})})
    chat._readers.append(reader)
    return reader


async def connected(chat: Chat, user: str | None = None, **query: object) -> Reader:
    """A stream that has read its `connected`."""
    reader = await listen(chat, user, None, **query)
    assert reader.status == 200, reader.first_write
    assert data(await reader.next())["type"] == "connected"
    return reader


async def post(chat: Chat, user: str | None, session: object, content: str = "hi", **more: object) -> Answer:
    body = {"sessionId": session, "content": content, **more}
    return await chat.post("/api/messages", body, None, headers=headers(chat, user))


async def must(chat: Chat, user: str | None, session: object, content: str = "hi", **more: object) -> Any:
    answer = await post(chat, user, session, content, **more)
    assert answer.status == 201, answer
    return answer.data["data"]


async def content(reader: Reader) -> str:
    """The text of the next message."""
    text: str = data(await reader.until(lambda event: data(event)["type"] == "message"))["data"]["content"]
    return text


async def test_message_on_the_wire(chat: Chat) -> None:
    """Unnamed events with ids, each with its type; the stream brings what the post was answered with."""
    reader = await listen(chat, "ann", sessionId="42")
    assert b"Content-Type: text/event-stream" in reader.head
    first = await reader.next()
    assert (first.type, data(first)["type"], data(first)["sessionId"]) == ("message", "connected", "42")
    assert first.last_event_id == data(first)["lastEventId"] and data(first)["message"]
    assert ISO.fullmatch(data(first)["timestamp"]) and reader.retry
    answer = await post(chat, "ann", 42, "line\n\u2028", isHuman=True, intent="greeting", robotId=7)
    assert (answer.status, answer.data["success"]) == (201, True)
    message = answer.data["data"]
    assert ISO.fullmatch(message["createdAt"])
    assert message == {
        "id": message["id"], "sessionId": "42", "content": "line\n\u2028", "isFromBot": False, "isHuman": True,
        "intent": "greeting", "robotId": "7", "createdAt": message["createdAt"],
    }  # fmt: skip
    event = await reader.next()
    assert (event.type, event.last_event_id) == ("message", message["id"])
    assert data(event) == {"type": "message", "data": message, "timestamp": message["createdAt"]}
    assert await must(chat, "ann", "42") | {"id": 0, "createdAt": 0} == {
        "id": 0, "sessionId": "42", "content": "hi", "isFromBot": False, "isHuman": False, "intent": None,
        "robotId": None, "createdAt": 0,
    }  # fmt: skip


@pytest.mark.options(heartbeat=0.1)
async def test_heartbeat_is_unnamed(chat: Chat) -> None:
    """In this family; in rooms it has its name."""
    reader, room = await connected(chat, "ann", sessionId="42"), await chat.join()
    beat = await reader.next()
    assert (beat.type, set(data(beat))) == ("message", {"type", "timestamp"})
    assert data(beat)["type"] == "heartbeat" and ISO.fullmatch(data(beat)["timestamp"])
    assert isinstance((await room.event("heartbeat"))["timestamp"], int)


async def test_filters_and_the_global_stream(chat: Chat) -> None:
    """`robotId` narrows a session as well as all; agent, service and admin read all."""
    everything = [await connected(chat, user) for user in ROLES]
    seventh = await connected(chat, "agent", robotId="7")
    of_seven, of_all = [await connected(chat, "ann", sessionId="a", **more) for more in ({"robotId": 7}, {})]
    await must(chat, "ann", "a", "plain")
    await must(chat, "ann", "a", "of seven", robotId="7")
    await must(chat, "ben", "b", "of eight", robotId="8")
    await must(chat, "agent", "b", "also of seven", robotId="7")
    for reader in everything:
        assert [await content(reader) for _ in range(4)] == ["plain", "of seven", "of eight", "also of seven"]
    assert [await content(seventh) for _ in range(2)] == ["of seven", "also of seven"]
    assert [await content(of_all) for _ in range(2)] == ["plain", "of seven"]
    assert await content(of_seven) == "of seven"


async def test_session_belongs_to_the_first_user(chat: Chat) -> None:
    """Who opens it, or writes it; others need a role, and nobody without a token gets in."""
    await connected(chat, "ann", sessionId="opened")
    await must(chat, "ann", "written")
    for session in ("opened", "written"):
        for user, status in (("ann", 201), ("ben", 403), (None, 403), ("agent", 201), ("robot", 201), ("root", 201)):
            assert (await post(chat, user, session)).status == status, (user, session)
            reader = await listen(chat, user, sessionId=session)
            assert reader.status == (200 if status == 201 else 403)
    await must(chat, "agent", "still-open")  # a role does not take a session
    await must(chat, "ben", "still-open")
    assert (await post(chat, "ann", "still-open")).status == 403


async def test_without_a_token_sessions_are_shared(chat: Chat) -> None:
    """Those that nobody owns, and only those, also in the global stream."""
    one, everything = await connected(chat, sessionId="s"), await connected(chat)
    robot = await connected(chat, robotId="7")
    await must(chat, "ann", "hers", "secret", robotId="7")
    await must(chat, None, "s", "shared", robotId="7")
    await must(chat, "agent", "s", "also")
    for reader in (one, everything):
        assert [await content(reader) for _ in range(2)] == ["shared", "also"]
    assert await content(robot) == "shared"


async def test_claimed_session_is_shared_no_more(chat: Chat) -> None:
    """Its visitors are shown out, what was said in it leaves their global stream; the owner reads what follows."""
    everything = await connected(chat)
    start = everything.last_event_id
    visitor, agent = await connected(chat, sessionId="s"), await connected(chat, "agent", sessionId="s")
    await must(chat, None, "s", "before", robotId="7")
    await must(chat, None, "t", "elsewhere", robotId="7")
    assert await content(visitor) == "before"
    owner = await listen(chat, "ann", sessionId="s", lastEventId=start)
    assert data(await owner.next())["recovered"] is False
    last = data((await visitor.rest())[-1])
    assert (last["type"], last["code"], last["reconnect"]) == ("error", "forbidden", False)
    await must(chat, "ann", "s", "after")
    assert await content(owner) == "after"
    assert [await content(agent) for _ in range(2)] == ["before", "after"]
    await must(chat, None, "t", "the end")
    for more in ({}, {"robotId": "7"}):
        again = await connected(chat, lastEventId=start, **more)
        assert await content(again) == "elsewhere"
    assert [await content(everything) for _ in range(3)] == ["before", "elsewhere", "the end"]


async def test_resume_by_header_and_by_query(chat: Chat) -> None:
    """Within the tail and from the log; the header counts more; an unknown position says so."""
    for n in range(250):
        await must(chat, "robot", "s", f"m{n}")
        if n == 9:
            tenth = (await connected(chat, "ann", sessionId="s")).last_event_id
    for more, query in (({"Last-Event-ID": tenth}, {}), ({}, {"lastEventId": tenth}),
                        ({"Last-Event-ID": tenth}, {"lastEventId": "junk"})):  # fmt: skip
        reader = await listen(chat, "ann", more, sessionId="s", **query)
        first = data(await reader.next())
        assert (first["recovered"], first["missed"]) == (True, 240)
        assert [await content(reader) for _ in range(240)] == [f"m{n}" for n in range(10, 250)]
    reader = await listen(chat, "ann", sessionId="s", lastEventId=event_id("elsewhere", 3))
    assert data(await reader.next())["recovered"] is False
    await must(chat, "ann", "s", "new")
    assert await content(reader) == "new"


@pytest.mark.options(max_streams=1)
async def test_refusals_are_soft_for_who_resumes(chat: Chat) -> None:
    """Full: 503 at first, and an `error` with `retry:` to who has a position; 403 stays 403."""
    first = await connected(chat, "ann", sessionId="s")
    answer = await chat.get("/api/sse/messages?sessionId=s", "ann")
    assert (answer.status, answer.code, answer.data["success"]) == (503, "full", False)
    assert "Retry-After" in answer.headers
    assert (await listen(chat, "ben", sessionId="s", lastEventId=first.last_event_id)).status == 403
    soft = await listen(chat, "ann", sessionId="s", lastEventId=first.last_event_id)
    (event,) = await soft.rest()
    assert soft.status == 200 and soft.retry is not None and 5000 <= soft.retry <= 15000
    assert event.last_event_id == first.last_event_id
    assert data(event) | {"error": "", "timestamp": ""} == {
        "type": "error", "error": "", "code": "full", "reconnect": True, "timestamp": "",
    }  # fmt: skip


@pytest.mark.options(drain=0.1)
async def test_stream_says_why_it_ends(chat: Chat) -> None:
    """When the token ends, when the server drains; with the position."""
    short = {"Authorization": f"Bearer {chat.token('ann', ttl=2)}"}
    reader = await listen(chat, None, short, sessionId="s")
    types = [data(event)["type"] for event in await reader.rest() if data(event)["type"] != "heartbeat"]
    assert types == ["connected", "token-expiring", "error"]
    assert data(reader.seen[-1])["code"] == "token-expired" and data(reader.seen[-1])["reconnect"] is True
    reader = await connected(chat, "ann", sessionId="s")
    await chat.server.drain()
    last = (await reader.rest())[-1]
    assert (data(last)["code"], last.last_event_id) == ("draining", reader.seen[0].last_event_id)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "bad-field"), ({"sessionId": "a/b", "content": "x"}, 400, "bad-id"), (b"{", 400, "bad-json"),
        ({"sessionId": "", "content": "x"}, 400, "bad-id"), ({"sessionId": 2**53, "content": "x"}, 400, "bad-id"),
        ({"sessionId": -(2**70), "content": "x"}, 400, None), ({"sessionId": True, "content": "x"}, 400, "bad-field"),
        ({"sessionId": "s", "content": " "}, 400, "empty-message"),
        ({"sessionId": "s", "content": 1}, 400, "bad-field"),
        ({"sessionId": "s", "content": "x" * 20_000}, 413, "too-large"),
        ({"sessionId": "s", "content": "x", "robotId": "a b"}, 400, "bad-id"),
        ({"sessionId": "s", "content": "x", "intent": "i" * 256}, 400, "bad-field"),
        ({"sessionId": "s", "content": "x", "isHuman": "yes"}, 400, "bad-field"),
    ],
)  # fmt: skip
async def test_bad_messages_are_refused(chat: Chat, body: object, status: int, code: str | None) -> None:
    """In the shape of this family's errors."""
    answer = await chat.post("/api/messages", body)
    assert (answer.status, answer.data["success"]) == (status, False), answer
    assert answer.data.keys() == {"success", "error", "code"}
    assert code in (None, answer.code)


async def test_tokens_that_are_given_must_be_good(chat: Chat) -> None:
    """Who has none is a visitor; who has a bad one is not. A foreign page cannot write for a visitor."""
    for path in ("/api/sse/messages?sessionId=s", "/api/sse/stats"):
        answer = await chat.get(path, None, headers={"Authorization": "Bearer nonsense"})
        assert (answer.status, answer.code, answer.data["success"]) == (401, "token-invalid", False)
    assert (await chat.get("/api/sse/messages", "ann")).status == 403
    body = {"sessionId": "s", "content": "x"}
    for origin, status in (("https://evil.example", 403), ("http://localhost:5173", 201)):
        assert (await chat.post("/api/messages", body, None, headers={"Origin": origin})).status == status


@pytest.mark.options(allow_guests=False)
async def test_without_guests_a_token_is_needed(chat: Chat) -> None:
    """401 for all calls of the family."""
    for method, path in (
        ("POST", "/api/messages"),
        ("GET", "/api/sse/messages?sessionId=s"),
        ("GET", "/api/sse/stats"),
    ):
        answer = await chat.call(method, path, None if method == "GET" else b"{}", None)
        assert (answer.status, answer.code, answer.data["success"]) == (401, "token-missing", False)
    assert (await post(chat, "ann", "s")).status == 201


@pytest.mark.options(message_rate=3, room_rate=2)
async def test_limits_count_here_too(chat: Chat) -> None:
    """Messages of a user or an address, and new sessions of a user; programs are exempt."""
    for user in ("ann", None):
        assert [(await post(chat, user, f"s-{user}")).status for _ in range(4)] == [201, 201, 201, 429]
    assert [(await post(chat, "robot", "other")).status for _ in range(5)] == [201] * 5
    assert (await post(chat, "ben", "b1")).status == (await post(chat, "ben", "b2")).status == 201
    third = await post(chat, "ben", "b3")
    assert (third.status, third.code) == (429, "rate-limited")


async def stats(chat: Chat, user: str | None) -> Any:
    answer = await chat.get("/api/sse/stats", None, headers=headers(chat, user))
    assert (answer.status, answer.data["success"]) == (200, True)
    return answer.data["data"]


async def test_stats_show_what_the_caller_may_read(chat: Chat) -> None:
    """By channel; filters count for what they filter; a closed stream does not count."""
    await chat.call("PUT", "/api/rooms/den", {"private": True}, "ann")
    gone = await connected(chat, "ann", sessionId="123")
    for query in ({}, {"robotId": "7"}):
        await connected(chat, "ann", sessionId="123", **query)
        await connected(chat, None, sessionId="open", **query)
        await connected(chat, "agent", **query)
    await connected(chat)
    await chat.join("lobby", "ben")
    await chat.join("den", "ann")
    gone.close()
    await eventually(lambda: len(chat.server.hub.streams) == 9)
    hers, shared, lobby, den = (
        {"session_messages:123": 2},
        {"session_messages:open": 2},
        {"room:lobby": 1},
        {"room:den": 1},
    )
    expected = {
        "ann": hers | lobby | den,
        "ben": lobby,
        None: shared | {"session_messages:global": 1},
        "agent": hers | shared | lobby | {"session_messages:global": 3},
        "root": hers | shared | lobby | den | {"session_messages:global": 3},
    }
    for user, channels in expected.items():
        assert await stats(chat, user) == {"totalConnections": sum(channels.values()), "channels": channels}, user
