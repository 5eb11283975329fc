"""Whose a message session is, and what that lets one read (section 5)."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest

from chatrooms.log.database import migrations
from tests.helpers.chat import Answer, Chat, gather
from tests.helpers.reader import data
from tests.integration.cluster.test_nodes import started
from tests.integration.conftest import Sql
from tests.integration.sessions.test_outbox import insert
from tests.integration.sessions.test_sessions import connected, content, headers, listen, must, post, stats

pytestmark = [pytest.mark.gen_test(timeout=60)]

OWNED = "session_id, content, owner"

every_engine = pytest.mark.every_engine
assigned = pytest.mark.options(session_claim="assigned")


async def get(chat: Chat, user: str | None, path: str = "/api/messages", **query: Any) -> Answer:
    return await chat.get(f"{path}?{urlencode(query)}", None, headers=headers(chat, user))


async def assign(chat: Chat, session: str, owner: object, user: str | None = "robot", **more: object) -> Answer:
    return await chat.call(
        "PUT", f"/api/sessions/{session}", {"userId": owner, **more}, None, headers=headers(chat, user)
    )


async def paged(chat: Chat, user: str | None, **query: Any) -> list[str]:
    """The texts of a page."""
    answer = await get(chat, user, **query)
    assert (answer.status, answer.data["success"]) == (200, True), answer
    return [message["content"] for message in answer.data["data"]["messages"]]


def polled_texts(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    events = [event["data"] for event in answer.data["events"]]
    return [event["data"]["content"] for event in events if event["type"] == "message"]


async def polled(chat: Chat, user: str | None, **query: Any) -> list[str]:
    """The texts of a poll."""
    return polled_texts(await get(chat, user, "/api/sse/messages", poll=1, **query))


async def told_first(chat: Chat, user: str | None, count: int, **query: object) -> list[str]:
    """The first texts of a stream."""
    reader = await connected(chat, user, **query)
    return [await content(reader) for _ in range(count)]


async def every_way(chat: Chat, user: str, session: str, start: str, next: str) -> list[list[str]]:
    """What somebody reads of a session from a position, in every way there is; `next` is what is said then."""
    pages: Sequence[dict[str, object]] = ({}, {"after": start}, {"limit": 200}, {"robotId": "7"})
    seen = [await paged(chat, user, sessionId=session, **query) for query in pages]
    queries: Sequence[dict[str, object]] = (
        {"history": 200},
        {"lastEventId": start},
        {"lastEventId": start, "robotId": "7"},
    )
    seen += [await polled(chat, user, sessionId=session, **query) for query in queries]
    readers = [await connected(chat, user, sessionId=session, **query) for query in queries]
    readers.append(await listen(chat, user, {"Last-Event-ID": start}, sessionId=session, history=5))
    await must(chat, "robot", session, next, robotId="7")
    last = [[await content(reader)] for reader in readers]
    assert last == [[next]] * 4
    return seen


@every_engine
@pytest.mark.parametrize("how", ["opens", "writes", "pages", "polls", "is given"])
async def test_nobody_reads_what_was_said_before_it_was_theirs(chat: Chat, sql: Sql, how: str) -> None:
    """By whatever call a session becomes somebody's: not by position, history, poll, page, nor a filter."""
    start = (await connected(chat, "agent")).last_event_id
    everything = await connected(chat, "agent", sessionId="s")
    await must(chat, "robot", "s", "secret", robotId="7")
    await must(chat, None, "s", "of a visitor", robotId="7")
    await insert(sql, "('s', 'of another program', '7')", "session_id, content, robot_id")
    assert [await content(everything) for _ in range(3)] == ["secret", "of a visitor", "of another program"]
    own: list[str] = []
    if how == "writes":
        await must(chat, "ann", "s", "mine", robotId="7")
        own = ["mine"]
    elif how == "opens":
        first = data(await (await listen(chat, "ann", sessionId="s", lastEventId=start, history=200)).next())
        assert (first["recovered"], first["missed"]) == (False, None)
    elif how == "polls":
        assert await polled(chat, "ann", sessionId="s", history=200) == []
    elif how == "is given":
        assert (await assign(chat, "s", "ann")).status == 200
    else:
        assert await paged(chat, "ann", sessionId="s", after=start) == []
    if own:
        assert await paged(chat, "ann", sessionId="s") == own
        return
    assert await every_way(chat, "ann", "s", start, "hello") == [[]] * 7
    assert await paged(chat, "ann", sessionId="s", after=start, limit=200) == ["hello"]
    assert await stats(chat, None) == {"totalConnections": 0, "channels": {}}
    assert len(await paged(chat, "agent", sessionId="s")) == 4


PRODUCTION = [
    pytest.param(marks=pytest.mark.options(session_claim="assigned")),
    pytest.param(marks=pytest.mark.options(trusted_proxies="192.0.2.1")),
    pytest.param(marks=pytest.mark.options(allowed_hosts="127.0.0.1", allow_guests=True)),
]


@every_engine
@pytest.mark.parametrize((), PRODUCTION, ids=["assigned", "behind a proxy", "with guests"])
async def test_assigned_sessions_are_nobodys_to_take(chat: Chat) -> None:
    """A user gets 403 for every call until the session is its own; so it is everywhere but in development."""
    await must(chat, "robot", "s", "said before")
    for user in ("ann", "ben"):
        assert (await post(chat, user, "s")).status == 403
        for path, more in (("/api/messages", {}), ("/api/sse/messages", {}), ("/api/sse/messages", {"poll": 1})):
            answer = await get(chat, user, path, sessionId="s", **more)
            assert (answer.status, answer.code, answer.data["success"]) == (403, "forbidden", False)
    assert (await assign(chat, "s", "ann")).status == 200
    assert (await post(chat, "ben", "s")).status == 403
    await must(chat, "ann", "s", "mine")
    assert await paged(chat, "ann", sessionId="s") == ["mine"]


@every_engine
@pytest.mark.options(trusted_proxies="192.0.2.1", session_claim="first")
async def test_first_come_may_be_chosen(chat: Chat) -> None:
    """Also where others are served; without a token nobody is."""
    assert (await post(chat, None, "s")).status == 401
    await must(chat, "ann", "s", "mine")
    assert (await post(chat, "ben", "s")).status == 403


@every_engine
async def test_session_changes_hands(chat: Chat) -> None:
    """The former owner's streams end and it reads no more; the new one reads what follows, or all if so given."""
    await must(chat, "ann", "s", "of ann")
    readers = [await connected(chat, "ann", sessionId="s", **more) for more in ({}, {"robotId": "7"})]
    agent, other = await connected(chat, "agent", sessionId="s"), await connected(chat, "ann", sessionId="t")
    start = readers[0].last_event_id
    answer = await assign(chat, "s", 42, "agent")
    assert (answer.status, answer.data) == (200, {"success": True, "data": {"sessionId": "s", "userId": "42"}})
    for reader in readers:
        last = data((await reader.rest())[-1])
        assert (last["type"], last["code"], last["reconnect"]) == ("error", "forbidden", False)
    assert (await post(chat, "ann", "s")).status == 403
    for more in ({}, {"after": start}, {"before": start}):
        assert (await get(chat, "ann", sessionId="s", **more)).status == 403
    assert await every_way(chat, "42", "s", start, "of 42") == [[]] * 7
    await must(chat, "robot", "t", "others go on")
    assert [await content(other)] == ["others go on"]
    assert [await content(agent)] == ["of 42"]
    assert (await assign(chat, "s", "42", "root", withHistory=True)).status == 200
    assert await paged(chat, "42", sessionId="s") == ["of ann", "of 42"]
    assert (await assign(chat, "s", "42")).status == 200  # what it is already
    assert await told_first(chat, "42", 2, sessionId="s", history=200) == ["of ann", "of 42"]
    assert (await assign(chat, "s", "ann")).status == 200
    assert await paged(chat, "ann", sessionId="s") == []


@every_engine
async def test_who_may_assign_sessions(chat: Chat) -> None:
    """Service, agent and admin; 401 comes before 403, and that before 400."""
    assert [(await assign(chat, "s", "ann", user)).status for user in (None, "ann")] == [401, 403]
    assert [(await assign(chat, f"s-{user}", "ann", user)).status for user in ("robot", "agent", "root")] == [200] * 3
    for session, owner, code in (("a b", "x", "bad-id"), ("s", "", "bad-field"), ("s", None, "bad-field")):
        answer = await assign(chat, session.replace(" ", "%20"), owner)
        assert (answer.status, answer.code, answer.data["success"]) == (400, code, False)


@every_engine
@assigned
async def test_rows_say_whose_a_session_is(chat: Chat, sql: Sql) -> None:
    """In the column `owner`: from that row on it is that user's; a bad one is refused with its row."""
    await insert(
        sql, "('s', 'before', null), ('s', 'hello Ann', 'ann'), ('t', 'open', null)", "session_id, content, owner"
    )
    everything = await connected(chat, "agent", history=200)
    assert [await content(everything) for _ in range(3)] == ["before", "hello Ann", "open"]
    assert await paged(chat, "ann", sessionId="s") == ["hello Ann"]
    reader = await connected(chat, "ann", sessionId="s")
    await insert(
        sql, "('s', 'more', null), ('s', 'again', 'ann'), ('s', 'hello Ben', 'ben')", "session_id, content, owner"
    )
    last = data((await reader.rest())[-1])
    assert (last["type"], last["code"]) == ("error", "forbidden")
    assert [await content(everything) for _ in range(3)] == ["more", "again", "hello Ben"]
    assert await paged(chat, "ben", sessionId="s") == ["hello Ben"]
    assert await paged(chat, None) == ["open"]
    await insert(sql, f"('s', 'x', '{'x' * 300}'), ('s', 'last', null)", OWNED)
    assert await content(everything) == "last"
    ((reason,),) = await sql("select refused from session_messages where refused is not null")
    assert "userId" in reason


@every_engine
async def test_history_polls_and_pages(chat: Chat) -> None:
    """The last messages first, then what follows; pages in both directions; a filter filters them, too."""
    await assign(chat, "s", "ann")
    ids = [(await must(chat, "ann", "s", f"m{n}", robotId=str(n % 2)))["id"] for n in range(10)]
    assert await told_first(chat, "ann", 3, sessionId="s", history=3) == ["m7", "m8", "m9"]
    assert await told_first(chat, "ann", 2, sessionId="s", history=2, robotId="0") == ["m6", "m8"]
    assert await told_first(chat, "ann", 1, sessionId="s", history=5, lastEventId=ids[8]) == ["m9"]
    assert await told_first(chat, "agent", 4, history=4) == ["m6", "m7", "m8", "m9"]
    assert await paged(chat, "ann", sessionId="s", limit=3) == ["m7", "m8", "m9"]
    assert await paged(chat, "ann", sessionId="s", limit=3, before=ids[7]) == ["m4", "m5", "m6"]
    assert await paged(chat, "ann", sessionId="s", limit=3, after=ids[1]) == ["m2", "m3", "m4"]
    assert await paged(chat, "agent", limit=2, after=ids[7], robotId="1") == ["m9"]
    for query, more in (({"limit": 10}, False), ({"limit": 9}, True), ({"after": ids[0], "limit": 9}, False)):
        assert (await get(chat, "ann", sessionId="s", **query)).data["data"]["hasMore"] is more
    for query in ({"limit": 0}, {"limit": 201}, {"before": "x"}, {"before": ids[0], "after": ids[0]}):
        assert (await get(chat, "ann", sessionId="s", **query)).status == 400
    assert (await get(chat, "ann", "/api/sse/messages", sessionId="s", history=201)).status == 400
    first = await get(chat, "ann", "/api/sse/messages", sessionId="s", poll=1, history=4)
    assert polled_texts(first) == ["m6", "m7", "m8", "m9"]
    assert {event["event"] for event in first.data["events"]} == {"message"}
    assert first.data["events"][0]["data"]["type"] == "connected"
    assert first.data["events"][-1]["id"] == first.data["lastEventId"] == ids[9] and first.data["more"] is False
    await must(chat, "ann", "s", "m10")
    assert await polled(chat, "ann", sessionId="s", lastEventId=first.data["lastEventId"]) == ["m10"]
    await assign(chat, "many", "ann")
    for n in range(250):
        await must(chat, "robot", "many", f"n{n}")
    texts, position, more = [], ids[0], True
    while more:
        answer = await get(
            chat, "ann", "/api/sse/messages", sessionId="many", poll=1, lastEventId=position, history=200
        )
        texts += polled_texts(answer)
        position, more = answer.data["lastEventId"], answer.data["more"]
    assert texts == [f"n{n}" for n in range(50, 250)]  # the position was not theirs: the last 200


@every_engine
async def test_claimed_session_leaves_nothing_with_visitors(chat: Chat, sql: Sql) -> None:
    """However much was said in it, and in whatever way they look: only sessions without an owner are theirs."""
    start = (await connected(chat)).last_event_id
    await must(chat, None, "t", "first", robotId="7")
    many = ", ".join(f"('s', 'm{n}', '7')" for n in range(1200))
    everything = await connected(chat, "agent", sessionId="s")
    await insert(sql, many, "session_id, content, robot_id")
    assert [await content(everything) for _ in range(1200)] == [f"m{n}" for n in range(1200)]
    await must(chat, None, "t", "last", robotId="7")
    reader = await connected(chat)
    await assign(chat, "s", "ann")
    for more in ({}, {"robotId": "7"}):
        assert await paged(chat, None, limit=200, **more) == ["first", "last"]
        assert await polled(chat, None, history=200, **more) == ["first", "last"]
        assert await told_first(chat, None, 2, history=200, **more) == ["first", "last"]
        assert await told_first(chat, None, 2, lastEventId=start, **more) == ["first", "last"]
    for query in ({}, {"after": start}):
        assert (await get(chat, None, sessionId="s", **query)).status == 403
    await must(chat, "ann", "s", "hers")
    await must(chat, None, "t", "theirs")
    assert await content(reader) == "theirs"


async def test_session_is_assigned_on_every_node_at_once(postgres_url: str) -> None:
    """Whoever is told so may open it on any node, and reads nothing of before there; streams of others end."""
    async with started(2, database_url=postgres_url) as (one, two):
        start = (await connected(one, "agent")).last_event_id
        for n in range(20):
            session, owner = f"s{n}", f"user-{n}"
            visitor = await connected(two, None, sessionId=session)
            await must(one, None, session, "secret")
            assert await content(visitor) == "secret"
            await assign(one, session, owner)
            assert await paged(two, owner, sessionId=session, after=start) == []
            reader = await connected(two, owner, sessionId=session, lastEventId=start, history=9)
            assert data((await visitor.rest())[-1])["code"] == "forbidden"
            await must(one, "robot", session, "hello")
            assert await content(reader) == "hello"
            await assign(one, session, "other")
            assert data((await reader.rest())[-1])["code"] == "forbidden"
            assert (await post(two, owner, session)).status == 403


async def test_owner_is_known_where_no_wake_up_came(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that has not heard of an owner yet asks the database, and takes what was said before as such."""
    async with started(2, database_url=postgres_url) as (one, two):
        monkeypatch.setattr(one.server.nodes._bus, "send", lambda channel, message: None)
        for n in range(5):
            await must(one, "robot", "s", "secret")
            await assign(one, "s", f"user-{n}")
            reader = await connected(two, f"user-{n}", sessionId="s", history=200)
            assert await polled(two, f"user-{n}", sessionId="s", history=200) == []
            await must(one, "robot", "s", f"to {n}")
            assert await content(reader) == f"to {n}"


async def test_claims_at_the_same_moment_leave_one_owner(postgres_url: str) -> None:
    """Of two users on two nodes, and a program that assigns: one of them has it, and all nodes agree."""
    async with started(2, database_url=postgres_url) as nodes:
        for n in range(10):
            session = f"s{n}"
            answers = await gather(
                *(post(node, user, session) for node, user in zip(nodes, ("ann", "ben"), strict=True)),
                *(get(node, user, sessionId=session) for node, user in zip(nodes, ("cy", "dee"), strict=True)),
            )
            assert sorted(answer.status for answer in answers)[1:] == [403] * 3
            winners = [
                user
                for user in ("ann", "ben", "cy", "dee")
                for answer in await asyncio.gather(*(get(node, user, sessionId=session) for node in nodes))
                if answer.status == 200
            ]
            assert len(winners) == 2 and len(set(winners)) == 1


async def test_nobody_reads_another_owners_time(postgres_url: str) -> None:
    """A session goes to and fro while both look in every way, on both nodes: each reads what was said to it alone."""
    async with started(2, database_url=postgres_url, stream_rate=0, message_rate=0) as nodes:
        texts: dict[str, set[str]] = {"ann": set(), "ben": set()}
        first = await must(nodes[0], "robot", "s", "to nobody")
        over = asyncio.Event()

        async def look(chat: Chat, user: str) -> None:
            while not over.is_set():
                query = {"sessionId": "s", "history": 200, "lastEventId": random.choice([first["id"], ""])}
                page = await get(chat, user, sessionId="s", after=random.choice([first["id"], ""]))
                poll = await get(chat, user, "/api/sse/messages", poll=1, **query)
                assert {page.status, poll.status} <= {200, 403}, (page, poll)
                if page.status == 200:
                    texts[user].update(message["content"] for message in page.data["data"]["messages"])
                if poll.status == 200:
                    texts[user].update(polled_texts(poll))
                reader = await listen(chat, user, **query)
                if reader.status == 200:
                    events = [data(event) for event in await reader.rest()]
                    texts[user].update(event["data"]["content"] for event in events if event["type"] == "message")

        looking = [asyncio.create_task(look(node, user)) for node in nodes for user in texts]
        for n in range(60):
            user = ("ann", "ben")[n % 2]
            assert (await assign(nodes[n % 3 % 2], "s", user)).status == 200
            await must(random.choice(nodes), "robot", "s", f"to {user} {n}")
        over.set()
        await assign(nodes[0], "s", "nobody-else")
        await asyncio.gather(*looking)
        for user, seen in texts.items():
            assert seen and all(text.startswith(f"to {user} ") for text in seen), seen


@every_engine
async def test_owners_of_before_keep_what_they_had(tmp_path: Path, database_url: str | None) -> None:
    """A database of an older version is upgraded in place: owners read all, as they did; rows that wait are taken."""
    await make_older(tmp_path, database_url)
    async with started(1, data_dir=tmp_path, database_url=database_url) as (chat,):
        reader = await connected(chat, "ann", sessionId="s", history=200)
        assert await content(reader) == "waiting"
        assert (await post(chat, "ben", "s")).status == 403
        async with chat.server.database.transaction() as tx:
            assert await tx.fetch("select since from sessions") == [(0,)]


async def make_older(folder: Path, database_url: str | None) -> None:
    """A database as it was before sessions could be assigned, with an owner and a row that waits."""
    old = [(number, script) for number, script in migrations("postgres" if database_url else "sqlite") if number < 13]
    scripts = ["create table migrations (number integer primary key, applied_at bigint not null)"]
    for number, script in old:
        scripts += [script, f"insert into migrations values ({number}, 0)"]
    scripts.append("insert into sessions (session_id, owner, created_at) values ('s', 'ann', 0)")
    scripts.append("insert into session_messages (session_id, content) values ('s', 'waiting')")
    if database_url:
        connection = await asyncpg.connect(database_url)
        await connection.execute(";".join(scripts))
        await connection.close()
    else:
        with closing(sqlite3.connect(folder / "chatrooms.db")) as connection:
            connection.executescript(";".join(scripts))
