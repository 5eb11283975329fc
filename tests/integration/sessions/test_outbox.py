"""Rows that other programs put into `session_messages` (section 5)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from chatrooms.clock import now_ms
from chatrooms.errors import Unavailable
from chatrooms.log import postgres
from chatrooms.server.housekeeping import forget_old
from chatrooms.sessions.store import forget
from tests.helpers.chat import Chat
from tests.helpers.reader import Reader
from tests.integration.conftest import Sql
from tests.integration.sessions.test_sessions import connected, content, must, post

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]

_SQLITE = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute(sys.argv[2]).fetchall()); c.commit()"


async def insert(sql: Sql, values: str, columns: str = "session_id, content") -> None:
    await sql(f"insert into session_messages ({columns}) values {values}")


async def message(reader: Reader) -> Any:
    """The data of the next message."""
    event = await reader.until(lambda event: '"type":"message"' in event.data)
    return json.loads(event.data)["data"]


async def test_fault_in_one_row_holds_up_no_other(
    chat: Chat, sql: Sql, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that nobody foresaw: the row is refused and says so, without a word of it in the log."""
    read = chat.server.outbox._message

    def flawed(row: Any) -> Any:
        if row.id == 2:
            raise RecursionError(row.content)
        return read(row)

    monkeypatch.setattr(chat.server.outbox, "_message", flawed)
    reader = await connected(chat, sessionId="42")
    for text in ("one", "poison", "two"):
        await insert(sql, f"('42', '{text}')")
    assert [(await message(reader))["content"] for _ in "12"] == ["one", "two"]
    assert await sql("select id from session_messages where refused is not null") == [(2,)]
    assert "row 2 of session_messages failed: RecursionError" in caplog.text and "poison" not in caplog.text
    caplog.clear()  # foreseen here


async def test_row_reaches_the_streams(chat: Chat, sql: Sql) -> None:
    """With what it says; what it does not say has its defaults."""
    one, everything = await connected(chat, sessionId="42"), await connected(chat)
    robot = await connected(chat, robotId="7")
    await insert(sql, "('42', 'plain')")
    await insert(
        sql, "('42', 'full', true, true, 'greeting', '7', '2026-01-31 12:00:00')",
        "session_id, content, is_from_bot, is_human, intent, robot_id, created_at",
    )  # fmt: skip
    for reader in (one, everything):
        plain, full = await message(reader), await message(reader)
        assert (plain["content"], plain["isFromBot"], plain["isHuman"]) == ("plain", False, False)
        assert (plain["intent"], plain["robotId"], plain["createdAt"][-1]) == (None, None, "Z")
        assert full | {"id": ""} == {
            "id": "", "sessionId": "42", "content": "full", "isFromBot": True, "isHuman": True,
            "intent": "greeting", "robotId": "7", "createdAt": "2026-01-31T12:00:00.000Z",
        }  # fmt: skip
    assert await content(robot) == "full"


async def test_rows_of_other_processes_come(
    chat: Chat, tmp_path: Path, database_url: str | None, postgres: Any
) -> None:
    """By psql, or by SQLite in a process of its own."""
    reader = await connected(chat, sessionId="42")
    statement = "insert into session_messages (session_id, content) values (42, 'from outside')"
    if database_url:
        await asyncio.to_thread(postgres.sql, database_url.rpartition("/")[2], statement)
    else:
        path = str(tmp_path / "chatrooms.db")
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _SQLITE, path, statement)
        assert await process.wait() == 0
    assert await content(reader) == "from outside"


async def test_rows_of_an_owned_session_are_the_owners(chat: Chat, sql: Sql) -> None:
    """They are in no visitor's stream."""
    await connected(chat, "ann", sessionId="hers")
    everything, hers = await connected(chat), await connected(chat, "ann", sessionId="hers")
    await insert(sql, "('hers', 'secret'), ('anybodys', 'open')")
    assert await content(hers) == "secret"
    assert await content(everything) == "open"


async def test_bad_rows_block_nobody_and_are_not_lost(
    chat: Chat, sql: Sql, database_url: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is refused with its reason; a corrected one is taken."""
    reader = await connected(chat, sessionId="s")
    long = "x" * 20_000
    huge = "'" + "y" * 2_000_000 + "'"
    bad = ["('a/b', 'x')", f"('s', {huge})", f"('s', '{long}')", "('s', '  ')", f"('{long}', 'x')"]
    if not database_url:
        bad += ["('s', cast(x'ff' as text))", "('s', char(65, 0, 66))", "('s', x'fffe')"]
    await insert(sql, ", ".join(["('s', 'first')", *bad, "('s', 'last')"]))
    assert [await content(reader) for _ in range(2)] == ["first", "last"]
    rows = await sql("select id, refused, taken_at from session_messages where refused is not null order by id")
    assert len(rows) == len(bad)
    assert all(reason and taken_at for _, reason, taken_at in rows)
    assert long not in caplog.text
    assert sum("is refused" in record.getMessage() for record in caplog.records) == len(bad)
    await sql(
        f"update session_messages set content = 'mended', taken_at = null, refused = null where id = {rows[2][0]}"
    )
    assert await content(reader) == "mended"


async def test_nulls_are_the_inserting_programs_error(chat: Chat, sql: Sql) -> None:
    """What cannot be a message is refused where it comes from; other nulls are defaults."""
    for values in ("(null, 'x')", "('s', null)"):
        with pytest.raises((sqlite3.IntegrityError, asyncpg.NotNullViolationError)):
            await insert(sql, values)
    reader = await connected(chat, sessionId="s")
    columns = "session_id, content, is_from_bot, is_human, intent, robot_id, created_at"
    await insert(sql, "('s', 'x', null, null, null, null, null)", columns)
    got = await message(reader)
    assert (got["isFromBot"], got["isHuman"], got["intent"], got["robotId"]) == (False, False, None, None)
    assert got["createdAt"].endswith("Z")


async def test_posted_messages_leave_a_row(chat: Chat, sql: Sql) -> None:
    """Taken already, so that it comes once; with the time that the post was answered with."""
    reader = await connected(chat, "ann", sessionId="s")
    posted = await must(chat, "ann", "s", "said", isHuman=True, intent="i", robotId="7")
    await insert(sql, "('s', 'inserted')")
    assert [await content(reader) for _ in range(2)] == ["said", "inserted"]
    columns = "session_id, content, is_from_bot, is_human, intent, robot_id, taken_at is null, created_at"
    ((*row, created_at),) = await sql(f"select {columns} from session_messages where content = 'said'")
    assert row == ["s", "said", False, True, "i", "7", False]
    assert str(created_at)[:10] == posted["createdAt"][:10]


async def test_rows_from_before_the_start_are_taken(chat: Chat, sql: Sql) -> None:
    """In the order of their ids, however many lots they are."""
    await chat.server.outbox.close()
    await insert(sql, ", ".join(f"('s', 'm{n}')" for n in range(250)))
    reader = await connected(chat, sessionId="s")
    chat.server.outbox.open()
    assert [await content(reader) for _ in range(250)] == [f"m{n}" for n in range(250)]
    left = await sql("select count(*) from session_messages where taken_at is null")
    assert left == [(0,)]


async def test_retention_removes_taken_rows(chat: Chat, sql: Sql) -> None:
    """And leaves what waits."""
    await must(chat, "ann", "s", "old")
    await forget_old(chat.server, now_ms() + 1)
    assert await sql("select content from session_messages") == []


async def test_locked_table_holds_up_no_room(chat: Chat, sql: Sql, database_url: str | None) -> None:
    """On PostgreSQL a program may lock the table, as for an index: messages wait, rooms go on."""
    reader = await connected(chat, sessionId="s")
    if database_url:
        program = await asyncpg.connect(database_url)
        await program.execute("begin; insert into session_messages (session_id, content) values ('s', 'first')")
        await program.execute("lock table session_messages in access exclusive mode")
        chat.server.outbox.wake()
        answer = await post(chat, None, "s")
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "unavailable", "1")
        await chat.say("lobby", "goes on")
        await program.execute("commit")
        await program.close()
    else:
        await insert(sql, "('s', 'first')")
    assert await content(reader) == "first"
    await must(chat, None, "s", "second")
    assert await content(reader) == "second"


async def test_locked_rows_are_left_for_later(chat: Chat, sql: Sql, database_url: str | None) -> None:
    """A program that changes what it has just committed delays its own rows, and nobody's else."""
    reader = await connected(chat, sessionId="s")
    await chat.server.outbox.close()
    await insert(sql, "('s', 'kept'), ('s', 'other')")
    expected = ["kept", "other"]
    if database_url:
        program = await asyncpg.connect(database_url)
        await program.execute("begin; update session_messages set content = 'changed' where content = 'kept'")
        chat.server.outbox.open()
        assert await content(reader) == "other"
        await program.execute("commit")
        await program.close()
        expected = ["changed"]
    else:
        chat.server.outbox.open()
    assert [await content(reader) for _ in expected] == expected


async def test_old_rows_wait_for_a_locked_table_and_nobody_for_them(chat: Chat, database_url: str | None) -> None:
    """Retention would wait under the lock of the log, and all who write with it."""
    if not database_url:
        return  # the whole file is locked, or nothing
    await must(chat, None, "s", "old")
    program = await asyncpg.connect(database_url)
    await program.execute("begin; lock table session_messages in access exclusive mode")
    began = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable):
        await forget(chat.server.database, 1 << 52)
    assert asyncio.get_running_loop().time() - began < postgres.LOCK_TIMEOUT / 2
    await program.execute("commit")
    await program.close()
    assert await forget(chat.server.database, 1 << 52) == 1
