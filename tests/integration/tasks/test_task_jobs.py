"""Tasks that the server runs: around a block of Python, under a lease, ended on whatever node."""

from __future__ import annotations

import asyncio

import pytest

from chatrooms.clock import now_ms
from chatrooms.cluster import Lease
from chatrooms.errors import Conflict
from chatrooms.tasks.jobs import Job
from chatrooms.tasks.store import ORPHANED, TaskStore
from chatrooms.tasks.task import Task
from tests.helpers.chat import Chat
from tests.helpers.reader import data
from tests.helpers.watch import change, check_seen, make, watch

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]


async def at_work(chat: Chat, *owner: str) -> tuple[asyncio.Task[None], Job]:
    """A block that never ends by itself, and the task that the server runs around it."""
    begun: asyncio.Future[Job] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        async with chat.server.tasks.run("Import", *owner) as task:
            begun.set_result(task)
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    return working, await begun


async def found(chat: Chat, job: Job) -> Task:
    return await chat.server.tasks._store.find(job.task_id)


async def test_block_is_a_task_from_its_beginning_to_its_end(chat: Chat) -> None:
    async with chat.server.tasks.run("Import", "alice") as task:
        reader = await watch(chat, task.task_id)
        assert data(await reader.next())["state"] == "running"
        await task.progress(40, estimated_time=9)
        told = data(await reader.next())
        assert (told["progress"], told["estimated_time"]) == (40, 9)
        with pytest.raises(Conflict):
            await task.progress(39)
    last = (await reader.rest())[-1]
    assert (last.type, data(last)["state"], data(last)["progress"]) == ("complete", "completed", 100)
    check_seen(reader.seen)


async def test_block_that_raises_has_failed_with_its_sentence(chat: Chat) -> None:
    with pytest.raises(ValueError, match="line 7"):
        async with chat.server.tasks.run("Import") as task:
            await task.progress(10)
            raise ValueError("line 7\0 is\ud800 empty")
    ended = await found(chat, task)
    assert (ended.state, ended.error, ended.progress) == ("failed", "line 7 is? empty", 10)


async def test_cancelled_from_outside_the_task_is_cancelled(chat: Chat) -> None:
    working, task = await at_work(chat)
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled() and (await found(chat, task)).state == "cancelled"


async def test_cancelling_the_task_cancels_the_block(chat: Chat) -> None:
    """By the event that ends the task, which every node hears."""
    working, task = await at_work(chat, "alice")
    for body in ({"state": "completed"}, {"progress": 50}, {"state": "cancelled", "progress": 50}):
        assert (await chat.call("PATCH", f"/api/v1/tasks/{task.task_id}", body)).status == 409
    told = await change(chat, task.task_id, state="cancelled", error="No more needed.")
    await asyncio.wait([working])
    assert working.cancelled()
    assert (await chat.get(f"/api/v1/tasks/{task.task_id}")).data == told
    orders = await chat.server.log.read("control", 0, 10)
    assert [order.type for order in orders] == ["error"]


async def test_server_that_stops_fails_what_it_runs(chat: Chat) -> None:
    working, task = await at_work(chat)
    await chat.server.tasks.close()
    assert working.cancelled()
    ended = await found(chat, task)
    assert (ended.state, ended.error) == ("failed", ORPHANED)


async def test_only_tasks_whose_lease_ran_out_have_failed(chat: Chat) -> None:
    """By any living node, once; those that clients report on have none."""
    theirs = await make(chat)
    for task_id, lease in (("dead", -1), ("alive", 60_000)):
        await chat.server.tasks.make("Import", "alice", task_id, leased=True)
        async with chat.server.database.transaction() as tx:
            sql = "update tasks set node = 'other', lease_until = $1 where task_id = $2"
            await tx.execute(sql, now_ms() + lease, task_id)
    reader = await watch(chat, "dead")
    options = chat.server.options
    stores = [TaskStore(chat.server.database, chat.server.log, Lease(), options) for _ in range(2)]
    await asyncio.gather(*[store.end_orphans(alone=False) for store in stores])
    await reader.rest()
    check_seen(reader.seen)
    assert (data(reader.seen[-1])["state"], data(reader.seen[-1])["error"]) == ("failed", ORPHANED)
    for task_id in (theirs, "alive"):
        assert (await chat.get(f"/api/v1/tasks/{task_id}")).data["state"] == "pending"
    await stores[0].end_orphans(alone=True)
    assert (await chat.get("/api/v1/tasks/alive")).data["state"] == "failed"
    assert (await chat.get(f"/api/v1/tasks/{theirs}")).data["state"] == "pending"


async def test_lease_is_renewed(chat: Chat) -> None:
    async with chat.server.tasks.run("Import") as task:
        async with chat.server.database.transaction() as tx:
            await tx.execute("update tasks set lease_until = 0")
        await chat.server.tasks._store.renew()
        rows = await chat.server.database.fetch("select lease_until from tasks where task_id = $1", task.task_id)
        assert rows[0][0] > now_ms()


async def test_old_tasks_are_forgotten_with_their_events(chat: Chat) -> None:
    done, running = await make(chat), await make(chat)
    await change(chat, done, state="completed")
    await chat.server.tasks.forget(now_ms() + 1)
    assert (await chat.get(f"/api/v1/tasks/{done}")).status == 404
    assert (await chat.get(f"/api/v1/tasks/{running}")).status == 200
    assert await chat.server.log.read(f"task:{done}", 0, 10) == []


async def test_task_that_is_removed_leaves_no_place_in_any_topic(chat: Chat) -> None:
    """The end of one that a node ran is an order to all nodes, too."""
    async with chat.server.tasks.run("Import"):
        pass
    await chat.server.tasks.forget(1 << 52)
    places = "select count(*) from event_topics where seq not in (select seq from events)"
    assert await chat.server.database.fetch(places) == [(0,)]
