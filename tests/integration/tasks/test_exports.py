"""The export of a room: written as a task, fetched in any parts (section 8)."""

from __future__ import annotations

import asyncio
import html
import json
from typing import Any
from urllib.parse import quote

import pytest

from chatrooms.errors import NotFound
from chatrooms.http.tasks import part_of
from chatrooms.tasks import export, result, store
from tests.helpers.chat import Answer, Chat, eventually
from tests.helpers.data import naughty_strings
from tests.helpers.reader import data
from tests.helpers.watch import change, check_seen, watch

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]


async def begun(chat: Chat, room: str = "lobby", user: str = "alice", **body: str) -> str:
    """The id of the task of a new export."""
    answer = await chat.post(f"/api/rooms/{quote(room)}/export", body or None, user)
    assert answer.status == 202, answer
    task_id: str = answer.data["task_id"]
    return task_id


async def ended(chat: Chat, task_id: str, user: str = "alice") -> Any:
    """The last event of a task's stream, when it has come."""
    reader = await watch(chat, task_id, user)
    await reader.rest()
    check_seen(reader.seen)
    return data(reader.seen[-1])


async def fetched(chat: Chat, task_id: str, user: str = "alice", **headers: str) -> Answer:
    return await chat.get(f"/api/v1/tasks/{task_id}/result", user, headers=headers)


def sayable(text: str) -> bool:
    return bool(text.strip()) and "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


async def exported(chat: Chat, room: str = "lobby", **body: str) -> Answer:
    """A whole export, fetched."""
    task_id = await begun(chat, room, **body)
    assert (await ended(chat, task_id))["state"] == "completed"
    return await fetched(chat, task_id)


async def test_json_lines_are_the_history(chat: Chat) -> None:
    said = await chat.say_all("lobby", [text for text in naughty_strings()[:300] if sayable(text)])
    await chat.say("other", "elsewhere")
    answer = await exported(chat)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="lobby.jsonl"')
    assert [json.loads(line) for line in answer.body.decode().split("\n")[:-1]] == said


async def test_html_has_text_as_text(chat: Chat) -> None:
    bad = '<script>alert(1)</script> & "quotes" </div>'
    await chat.say("lobby", bad, username="<b>Eve</b>")
    answer = await exported(chat, format="html")
    page = answer.body.decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "<script" not in page and "<b>Eve" not in page
    assert html.escape(bad) in page and page.endswith("</html>\n")


async def test_deleted_is_not_there_and_edited_is_as_it_is_now(chat: Chat) -> None:
    messages = [await chat.say("lobby", text) for text in ("keep", "edit me", "delete me")]
    await chat.call("PATCH", f"/api/rooms/lobby/messages/{messages[1]['id']}", {"message": "edited"})
    await chat.call("DELETE", f"/api/rooms/lobby/messages/{messages[2]['id']}")
    lines = (await exported(chat)).body.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["keep", "edited"]


async def test_what_is_said_after_the_asking_is_not_in_it(chat: Chat) -> None:
    await chat.say_all("lobby", [f"m{n}" for n in range(3 * export.PAGE)])
    task_id = await begun(chat)
    await chat.say_all("lobby", ["late"] * 10)
    await ended(chat, task_id)
    lines = (await fetched(chat, task_id)).body.splitlines()
    assert [json.loads(line)["message"] for line in lines] == [f"m{n}" for n in range(3 * export.PAGE)]


async def test_empty_room_is_an_empty_file(chat: Chat) -> None:
    answer = await exported(chat, "no-such-room")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    assert (
        (await exported(chat, "räume 1", format="html"))
        .headers["Content-Disposition"]
        .endswith("filename*=UTF-8''r%C3%A4ume%201.html")
    )


async def test_parts_are_those_of_the_whole(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the edges of chunks, resumed, refused beyond the end."""
    monkeypatch.setattr(result, "CHUNK", 1000)
    await chat.say_all("lobby", [f"message {n} é" for n in range(100)])
    task_id = await begun(chat)
    await ended(chat, task_id)
    whole = await fetched(chat, task_id)
    size, etag = len(whole.body), whole.headers["ETag"]
    assert size > 5000 and whole.headers["Accept-Ranges"] == "bytes"
    for asked in ("bytes=0-0", "bytes=999-1000", "bytes=1000-", "bytes=500-4500", "bytes=-1500", f"bytes={size - 1}-"):
        answer = await fetched(chat, task_id, Range=asked)
        part = part_of(size, asked, "", "")
        assert part is not None
        assert (answer.status, answer.body) == (206, whole.body[part.start : part.stop])
        assert answer.headers["Content-Range"] == f"bytes {part.start}-{part.stop - 1}/{size}"
    refused = await fetched(chat, task_id, Range=f"bytes={size}-")
    assert (refused.status, refused.code) == (416, "bad-range")
    assert refused.headers["Content-Range"] == f"bytes */{size}"
    assert (await fetched(chat, task_id, Range="bytes=5-", **{"If-Range": etag})).body == whole.body[5:]
    assert (await fetched(chat, task_id, Range="bytes=5-", **{"If-Range": '"x"'})).body == whole.body


async def test_rights_are_those_of_the_room_when_it_is_fetched(chat: Chat) -> None:
    await chat.call("PUT", "/api/rooms/club", {"private": False}, "owner")
    await chat.say("club", "secret")
    task_id = await begun(chat, "club")
    await ended(chat, task_id)
    assert (await fetched(chat, task_id)).status == 200
    assert (await fetched(chat, task_id, "bob")).status == 403
    assert (await chat.get(f"/api/v1/tasks/{task_id}/result", None)).status == 401
    await chat.call("PUT", "/api/rooms/club/bans/alice", {}, "owner")
    assert (await fetched(chat, task_id)).code == "banned"
    assert (await chat.post("/api/rooms/club/export", {})).status == 403
    for body in ({"format": "pdf"}, {"format": 1}, b"x"):
        assert (await chat.post("/api/rooms/lobby/export", body)).status == 400


async def test_ticket_opens_a_download(chat: Chat) -> None:
    await chat.say("lobby", "hello")
    task_id = await begun(chat)
    await ended(chat, task_id)
    ticket = (await chat.post("/api/auth/ticket", {})).data["ticket"]
    path = f"/api/v1/tasks/{task_id}/result?ticket={ticket}"
    assert (await chat.get(path, None)).status == 200
    assert (await chat.get(path, None)).status == 401


async def test_tasks_without_a_result_have_none(chat: Chat) -> None:
    await chat.post("/api/v1/tasks", {"title": "x", "task_id": "t"})
    assert (await fetched(chat, "t")).status == 409
    await change(chat, "t", state="completed")
    assert (await fetched(chat, "t")).status == (await fetched(chat, "u")).status == 404


async def test_one_of_a_user_and_room_at_a_time_and_the_others_wait(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are pending, they can be cancelled there, and all of the rest are written."""
    await chat.say("lobby", "hello")
    async with chat.server.exports._places, chat.server.exports._places:
        ids = [await begun(chat) for _ in range(4)]
        states = [(await chat.get(f"/api/v1/tasks/{task_id}")).data["state"] for task_id in ids]
        assert states == ["pending"] * 4
        await change(chat, ids[1], state="cancelled")
    assert [(await ended(chat, task_id))["state"] for task_id in ids] == ["completed", "cancelled", *["completed"] * 2]
    assert (await fetched(chat, ids[1])).status == 404


async def test_cancelled_in_the_midst_it_stops(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 1)
    monkeypatch.setattr(export, "REPORT_INTERVAL", 0.0)
    await chat.say_all("lobby", [f"m{n}" for n in range(2000)])
    task_id = await begun(chat)
    reader = await watch(chat, task_id)
    await reader.until(lambda event: 0 < data(event).get("progress", 0) < 50)
    assert (await chat.call("PATCH", f"/api/v1/tasks/{task_id}", {"progress": 99})).status == 409
    await change(chat, task_id, state="cancelled")
    await reader.rest()
    check_seen(reader.seen)
    assert data(reader.seen[-1])["state"] == "cancelled"
    await asyncio.gather(*chat.server.exports._jobs, return_exceptions=True)
    assert (await fetched(chat, task_id)).status == 404


async def test_expired_results_go_with_all_their_chunks(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "CHUNK", 100)
    await chat.say_all("lobby", [f"m{n}" for n in range(50)])
    kept = await begun(chat)
    await ended(chat, kept)
    monkeypatch.setattr(result, "KEPT", -1)
    gone = await begun(chat)
    await ended(chat, gone)
    assert (await fetched(chat, gone)).status == 404
    await chat.server.results.forget()
    rows = await chat.server.database.fetch("select distinct task_id from result_chunks")
    assert rows == await chat.server.database.fetch("select task_id from results") == [(kept,)]
    assert (await fetched(chat, kept)).status == 200


async def test_nothing_is_written_for_a_result_that_was_removed(chat: Chat) -> None:
    """Whoever wrote was thought dead: what it wrote then, nobody would find, and nobody remove."""
    task = await chat.server.tasks.make("export", "alice")
    for rest in (b"y" * result.CHUNK, b""):
        with pytest.raises(NotFound):
            async with chat.server.results.written(task, "lobby", "jsonl") as writer:
                await writer.write(b"x" * result.CHUNK)
                async with chat.server.database.appending() as tx:
                    await tx.execute("update results set expires_at = 0")
                await chat.server.results.forget()
                await writer.write(rest)
        assert await chat.server.database.fetch("select count(*) from result_chunks") == [(0,)]


async def test_result_that_is_to_be_removed_is_not_kept_after_all(chat: Chat) -> None:
    """Its task may have gone, with the account that it was of."""
    for size in (result.CHUNK, 1):
        task = await chat.server.tasks.make("export", "alice")
        with pytest.raises(NotFound):
            async with chat.server.results.written(task, "lobby", "jsonl") as writer:
                await store.forget_tasks_of(chat.server.database, "alice")
                await writer.write(b"x" * size)
    await chat.server.results.forget()
    assert await chat.server.database.fetch("select count(*) from results") == [(0,)]


@pytest.mark.options(max_export_bytes=1, export_rate=0)
async def test_exports_that_waited_find_the_space_that_is_left(chat: Chat) -> None:
    """A queue of them would fill any disk, if only those that come later were refused."""
    await chat.say("lobby", "hello")
    async with chat.server.exports._places:  # so that one is written after the other
        async with chat.server.exports._places:
            ids = {user: await begun(chat, user=user) for user in ("alice", "bob", "carol")}
        ends = [await ended(chat, task_id, user) for user, task_id in ids.items()]
    assert [end["state"] for end in ends] == ["completed", "failed", "failed"]
    assert "all of their 1 bytes" in ends[1]["error"]
    assert await files_of(chat) == [ids["alice"]]


async def files_of(chat: Chat) -> list[str]:
    """The tasks of which any byte is stored."""
    rows = await chat.server.database.fetch("select distinct task_id from result_chunks order by task_id")
    return [task_id for (task_id,) in rows]


@pytest.mark.options(export_rate=3)
async def test_exports_of_one_user_are_counted(chat: Chat) -> None:
    """A hundred in 0.3 s filled the queue and the disk; services are exempt."""
    for _ in range(3):
        await begun(chat)
    refused = await chat.post("/api/rooms/lobby/export")
    assert (refused.status, refused.code) == (429, "rate-limited")
    assert (await chat.post("/api/rooms/lobby/export", None, "robot", role="service")).status == 202
    await begun(chat, user="bob")


@pytest.mark.options(max_exports_per_user=2)
async def test_unfinished_exports_of_one_user_are_bounded(chat: Chat) -> None:
    """Those that are written and those that wait; one that ends, or is cancelled, makes room."""
    async with chat.server.exports._places, chat.server.exports._places:
        ids = [await begun(chat) for _ in range(2)]
        refused = await chat.post("/api/rooms/other/export")
        assert (refused.status, refused.code) == (429, "too-many-tasks")
        await begun(chat, user="bob")
        await change(chat, ids[0], state="cancelled")
        await eventually(lambda: chat.server.exports._of_user["alice"] == 1)
        ids[0] = await begun(chat)
    for task_id in ids:
        assert (await ended(chat, task_id))["state"] == "completed"
    await eventually(lambda: not chat.server.exports._jobs and not chat.server.exports._of_user)


@pytest.mark.options(max_export_bytes_per_user=3000)
async def test_exports_of_one_user_keep_so_many_bytes(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest give way; one that is larger by itself fails, and leaves nothing behind."""
    monkeypatch.setattr(result, "CHUNK", 500)
    await chat.say_all("lobby", [f"message {n}" for n in range(8)])
    tasks = [await begun(chat) for _ in range(4)]
    for task_id in tasks:
        await ended(chat, task_id)
    sizes = [len(answer.body) for answer in [await fetched(chat, task_id) for task_id in tasks] if answer.status == 200]
    assert 0 < sum(sizes) <= 3000 and len(sizes) < 4
    assert (await fetched(chat, tasks[-1])).status == 200
    await chat.say_all("lobby", ["x" * 1000] * 4)
    large = await begun(chat)
    failed = await ended(chat, large)
    assert (failed["state"], failed["error"]) == ("failed", "The file would be larger than 3000 bytes.")
    await chat.server.results.forget()
    kept = [task_id for task_id in tasks if (await fetched(chat, task_id)).status == 200]
    assert await files_of(chat) == sorted(kept)


async def test_a_user_keeps_so_many_files(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "FILES", 2)
    tasks = []
    for _ in range(3):
        tasks.append(await begun(chat))
        await ended(chat, tasks[-1])
    await ended(chat, await begun(chat, user="bob"), "bob")
    assert [(await fetched(chat, task_id)).status for task_id in tasks] == [404, 200, 200]


@pytest.mark.options(max_export_bytes=1)
async def test_all_exports_together_are_bounded(chat: Chat) -> None:
    """Beyond it none is begun; an empty file takes no room."""
    await ended(chat, await begun(chat, "empty"))
    await chat.say("lobby", "hello")
    await ended(chat, await begun(chat))
    refused = await chat.post("/api/rooms/lobby/export", None, "bob")
    assert (refused.status, refused.code) == (503, "full")


async def test_cancelled_export_leaves_no_bytes(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else who cancels each at its end would fill the disk."""
    monkeypatch.setattr(export, "PAGE", 1)
    monkeypatch.setattr(export, "REPORT_INTERVAL", 0.0)
    monkeypatch.setattr(result, "CHUNK", 100)
    await chat.say_all("lobby", [f"m{n}" for n in range(500)])
    task_id = await begun(chat)
    reader = await watch(chat, task_id)
    await reader.until(lambda event: 0 < data(event).get("progress", 0) < 90)
    await change(chat, task_id, state="cancelled")
    await asyncio.gather(*chat.server.exports._jobs, return_exceptions=True)
    await chat.server.results.forget()
    assert await files_of(chat) == []
