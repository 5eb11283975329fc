"""Retention: what is old goes, in short steps, from everywhere (housekeeping.py, storage/retention.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.server_process import SECRET
from chatrooms.cli import main
from chatrooms.clock import now_ms
from chatrooms.log import database_of
from chatrooms.log.database import Database
from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.server.housekeeping import DAY_MS, forget_old
from tests.helpers.chat import Chat, eventually
from tests.integration.cluster.test_nodes import started

TOPIC = "room:lobby"

_OF_REPLIES = (
    "insert into replies (id, user_id, username, conversation_id, prompt, state, text, node, lease_until, created_at, "
    "ended_at) values ($1, 'ann', 'Ann', 'c', 'asked', 'complete', 'said', 'n', 0, 0, $2)"
)
_OF_SESSIONS = "insert into session_messages (session_id, content, taken_at) values ($1, 'said', $2)"
_OF_TASKS = (
    "insert into tasks (task_id, user_id, title, state, progress, created_at, updated_at, ended_at) "
    "values ($1, 'ann', 'Ann''s', 'completed', 100, 0, 0, $2)"
)
_OF_RESULTS = "insert into results (task_id, room_id, format, size, expires_at) values ($1, 'lobby', 'html', 1, $2)"
_OF_CHUNKS = "insert into result_chunks (task_id, number, data) values ($1, 0, $2)"


@asynccontextmanager
async def opened(folder: Path, url: str | None) -> AsyncIterator[tuple[Database, Log]]:
    """A log, and its database."""
    database = database_of(url, folder)
    await database.open()
    log = Log(database, lambda events: None)
    await log.open()
    try:
        yield database, log
    finally:
        await log.close()
        await database.close()


async def write(database: Database, *statements: tuple[str, Sequence[object]]) -> None:
    async with database.transaction() as tx:
        for sql, values in statements:
            await tx.fetch(sql, *values)  # a trigger can be made by no other call


def refusing(table: str, condition: str, on_postgres: bool) -> list[tuple[str, Sequence[object]]]:
    """What makes the database refuse to let rows of a table go."""
    if not on_postgres:
        body = f"when {condition} begin select raise(abort, 'not this one'); end"
        return [(f"create trigger refuse before delete on {table} {body}", ())]
    raising = f"begin if {condition} then raise exception 'not this one'; end if; return old; end"
    return [
        (f"create function refuse() returns trigger language plpgsql as $${raising}$$", ()),
        (f"create trigger refuse before delete on {table} for each row execute function refuse()", ()),
    ]


def events(count: int) -> list[Event]:
    return [Event("room-message", b'{"message":"%d"}' % n, (TOPIC,)) for n in range(count)]


async def seqs(log: Log) -> list[int]:
    return [event.seq for event in await log.read(TOPIC, 0, 10_000)]


@pytest.mark.every_engine
@pytest.mark.gen_test(timeout=60)
async def test_event_with_a_wrong_date_takes_no_younger_ones_along(tmp_path: Path, database_url: str | None) -> None:
    """A clock that once was wrong neither removes what is young nor keeps what is old."""
    async with opened(tmp_path, database_url) as (database, log):
        await log.append(events(10))
        dated = [(f"update events set created_at = {n} * 1000 where seq = {n}", ()) for n in range(1, 11)]
        wrong = [(f"update events set created_at = {date} where seq = {n}", ()) for n, date in ((2, 9500), (9, 1))]
        await write(database, *dated, *wrong)
        assert await log.forget(6000) == 5
        assert await seqs(log) == [6, 7, 8, 9, 10]
        assert await log.forget(2**62) == 5


@pytest.mark.every_engine
@pytest.mark.gen_test(timeout=60)
async def test_retention_goes_on_where_it_was_cut_off(tmp_path: Path, database_url: str | None) -> None:
    """What one step has removed stays removed when a later one fails, and the floor tells it after a restart."""
    async with opened(tmp_path, database_url) as (database, log):
        await log.append(events(1000))
        await write(database, *refusing("events", "old.seq = 700", bool(database_url)))
        with pytest.raises(Exception, match="not this one"):
            await log.forget(2**62)
    async with opened(tmp_path, database_url) as (database, log):
        floor = log.floor
        assert 0 < floor < 700 and log.head == 1000
        assert await seqs(log) == list(range(floor + 1, 1001))
        await write(database, ("drop trigger refuse on events" if database_url else "drop trigger refuse", ()))
        assert await log.forget(2**62) == 1000 - floor
        assert (await seqs(log), log.floor) == ([], 1000)


@pytest.mark.every_engine
@pytest.mark.gen_test(timeout=60)
async def test_family_that_cannot_be_removed_keeps_no_other(
    chat: Chat, database_url: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """AI replies that the database does not let go: events go all the same."""
    database = chat.server.database
    await chat.say("lobby", "old")
    await write(database, (_OF_REPLIES, ("r", 1)), *refusing("replies", "true", bool(database_url)))
    await forget_old(chat.server, now_ms() + 1)
    assert await database.fetch("select data from events where type = 'room-message'") == []
    assert await database.fetch("select id from replies") == [("r",)]
    assert "AI replies" in caplog.text


@pytest.mark.every_engine
def test_command_removes_all_that_a_server_does(
    tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events, AI prompts and replies, messages of sessions, tasks and their results; what is younger stays."""
    if database_url:
        monkeypatch.setenv("CHATROOMS_DATABASE_URL", database_url)
        monkeypatch.setenv("CHATROOMS_SECRET", SECRET)
    asyncio.run(_fill(tmp_path, database_url, now_ms()))
    assert main(["retention", "--retention=1", "--task-days=0", f"--data-dir={tmp_path}"]) == 0
    assert capsys.readouterr().out == "removed 3 events\n"
    assert asyncio.run(_left(tmp_path, database_url)) == {
        "replies": ["young"], "session_messages": ["young"], "tasks": ["young"], "results": ["young"],
        "result_chunks": ["young"],
    }  # fmt: skip


async def _fill(folder: Path, url: str | None, now: int) -> None:
    """Something of every kind from two days ago, and something from now."""
    async with opened(folder, url) as (database, log):
        await log.append(events(3))
        await write(database, (f"update events set created_at = {now - 2 * DAY_MS}", ()))
        await log.append([Event("room-message", b"{}", (TOPIC,))])
        for name, time in (("old", now - 2 * DAY_MS), ("young", now)):
            rows = [(sql, (name, time)) for sql in (_OF_REPLIES, _OF_SESSIONS, _OF_TASKS)]
            await write(database, *rows, (_OF_RESULTS, (name, now + DAY_MS)), (_OF_CHUNKS, (name, b"said")))


async def _left(folder: Path, url: str | None) -> dict[str, list[str]]:
    """What there is of each kind but events, by name."""
    names = {
        "replies": "id", "session_messages": "session_id", "tasks": "task_id", "results": "task_id",
        "result_chunks": "task_id",
    }  # fmt: skip
    async with opened(folder, url) as (database, _):
        return {
            table: [row[0] for row in await database.fetch(f"select {name} from {table}")]
            for table, name in names.items()
        }


@pytest.mark.gen_test(timeout=60)
async def test_every_node_drops_what_retention_removes(postgres_url: str) -> None:
    """A tail in memory is no second log: no node can tell what one of them has removed."""
    async with started(2, database_url=postgres_url) as (one, two):
        reader = await two.join(user="bob")
        start = int(reader.last_event_id.rpartition("-")[2])
        await one.say("lobby", "old")
        await reader.event("room-message")

        def in_tail() -> int | None:
            topic = two.server.hub.find_topic(TOPIC)
            return topic.count_after(start) if topic and topic.covers(start) else None

        assert in_tail() == 1
        await forget_old(one.server, now_ms() + 1)
        await eventually(lambda: not in_tail())
        await one.say("lobby", "new")
        assert (await reader.event("room-message"))["message"] == "new"


@pytest.mark.every_engine
@pytest.mark.gen_test(timeout=60)
async def test_round_that_finds_nothing_leaves_nothing(chat: Chat) -> None:
    """Not even the order to forget, or each round would leave one for the next to remove."""
    await chat.say("lobby", "old")
    for _ in range(2):
        await forget_old(chat.server, now_ms() + 1)
    seqs = await chat.server.database.fetch("select count(*) from events")
    assert seqs == [(0,)]
