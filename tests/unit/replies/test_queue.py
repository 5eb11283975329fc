"""The queue of replies, where several change in one turn of the event loop (queue.py)."""

from __future__ import annotations

import asyncio

import pytest

from chatrooms.options import Options
from chatrooms.replies.queue import ReplyQueue
from chatrooms.replies.reply import Reply, StoredReply

pytestmark = pytest.mark.gen_test


def _reply(id: str) -> Reply:
    return Reply(StoredReply(id, "alice", "alice", "c", None, None, "", None, None))


async def test_reply_that_ends_as_a_waiting_one_is_stopped_is_not_harmed() -> None:
    """As when the server stops: the turn of the one that waited is cancelled, but it has not left yet."""
    queue = ReplyQueue(Options({"ai_replies": 1}, {}))
    ends = asyncio.Event()

    async def run(reply: Reply) -> None:
        async with queue.turn(reply):
            await ends.wait()

    first, second, third = (asyncio.create_task(run(_reply(id))) for id in "abc")
    await asyncio.sleep(0)
    assert queue.waiting == 2
    ends.set()
    second.cancel()
    await asyncio.wait([first, second, third])
    assert (first.exception(), second.cancelled(), third.exception()) == (None, True, None)
    assert queue.waiting == 0
