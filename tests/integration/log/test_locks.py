"""Writes that touch the same rows of a shared database never wait for each other in a circle (storage/postgres.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from benchmarks.postgres import Postgres
from chatrooms.clock import now_ms
from chatrooms.log.database import Transaction
from chatrooms.log.event import CONTROL, Event
from chatrooms.replies import store as replies
from chatrooms.replies.reply import COMPLETE, Ending, Reply, StoredReply
from chatrooms.rooms.message import rewrite_message
from chatrooms.server import Server, housekeeping
from chatrooms.tasks.task import RUNNING, Change
from tests.helpers.chat import Chat, eventually
from tests.integration.cluster.test_nodes import started
from tests.integration.tasks.test_exports import exported

pytestmark = pytest.mark.gen_test(timeout=60)

LATER = 1 << 52  # milliseconds, by which everything has run out

# A database that is so slow that whatever can cross does.
SLOW = """
create function slow() returns trigger language plpgsql as
  $$ begin perform pg_sleep(0.1); return case when tg_op = 'DELETE' then old else new end; end $$;
create trigger slow before update or delete on {table} for each row execute function slow();"""

# Notes under which advisory lock of ours each table is written.
NOTED = """
create table noted (tab text, key oid);
create function note() returns trigger language plpgsql as $$ begin
  insert into noted select tg_table_name, (
    select min(objid) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted
    and classid = 1667785076 and objid in (1, 2));
  return null; end $$;
do $$ declare tab text; begin
  for tab in select tablename from pg_tables where schemaname = 'public' and tablename not in ('noted', 'migrations')
  loop
    execute format('create trigger note before insert or update or delete on %I for each statement '
                   'execute function note()', tab);
  end loop; end $$;"""


class Pair(NamedTuple):
    """What is done at the same time, after something was made ready; each goes over two rows, in another order."""

    table: str
    ready: Callable[[Server], Awaitable[Any]]
    one: Callable[[Server, Any], Awaitable[object]]
    other: Callable[[Server, Any], Awaitable[object]]


async def two_replies(server: Server) -> list[Reply]:
    store = server.replies._store
    replies = [Reply(StoredReply(id, "ann", "Ann", "c", None, None, "{}", None, None)) for id in ("a", "b")]
    for reply in replies:
        await store.add(reply.row)
        reply.add("text")
    return replies


async def finish_backwards(server: Server, replies: Sequence[Reply]) -> None:
    ended = [reply.written(Ending(COMPLETE)) for reply in reversed(replies)]
    await asyncio.gather(*(server.replies._store.finish(row, None) for row in ended))


async def ended_replies(server: Server) -> list[Reply]:
    replies = await two_replies(server)
    await finish_backwards(server, replies[::-1])
    return replies


async def forget_private_backwards(server: Server, replies: Sequence[Reply]) -> None:
    async def command(tx: Transaction) -> list[Event]:
        for reply in reversed(replies):
            await tx.execute("update replies set text = '' where id = $1", reply.id)
        return []

    await server.log.append((), command)


async def two_tasks(server: Server) -> list[str]:
    return [(await server.tasks.make("work", "ann", leased=True)).task_id for _ in "ab"]


async def start_backwards(server: Server, tasks: Sequence[str]) -> None:
    changes = [server.tasks._store.change(task_id, Change(RUNNING)) for task_id in reversed(tasks)]
    await asyncio.gather(*changes)


async def two_sign_ins(server: Server) -> list[str]:
    tokens = [(await server.signins.begin("ann", "Ann", "user")).refresh_token for _ in "ab"]
    async with server.database.appending() as tx:
        await tx.execute("update refresh_families set expires_at = 0")
    return [token.partition(".")[0] for token in tokens]


async def end_backwards(server: Server, sessions: Sequence[str]) -> None:
    await asyncio.gather(*(server.signins.end(session, "ann") for session in reversed(sessions)))


async def two_events(server: Server) -> list[int]:
    made = await server.log.append([Event("room-message", b"{}", ("room:lobby",)) for _ in "ab"])
    return [done.event.seq for done in made]


async def rewrite_backwards(server: Server, seqs: Sequence[int]) -> None:
    async def command(tx: Transaction) -> list[Event]:
        for seq in reversed(seqs):
            await rewrite_message(tx, seq, "erased", b"{}")
        return []

    await server.log.append((), command)


PAIRS = {
    "replies grow and end": Pair(
        "replies", two_replies, lambda s, replies: s.replies._store.save(replies), finish_backwards
    ),
    "replies are renewed and end": Pair(
        "replies", two_replies, lambda s, _: s.replies._store.renew(), finish_backwards
    ),
    "old replies go and are erased": Pair(
        "replies", ended_replies, lambda s, _: replies.forget_ended_replies(s.database, LATER), forget_private_backwards
    ),
    "tasks are renewed and change": Pair("tasks", two_tasks, lambda s, _: s.tasks._store.renew(), start_backwards),
    "sign-ins run out and end": Pair(
        "refresh_families", two_sign_ins, lambda s, _: s.signins.forget_expired(), end_backwards
    ),
    "events go and are erased": Pair("events", two_events, lambda s, _: s.log.forget(LATER), rewrite_backwards),
}


@pytest.mark.parametrize("name", PAIRS)
async def test_writes_that_meet_do_not_block_each_other(postgres: Postgres, postgres_url: str, name: str) -> None:
    """Both go through, whichever is first, on one node or two."""
    async with started(2, database_url=postgres_url) as (here, there):
        table, ready, one, other = PAIRS[name]
        made = await ready(here.server)
        await asyncio.to_thread(postgres.sql, "test", SLOW.format(table=table))
        await asyncio.gather(one(here.server, made), other(there.server, made))
        assert here.server.log.healthy and there.server.log.healthy


@asynccontextmanager
async def noting(postgres: Postgres, url: str) -> AsyncIterator[tuple[Chat, Callable[[], dict[str, set[int]]]]]:
    """A node, and a function that says under which locks each table was written."""
    async with started(1, database_url=url, allow_guests=True) as (chat,):
        await asyncio.to_thread(postgres.sql, "test", NOTED)

        def noted() -> dict[str, set[int]]:
            found: dict[str, set[int]] = {}
            for line in postgres.sql("test", "select distinct tab, coalesce(key, 0) from noted").splitlines():
                table, key = line.split("|")
                found.setdefault(table, set()).add(int(key))
            return found

        yield chat, noted


async def use_everything(chat: Chat) -> None:
    """Calls that write to every table, and the housekeeping after them."""
    reader = await chat.join(user="ann")
    message = await chat.say("lobby", "hello", user="ann")
    await chat.say("lobby", "@ai hello", user="ann")
    await reader.until(lambda event: '"isFromBot":true' in event.data)
    assert (await chat.call("DELETE", f"/api/rooms/lobby/messages/{message['id']}", user="ann")).status == 204
    assert (await exported(chat)).status == 200
    task = (await chat.post("/api/v1/tasks", {"title": "work"})).data["task_id"]
    assert (await chat.call("PATCH", f"/api/v1/tasks/{task}", {"state": "running"})).status == 200
    for path, body in (("/api/rooms/den", {"slowMode": 60}), ("/api/rooms/den/bans/ben", None)):
        assert (await chat.call("PUT", path, body, "ann")).status in (200, 201, 204)
    await chat.say("den", "hello", user="cid")
    invite = (await chat.post("/api/rooms/den/invites", {}, "ann")).data["invite"]
    assert (await chat.post("/api/invites/accept", {"invite": invite}, "dan")).status == 200
    assert (await chat.post("/api/messages", {"sessionId": "42", "content": "hello"}, "ann")).status == 201
    assert (await chat.post("/api/auth/ticket", None, "ann")).status == 201
    signed_up = {"username": "Eve", "email": "eve@example.org", "password": "long enough"}
    eve = (await chat.post("/api/signup", signed_up, None)).data
    renewed = (await chat.post("/api/auth/refresh", {"refreshToken": eve["refreshToken"]}, None)).data
    as_eve = {"Authorization": f"Bearer {renewed['token']}"}
    changed = {"currentPassword": "long enough", "newPassword": "longer still"}
    again = (await chat.post("/api/auth/password", changed, None, headers=as_eve)).data
    as_eve = {"Authorization": f"Bearer {again['token']}"}
    gone = await chat.call("DELETE", "/api/auth/me", {"password": "longer still"}, None, headers=as_eve)
    assert gone.status == 204, gone
    await chat.server.log.append([Event("test", b"{}", (CONTROL,))])


async def keep_house(server: Server) -> None:
    """All that housekeeping removes."""
    await server.signins.forget_expired()
    await server.authenticator.forget_expired()
    await server.remote_presence._beat()
    await server.replies._store.renew()
    await server.tasks._store.renew()
    async with server.database.appending() as tx:
        await tx.execute("update results set expires_at = 0")
    await server.results.forget()
    await server.tasks.forget(LATER)
    await housekeeping.forget_old(server, now_ms() + 1000)
    await server.remote_presence._beat()  # the next one may come after all this


async def test_each_table_is_written_under_one_lock(postgres: Postgres, postgres_url: str) -> None:
    """So there is nothing of which two transactions could wait for each other.

    Rows of session_messages are an exception: those that are removed are old, and no append touches them again.
    """
    async with noting(postgres, postgres_url) as (chat, noted):
        await use_everything(chat)
        await eventually(lambda: not chat.server.replies.running)
        await keep_house(chat.server)
        found = await asyncio.to_thread(noted)
    tables = set(postgres.sql("test", "select tablename from pg_tables where schemaname = 'public'").split())
    assert found.keys() == tables - {"noted", "migrations"}, "a table is not written by this test"
    assert found.pop("session_messages") <= {1, 2}
    assert {table: locks for table, locks in found.items() if len(locks) > 1 or 0 in locks} == {}
