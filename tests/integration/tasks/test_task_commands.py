"""`chatrooms task` against a running server."""

from __future__ import annotations

import asyncio
import re
import signal
import sys

import pytest

from tests.helpers.chat import Chat
from tests.helpers.reader import data
from tests.helpers.watch import watch
from tests.integration.commands.test_commands import PATIENCE, ended, run

pytestmark = pytest.mark.gen_test(timeout=90)


async def test_task_is_made_changed_and_watched(chat: Chat) -> None:
    me = {"CHATROOMS_TOKEN": chat.token("alice")}
    status, out, _ = await ended(await run(chat, "task", "create", "Import \x07", "--id", "t", **me))
    assert status == 1, "a title has no control characters"
    status, out, _ = await ended(await run(chat, "task", "create", "Import", "--id", "t", **me))
    assert (status, out) == (0, "t\n")
    watching = await run(chat, "task", "watch", "t", **me)
    assert watching.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert b"pending" in await watching.stdout.readline()
        status, out, _ = await ended(
            await run(chat, "task", "update", "t", "--progress", "50", "--estimated-time", "9", **me)
        )
        assert status == 0 and "50%" in out and "9 s left" in out
        assert out.encode() == await watching.stdout.readline()
        await chat.call("PATCH", "/api/v1/tasks/t", {"state": "failed", "error": "Disk\x1b[2J full"})
    status, out, _ = await ended(watching)
    assert status == 1 and "failed" in out and "full" in out and "\x1b" not in out
    status, _, err = await ended(await run(chat, "task", "update", "t", "--progress", "60", **me))
    assert status == 1 and err.startswith("chatrooms: The task is failed")


PROGRAM = """
import sys, os
print("begun", flush=True)
sys.stderr.write("25%\\r")
sys.stderr.flush()
sys.stdin.readline()
print("PROGRESS 75", flush=True)
sys.stdin.readline()
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("status", [0, 3])
async def test_program_is_a_task(chat: Chat, status: int) -> None:
    """Output and exit status are the program's own, what it says of progress is reported."""
    me = {"CHATROOMS_TOKEN": chat.token("alice")}
    process = await run(
        chat, "task", "run", "--title", "Nightly", "--id", "t", "--", sys.executable, "-c", PROGRAM, str(status), **me
    )
    assert process.stdin is not None and process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        assert await process.stderr.readline() == b"chatrooms: task t\n"
        reader = await watch(chat, "t")
        await reader.until(lambda event: data(event).get("progress") == 25)
        process.stdin.write(b"\n")
        await reader.until(lambda event: data(event).get("progress") == 75)
    got, out, err = await ended(process, "\n")
    assert (got, out) == (status, "begun\nPROGRESS 75\n") and "25%" in err
    task = data((await reader.rest())[-1])
    assert task["title"] == "Nightly"
    if status:
        assert task["state"] == "failed" and re.search(r"exited with status 3\.$", task["error"])
    else:
        assert (task["state"], task["progress"]) == ("completed", 100)


async def test_cancelling_the_task_ends_the_program(chat: Chat) -> None:
    me = {"CHATROOMS_TOKEN": chat.token("alice")}
    process = await run(chat, "task", "run", "--id", "t", "--", "sleep", "1000", **me)
    assert process.stderr is not None
    await process.stderr.readline()
    reader = await watch(chat, "t")
    await reader.until(lambda event: data(event).get("state") == "running")
    assert (await chat.call("PATCH", "/api/v1/tasks/t", {"state": "cancelled"})).status == 200
    status, _, err = await ended(process)
    assert status == 128 + signal.SIGTERM and "the task was ended" in err


async def test_interrupted_it_is_cancelled(chat: Chat) -> None:
    me = {"CHATROOMS_TOKEN": chat.token("alice")}
    process = await run(chat, "task", "run", "--id", "t", "--", "sleep", "1000", **me)
    reader_of = process.stderr
    assert reader_of is not None
    await reader_of.readline()
    reader = await watch(chat, "t")
    await reader.until(lambda event: data(event).get("state") == "running")
    process.send_signal(signal.SIGINT)
    assert (await ended(process))[0] == 130
    assert data((await reader.rest())[-1])["state"] == "cancelled"


async def test_program_that_is_not_there_has_failed(chat: Chat) -> None:
    me = {"CHATROOMS_TOKEN": chat.token("alice")}
    assert (await ended(await run(chat, "task", "run", "--id", "t", "--", "no-such-program", **me)))[0] == 127
    assert (await chat.get("/api/v1/tasks/t")).data["state"] == "failed"
    assert (await ended(await run(chat, "task", "run", **me)))[0] == 2
