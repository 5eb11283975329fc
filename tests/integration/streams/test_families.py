"""What every family of streams can: polls, shared connections, soft refusals, replacement, expiry; and their doors."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.postgres import Postgres
from tests.helpers.channel import Subscribed, post_events
from tests.helpers.chat import Answer, Chat, eventually
from tests.helpers.families import FAMILIES, OWNER, Family, ending
from tests.helpers.reader import Reader, data
from tests.integration.cluster.test_nodes import started

pytestmark = pytest.mark.gen_test(timeout=60)

families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name + family.fields.get("form", ""))


async def opened(chat: Chat, family: Family, position: str = "", **more: Any) -> Reader:
    """A stream of a family that has its first event."""
    reader = await post_events(chat, family.wanted(chat, "c", **more), {"Last-Event-ID": position} if position else {})
    assert reader.status == 200, reader.first_write
    await reader.next()
    return reader


async def polled(chat: Chat, family: Family, position: str = "") -> Answer:
    return await chat.get(f"{family.path}&poll=1&lastEventId={position}".replace("?&", "?"), OWNER)


def numbers(family: Family, events: list[Any]) -> list[int]:
    return [number for event in events for number in range(1, 10) if family.tells(event, number)]


async def read_a_reply(one: Chat, many: Subscribed, two: Chat | None = None) -> None:
    """Adds an AI reply in both its forms, by way of another node if one is given, and reads it to its end."""
    reply = (await one.post("/api/chat/stream", {"message": "Hi"}, OWNER)).headers["X-Message-Id"]
    asked = {"stream": "reply", "messageId": reply, "token": one.token(OWNER)}
    await many.add({**asked, "key": "content"}, {**asked, "key": "ui", "form": "ui"}, chat=two)
    for key in ("content", "ui"):
        while not any(event.sub == key and event.data == "[DONE]" for event in many.reader.seen):
            await many.reader.next()


@families
async def test_every_family_is_opened_by_post_and_resumed(chat: Chat, family: Family) -> None:
    """All of what was missed, in order; of a task, its present state."""
    await family.prepare(chat)
    reader = await opened(chat, family)
    assert reader.last_event_id
    await family.happen(chat, 1)
    await reader.until(lambda event: family.tells(event, 1))
    reader.close()
    await family.happen(chat, 2)
    await family.happen(chat, 3)
    again = await opened(chat, family, reader.last_event_id)
    if family.name != "task":
        await again.until(lambda event: family.tells(event, 3))
    assert numbers(family, again.seen) == ([3] if family.name == "task" else [2, 3])


@families
async def test_every_family_is_polled(chat: Chat, family: Family) -> None:
    """The page of section 3, by its own path; polls and streams share positions."""
    await family.prepare(chat)
    first = await polled(chat, family)
    assert first.status == 200, first
    assert first.data.keys() == {"events", "more", "lastEventId", "recovered"}
    assert [event["id"] for event in first.data["events"]] == [first.data["lastEventId"]]
    await family.happen(chat, 1)
    page = (await polled(chat, family, first.data["lastEventId"])).data
    assert numbers(family, page["events"]) == [1]
    assert (page["more"], page["recovered"]) == (False, True)
    await family.happen(chat, 2)
    reader = await opened(chat, family, page["lastEventId"])
    if family.name != "task":
        await reader.until(lambda event: family.tells(event, 2))
    assert numbers(family, reader.seen) == [2]
    assert not numbers(family, (await polled(chat, family, "none")).data["events"][1:])


@families
@pytest.mark.options(max_streams=1)
async def test_every_family_is_softly_refused(chat: Chat, family: Family) -> None:
    """503 for the first request; 200 and the end, with the position and a time, for a reader that comes back."""
    await family.prepare(chat)
    held = await chat.join(user="other")
    assert (await chat.post("/events", family.wanted(chat), None)).status == 503
    reader = await opened(chat, family, held.last_event_id)
    assert [ending(event) for event in [*reader.seen, *await reader.rest()]] == ["full"]
    assert reader.last_event_id == held.last_event_id and (reader.retry or 0) >= 5000
    assert (await polled(chat, family, held.last_event_id)).status == 503


@families
async def test_every_family_is_replaced(chat: Chat, family: Family) -> None:
    """By the stream of the same user and clientId, over a shared connection too; more than ten times is a fight."""
    await family.prepare(chat)
    old = await opened(chat, family)
    many = await Subscribed.open(chat, [family.wanted(chat, "k", clientId="c")])
    assert [ending(event) for event in await old.rest()][-1] == "replaced"
    await opened(chat, family)
    last = await many.reader.until(lambda event: ending(event) is not None)
    assert (ending(last), last.sub) == ("replaced", "k")
    for _ in range(8):
        await opened(chat, family)
    assert (await chat.post("/events", family.wanted(chat, "c"), None)).code == "replaced-too-often"
    await eventually(lambda: len(chat.server.hub.streams) == 1)


@pytest.mark.options(heartbeat=0.1)
async def test_all_families_share_one_connection(chat: Chat) -> None:
    """Each in its own form, with heartbeats, told apart by `sub:`; tokens end each by itself, and can be extended."""
    for family in FAMILIES:
        await family.prepare(chat)
    keys = [f"k{n}" for n in range(len(FAMILIES))]
    short = chat.token(OWNER, ttl=2)
    asked = [f.wanted(chat, key, token=short) for f, key in zip(FAMILIES, keys, strict=True)]
    many = await Subscribed.open(chat, asked)
    for family, key in zip(FAMILIES, keys, strict=True):
        await family.happen(chat, 5)
        if not any(event.sub == key and family.tells(event, 5) for event in many.reader.seen):
            await many.reader.until(lambda event, k=key, f=family: event.sub == k and f.tells(event, 5))  # type: ignore[misc]
    assert all(event.sub for event in many.reader.seen)
    forms = {key: {event.type for event in many.of(key)} - {"room-message", "room-joined"} for key in keys}
    assert forms["k2"] == forms["k4"] == {"message"}
    extended = await chat.post("/api/auth/extend", {"clientId": "k5"}, OWNER)
    assert extended.status == 200, extended
    ended: dict[str, str] = {}
    while len(ended) < len(keys) - 1:
        event = await many.reader.until(lambda event: ending(event) is not None)
        ended[event.sub] = str(ending(event))
    assert ended == dict.fromkeys(keys[:-1], "token-expired")
    await FAMILIES[5].happen(chat, 9)
    await many.reader.until(lambda event: event.sub == "k5" and FAMILIES[5].tells(event, 9))
    await read_a_reply(chat, many)


async def test_all_families_are_added_by_way_of_another_node(postgres: Postgres) -> None:
    """Identities go there, never tokens; also that of a reader of sessions that has none."""
    async with started(2, database_url=postgres.url(postgres.emptied("families"))) as (one, two):
        for family in FAMILIES:
            await family.prepare(one)
        many = await Subscribed.open(one, [FAMILIES[0].wanted(one, "first")])
        keys = [f"k{n}" for n in range(len(FAMILIES))]
        asked = [f.wanted(one, key) for f, key in zip(FAMILIES, keys, strict=True)]
        visitor = {"key": "v", "stream": "session", "sessionId": "open"}
        await many.add(*asked, visitor, chat=two)
        await many.answers([*keys, "v"])
        assert "refused" not in {event.type for event in many.reader.seen}
        for family, key in zip(FAMILIES, keys, strict=True):
            await family.happen(two, 5)
            if not any(event.sub == key and family.tells(event, 5) for event in many.reader.seen):
                await many.reader.until(lambda event, k=key, f=family: event.sub == k and f.tells(event, 5))  # type: ignore[misc]
        await read_a_reply(one, many, two)
        rows = await one.server.database.fetch("select data from events where type = 'subscriptions-changed'")
        assert len(rows) == 2 and "notifications" in str(rows) and str(asked[0]["token"]) not in str(rows)


async def test_what_is_over_ends_its_subscription_alone(chat: Chat) -> None:
    """A task that has ended: its last event, then `closing`; with that position only the latter, or 204 by itself."""
    task = FAMILIES[5]
    await task.prepare(chat)
    many = await Subscribed.open(chat, [task.wanted(chat, "t"), FAMILIES[0].wanted(chat, "r")])
    await chat.call("PATCH", "/api/v1/tasks/t", {"state": "completed"}, OWNER)
    ended = {"reason": "ended", "reconnect": False}
    assert await many.event("t", "closing") == ended
    assert [event.type for event in many.of("t")] == ["progress", "complete", "closing"]
    position = many.of("t")[-1].last_event_id
    await many.add(task.wanted(chat, "late"))
    assert await many.event("late", "closing") == ended
    assert [event.type for event in many.of("late")] == ["complete", "closing"]
    await many.add(task.wanted(chat, "seen", lastEventId=position))
    assert await many.event("seen", "closing") == ended
    assert [event.type for event in many.of("seen")] == ["closing"]
    await chat.say("lobby", "still there")
    await many.message("r", "still there")
    assert (await polled(chat, task)).data["events"][0]["event"] == "complete"
    assert (await polled(chat, task, position)).status == 204
    assert (await chat.post("/events", task.wanted(chat, lastEventId=position), None)).status == 204


DOORS: list[tuple[dict[str, Any], str, str, int, str]] = [
    # what is asked for, by whom, in which role, and what it is refused with
    ({"stream": "task", "taskId": "t"}, "eve", "user", 403, "forbidden"),
    ({"stream": "task", "taskId": "none"}, OWNER, "user", 404, "not-found"),
    ({"stream": "task", "taskId": "a/b"}, OWNER, "user", 400, "bad-id"),
    ({"stream": "task"}, OWNER, "user", 400, "bad-id"),
    ({"stream": "notifications", "userId": OWNER}, "eve", "user", 403, "user-mismatch"),
    ({"stream": "notifications", "userId": OWNER}, "eve", "agent", 403, "user-mismatch"),
    ({"stream": "notifications", "sessionId": "a/b"}, OWNER, "user", 400, "bad-id"),
    ({"stream": "personal", "userId": OWNER}, "eve", "user", 403, "user-mismatch"),
    ({"stream": "personal", "userId": OWNER}, "eve", "admin", 403, "user-mismatch"),
    ({"stream": "personal", "form": "none"}, OWNER, "user", 400, "bad-field"),
    ({"stream": "session", "sessionId": "s"}, "eve", "user", 403, "forbidden"),
    ({"stream": "session"}, "eve", "user", 403, "forbidden"),
    ({"stream": "session", "sessionId": "s", "history": "x"}, OWNER, "user", 400, "bad-field"),
    ({"stream": "reply", "messageId": "none"}, OWNER, "user", 404, "not-found"),
    ({"stream": "none"}, OWNER, "user", 400, "bad-field"),
    ({"roomId": "private", "username": "eve"}, "eve", "user", 403, "forbidden"),
]


async def prepared(chat: Chat) -> None:
    """What OWNER has: a task, a session, a private room."""
    await FAMILIES[5].prepare(chat)
    await opened(chat, FAMILIES[4])
    assert (await chat.call("PUT", "/api/rooms/private", {"private": True}, OWNER)).status in (200, 201)


async def test_no_door_opens_by_a_subscription(chat: Chat) -> None:
    """Each is refused as by its own call; so is the single stream by POST."""
    await prepared(chat)
    asked = [{"key": f"k{n}", "token": chat.token(door[1], role=door[2]), **door[0]} for n, door in enumerate(DOORS)]
    many = await Subscribed.open(chat, [*asked, FAMILIES[0].wanted(chat, "stays")])
    for n, (fields, user, role, status, code) in enumerate(DOORS):
        refused = [event for event in many.of(f"k{n}") if event.type == "refused"]
        assert [(data(event)["status"], data(event)["code"]) for event in refused] == [(status, code)], fields
        single = await chat.post("/events", fields, user, role=role)
        assert (single.status, single.code) == (status, code), fields
    await many.remove("stays", user=OWNER)
    await many.event("stays", "closing")


async def test_who_is_above_the_rules_may_by_a_subscription_too(chat: Chat) -> None:
    """As by the families' own calls."""
    await prepared(chat)
    asked = [
        {"key": "task", "stream": "task", "taskId": "t", "token": chat.token("agent", role="agent")},
        {"key": "session", "stream": "session", "sessionId": "s", "token": chat.token("agent", role="agent")},
        {"key": "all", "stream": "session", "token": chat.token("agent", role="agent")},
        {"key": "notes", "stream": "notifications", "userId": OWNER, "token": chat.token("crm", role="service")},
    ]
    many = await Subscribed.open(chat, asked)
    assert "refused" not in {event.type for event in many.reader.seen}


async def test_without_a_token_only_sessions_are_read(chat: Chat) -> None:
    """Those that have no owner, and not for a page of another origin."""
    await prepared(chat)
    asked = [{"key": f"k{n}", "stream": f.name, **f.fields} for n, f in enumerate(FAMILIES)]
    asked += [{"key": "open", "stream": "session", "sessionId": "open"}, {"key": "all", "stream": "session"}]
    asked += [{"key": "reply", "stream": "reply", "messageId": "x"}]
    many = await Subscribed.open(chat, asked)
    refused = {e.sub: data(e)["code"] for e in many.reader.seen if e.type == "refused"}
    keys = [*(f"k{n}" for n in range(len(FAMILIES))), "reply"]
    assert refused == {key: "forbidden" if key == "k4" else "token-missing" for key in keys}
    single = await chat.post("/events", {"stream": "session", "sessionId": "open", "poll": 1}, None)
    assert single.data["events"][0]["data"]["sessionId"] == "open"
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    reader = await post_events(chat, {"subscriptions": [{"key": "open", "stream": "session"}]}, foreign)
    assert [data(event).get("code") for event in await reader.rest()] == ["bad-origin", None]
    body = {"stream": "session", "sessionId": "open", "poll": 1}
    assert (await chat.post("/events", body, None, headers=foreign)).code == "bad-origin"


@pytest.mark.options(allow_guests=False)
async def test_where_guests_are_off_nobody_reads_without_a_token(chat: Chat) -> None:
    reader = await post_events(chat, {"subscriptions": [{"key": "s", "stream": "session", "sessionId": "s"}]})
    assert [data(event).get("code") for event in await reader.rest()] == ["token-missing", None]
    assert (await chat.post("/events", {"stream": "session", "sessionId": "s"}, None)).status == 401


async def test_cookie_serves_no_page_of_another_origin(chat: Chat) -> None:
    """Its subscriptions are writes: a browser sends the cookie along for anybody."""
    await prepared(chat)
    headers = {"Cookie": f"chatrooms_token={chat.token(OWNER)}", "Origin": "https://evil.example"}
    asked = [{"key": f"k{n}", "stream": f.name, **f.fields} for n, f in enumerate(FAMILIES)]
    reader = await post_events(chat, {"subscriptions": asked}, headers)
    codes = {data(event)["code"] for event in await reader.rest() if event.type == "refused"}
    assert codes == {"bad-origin"}


async def test_ticket_lets_in_once_and_as_its_own_user(chat: Chat) -> None:
    await prepared(chat)
    ticket = (await chat.post("/api/auth/ticket", user="eve")).data["ticket"]
    asked = [
        {"key": "a", "ticket": ticket, "stream": "notifications", "userId": OWNER},
        {"key": "b", "ticket": ticket, "stream": "notifications"},
    ]
    reader = await post_events(chat, {"subscriptions": asked})
    codes = {event.sub: data(event)["code"] for event in await reader.rest() if event.type == "refused"}
    assert codes == {"a": "user-mismatch", "b": "ticket-invalid"}


async def test_streams_end_with_their_rights_over_a_shared_connection(chat: Chat) -> None:
    """A session that was given to another user, a kick, a sign-out: each ends what it is about."""
    for family in FAMILIES:
        await family.prepare(chat)
    guest = (await chat.post("/api/auth/guest", {"username": "Guest"}, None)).data
    asked = [f.wanted(chat, f"k{n}") for n, f in enumerate(FAMILIES)]
    own = [{"key": f"g-{name}", "stream": name, "token": guest["token"]} for name in ("personal", "notifications")]
    many = await Subscribed.open(chat, [*asked, *own])

    async def ends(key: str) -> str:
        while not (told := [ending(event) for event in many.of(key) if ending(event)]):
            await many.reader.next()
        return str(told[0])

    await chat.call("PUT", "/api/sessions/s", {"userId": "eve"}, "crm", role="service")
    assert await ends("k4") == "forbidden"
    await chat.post("/api/rooms/lobby/kick", {"userId": OWNER}, "root", role="admin")
    assert await ends("k0") == "kicked"
    await chat.post("/api/auth/signout", None, None, headers={"Authorization": f"Bearer {guest['token']}"})
    assert {await ends("g-personal"), await ends("g-notifications")} == {"revoked"}
    for n in (1, 2, 3, 5):
        await FAMILIES[n].happen(chat, 7)
        await many.reader.until(lambda event, n=n: event.sub == f"k{n}" and FAMILIES[n].tells(event, 7))  # type: ignore[misc]
