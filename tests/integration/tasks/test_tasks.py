"""Tasks over HTTP: made, changed, listed, watched (section 8)."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any

import pytest

from chatrooms.tasks.task import Change
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import PATIENCE, data
from tests.helpers.watch import change, check_seen, make, watch

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]


async def test_task_has_its_shape_from_beginning_to_end(chat: Chat) -> None:
    answer = await chat.post("/api/v1/tasks", {"title": " Import ", "task_id": "job:1"})
    assert answer.status == 201
    task = answer.data
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", task.pop("updated_at"))
    assert task == {"task_id": "job:1", "title": "Import", "state": "pending", "progress": 0, "estimated_time": None}
    task = await change(chat, "job:1", progress=12.5, estimated_time=60)
    assert (task["state"], task["progress"], task["estimated_time"]) == ("running", 12.5, 60)
    task = await change(chat, "job:1", state="failed", error="The disk is full.")
    assert (task["state"], task["progress"], task["error"]) == ("failed", 12.5, "The disk is full.")
    assert (await chat.get("/api/v1/tasks/job:1")).data == task


async def test_completed_is_all_of_it(chat: Chat) -> None:
    task = await change(chat, await make(chat), state="completed")
    assert (task["state"], task["progress"], task["estimated_time"]) == ("completed", 100, 0)
    assert "error" not in task


@pytest.mark.parametrize("body", [{"progress": 39}, {"state": "pending"}, {"state": "completed", "progress": 10}])
async def test_nothing_goes_backwards(chat: Chat, body: dict[str, Any]) -> None:
    task_id = await make(chat)
    before = await change(chat, task_id, state="running", progress=40)
    answer = await chat.call("PATCH", f"/api/v1/tasks/{task_id}", body)
    assert (answer.status, answer.code) == (409, "conflict")
    assert (await chat.get(f"/api/v1/tasks/{task_id}")).data == before


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_what_has_ended_does_not_change(chat: Chat, end: str) -> None:
    task_id = await make(chat)
    ended = await change(chat, task_id, state=end)
    for body in ({"progress": 100}, {"state": "running"}, {"state": end}, {"title": "x"}):
        assert (await chat.call("PATCH", f"/api/v1/tasks/{task_id}", body)).status == 409
    assert (await chat.get(f"/api/v1/tasks/{task_id}")).data == ended


@pytest.mark.parametrize(
    "body",
    [
        {"state": "done"}, {"state": 1}, {"progress": -1}, {"progress": 101}, {"progress": "40"},
        {"progress": 1e400}, {"estimated_time": -1}, {"estimated_time": 2.0**60}, {"error": "no state"},
        {"state": "failed", "error": 5}, {"state": "failed", "error": "\0"}, [],
    ],
)  # fmt: skip
async def test_malformed_changes_are_refused(chat: Chat, body: object) -> None:
    task_id = await make(chat)
    assert (await chat.call("PATCH", f"/api/v1/tasks/{task_id}", body)).status == 400


async def test_ids_are_taken_once_and_checked(chat: Chat) -> None:
    await make(chat, task_id="one")
    assert (await chat.post("/api/v1/tasks", {"title": "x", "task_id": "one"}, "bob")).status == 409
    for body in ({"title": "x", "task_id": "a b"}, {"title": "x", "task_id": ""}, {"title": " "}, {}, {"title": None}):
        assert (await chat.post("/api/v1/tasks", body)).status == 400
    assert (await chat.get("/api/v1/tasks/two")).status == 404
    assert (await chat.call("PATCH", "/api/v1/tasks/two", {})).status == 404
    assert (await watch(chat, "two")).status == 404


async def test_rights_are_the_owners_and_those_of_agents(chat: Chat) -> None:
    task_id = await make(chat)
    path = f"/api/v1/tasks/{task_id}"
    assert (await chat.get(path, None)).status == (await watch(chat, task_id, token="x")).status == 401
    assert (await chat.get(path, "bob")).status == (await watch(chat, task_id, "bob")).status == 403
    assert (await chat.call("PATCH", path, b"no JSON", "bob")).status == 403
    for role in ("agent", "service", "admin"):
        assert (await chat.get(path, "bob", role=role)).status == 200
    assert (await chat.post("/api/v1/tasks", {"title": "x", "user_id": "alice"}, "bob")).status == 403
    made = await chat.post("/api/v1/tasks", {"title": "x", "user_id": "alice"}, "robot", role="service")
    assert (await chat.get(f"/api/v1/tasks/{made.data['task_id']}", "alice")).status == 200


async def test_list_is_paged_newest_first(chat: Chat) -> None:
    ids = [await make(chat, task_id=f"t{n}") for n in range(5)]
    await make(chat, "bob", task_id="other")
    await change(chat, "t2", state="completed")
    seen: list[str] = []
    path = "/api/v1/tasks?limit=2"
    while True:
        page = (await chat.get(path)).data
        seen += [task["task_id"] for task in page["tasks"]]
        if not page["hasMore"]:
            break
        path = f"/api/v1/tasks?limit=2&after={seen[-1]}"
    assert seen == ids[::-1]
    done = (await chat.get("/api/v1/tasks?state=completed")).data
    assert [task["task_id"] for task in done["tasks"]] == ["t2"] and not done["hasMore"]
    assert (await chat.get("/api/v1/tasks?user_id=bob")).status == 403
    assert [t["task_id"] for t in (await chat.get("/api/v1/tasks?user_id=bob", "x", role="agent")).data["tasks"]] == [
        "other"
    ]
    for query in ("limit=0", "limit=201", "state=x", "after=a%20b", "user_id=%00"):
        assert (await chat.get(f"/api/v1/tasks?{query}", role="agent")).status == 400


@pytest.mark.options(max_tasks_per_user=2)
async def test_of_too_many_tasks_those_that_ended_give_way(chat: Chat) -> None:
    await make(chat, task_id="first")
    await change(chat, "first", state="completed")
    await make(chat)
    await make(chat)
    assert (await chat.get("/api/v1/tasks/first")).status == 404
    answer = await chat.post("/api/v1/tasks", {"title": "x"})
    assert (answer.status, answer.code) == (429, "too-many-tasks") and int(answer.headers["Retry-After"]) > 0
    await make(chat, "bob")
    assert (await chat.post("/api/v1/tasks", {"title": "x"}, "alice", role="service")).status == 201


async def test_watcher_sees_the_state_at_once_then_each_change_then_the_end(chat: Chat) -> None:
    task_id = await make(chat)
    await change(chat, task_id, progress=10)
    reader = await watch(chat, task_id)
    first = await reader.next()
    assert (reader.status, first.type, data(first)["progress"]) == (200, "progress", 10)
    assert first.last_event_id and 500 <= (reader.retry or 0) <= 1500
    assert b'"progress":10' in reader.first_write, "it comes in the same write as the head"
    for percent in (20, 30):
        told = await change(chat, task_id, progress=percent)
        assert data(await reader.next()) == told
    told = await change(chat, task_id, state="completed")
    last = await reader.next()
    assert (last.type, data(last)) == ("complete", told)
    assert await reader.rest() == []
    check_seen(reader.seen)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_bad_ends_are_errors(chat: Chat, end: str) -> None:
    task_id = await make(chat)
    reader = await watch(chat, task_id)
    await change(chat, task_id, state=end, error="Because.")
    assert data((await reader.rest())[-1])["error"] == "Because."
    check_seen(reader.seen)
    assert reader.types() == ["progress", "error"]


@pytest.mark.parametrize("by", ["header", "query"])
async def test_asked_again_the_last_event_comes_at_once_and_after_it_204(chat: Chat, by: str) -> None:
    def position(id: str) -> dict[str, Any]:
        return {"position": id} if by == "header" else {"lastEventId": id}

    task_id = await make(chat)
    reader = await watch(chat, task_id)
    first = (await reader.next()).last_event_id
    reader.close()
    await change(chat, task_id, progress=50)
    resumed = await watch(chat, task_id, **position(first))
    assert data(await resumed.next())["progress"] == 50
    await change(chat, task_id, state="completed")
    last = (await resumed.rest())[-1]
    for earlier in ("", first, "nonsense", "other-1"):
        again = await watch(chat, task_id, **position(earlier))
        assert [event.type for event in await again.rest()] == ["complete"]
        assert again.seen[0].last_event_id == last.last_event_id
    stopped = await watch(chat, task_id, **position(last.last_event_id))
    assert stopped.status == 204 and stopped.body == b""


@pytest.mark.options(heartbeat=0.05)
async def test_heartbeats_have_iso_times(chat: Chat) -> None:
    reader = await watch(chat, await make(chat))
    assert (await reader.event("heartbeat"))["timestamp"].endswith("Z")
    room = await chat.join()
    assert isinstance((await room.event("heartbeat"))["timestamp"], int)


async def test_log_keeps_only_the_last_event_of_a_task(chat: Chat) -> None:
    task_id = await make(chat)
    for percent in range(1, 20):
        await change(chat, task_id, progress=percent)
    events = await chat.server.log.read(f"task:{task_id}", 0, 100)
    assert [event.type for event in events] == ["progress"] and b'"progress":19' in events[0].data
    assert (await chat.server.database.fetch("select count(*) from events"))[0][0] == 1


async def test_watcher_that_reads_slowly_gets_the_end_whole(chat: Chat) -> None:
    """However far it fell behind: from the tail, or from the log."""
    task_id = await make(chat)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", chat.port))
    path = f"/api/v1/sse/tasks/{task_id}/progress?token={chat.token('alice')}"
    await loop.sock_sendall(sock, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await eventually(lambda: len(chat.server.hub.streams) == 1)
    (stream,) = chat.server.hub.streams
    percent = 0.0
    while not stream.stalled_at:
        percent += 0.01
        await chat.server.tasks._store.change(task_id, Change(progress=percent))
    chat.server.hub.forget()
    await change(chat, task_id, state="failed", error="x" * 1000)
    body = b""
    async with asyncio.timeout(PATIENCE):
        while chunk := await loop.sock_recv(sock, 1 << 16):
            body += chunk
    sock.close()
    assert body.count(b"event: error\n") == 1 and body.endswith(b'"}\n\n')
    assert not chat.server.hub.streams


async def test_watchers_at_random_see_order_and_one_end(chat: Chat) -> None:
    ids = [await make(chat, task_id=f"task-{n}") for n in range(20)]
    readers = [await watch(chat, ids[n % len(ids)]) for n in range(30)]

    async def work(task_id: str) -> None:
        for percent in range(5, 100, 10):
            await change(chat, task_id, progress=percent)
        await change(chat, task_id, state="completed")

    await asyncio.gather(*(work(task_id) for task_id in ids))
    late = [await watch(chat, task_id) for task_id in ids]
    for reader in (*readers, *late):
        await reader.rest()
        check_seen(reader.seen)
