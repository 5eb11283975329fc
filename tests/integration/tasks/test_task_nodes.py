"""Tasks over several nodes: watched, cancelled and fetched on another one than the one that runs them."""

from __future__ import annotations

import asyncio

import pytest

from tests.helpers.reader import data
from tests.helpers.watch import change, check_seen, make, watch
from tests.integration.cluster.test_nodes import Cluster, cluster

__all__ = ["cluster"]

pytestmark = pytest.mark.gen_test(timeout=60)


async def test_task_is_watched_on_another_node(cluster: Cluster) -> None:
    async with cluster(2) as (one, two):
        task_id = await make(one)
        readers = [await watch(chat, task_id) for chat in (one, two)]
        for n in range(1, 20):
            await change((one, two)[n % 2], task_id, progress=5 * n)
        await change(two, task_id, state="completed")
        for reader in readers:
            await reader.rest()
            check_seen(reader.seen)
        again = await watch(one, task_id, position=readers[1].last_event_id)
        assert again.status == 204


async def test_job_is_cancelled_from_another_node(cluster: Cluster) -> None:
    async with cluster(2) as (one, two):
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            async with one.server.tasks.run("Import", "alice") as job:
                started.set_result(job.task_id)
                await asyncio.Event().wait()

        working = asyncio.create_task(work())
        task_id = await started
        reader = await watch(two, task_id)
        await change(two, task_id, state="cancelled")
        await asyncio.wait([working])
        assert working.cancelled()
        await reader.rest()
        check_seen(reader.seen)
        assert data(reader.seen[-1])["state"] == "cancelled"


async def test_export_is_fetched_from_another_node(cluster: Cluster) -> None:
    async with cluster(2) as (one, two):
        said = await one.say_all("lobby", [f"m{n}" for n in range(500)])
        task_id = (await one.post("/api/rooms/lobby/export")).data["task_id"]
        reader = await watch(two, task_id)
        assert data((await reader.rest())[-1])["state"] == "completed"
        path = f"/api/v1/tasks/{task_id}/result"
        whole, rest = await one.get(path), await two.get(path, headers={"Range": "bytes=1000-"})
        assert whole.status == 200 and len(whole.body.splitlines()) == len(said)
        assert (rest.status, rest.body, rest.headers["ETag"]) == (206, whole.body[1000:], whole.headers["ETag"])
