"""Replies that another node writes, or wrote until it died: seen through their rows and leases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from chatrooms.ai.base import Prompt
from chatrooms.cluster import Lease
from chatrooms.replies.reply import StoredReply
from chatrooms.replies.store import ReplyStore, add_reply, extend_replies, finish_reply
from tests.helpers.asking import resume
from tests.helpers.chat import Chat, eventually
from tests.helpers.talk import Talk

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]


async def begun(chat: Chat, reply: str, lease: float, room: str | None = None) -> StoredReply:
    """The row of a reply that some other node has begun, with two chunks."""
    row = StoredReply(reply, "alice", "alice", "c1", room, None, '{"message": "Hi"}', None, None)
    async with chat.server.database.transaction() as tx:
        await add_reply(tx, row, "another-node", int((time.time() + lease) * 1000), 0)
        await extend_replies(tx, [("Hel😀", "4,", reply), ("lo", "2,", reply)])
    return row


async def test_reader_here_follows_a_reply_that_is_written_elsewhere(chat: Chat) -> None:
    row = await begun(chat, "r1", 60)
    reader = await resume(chat, "r1")
    await reader.until(lambda event: '"index":1' in event.data)
    async with chat.server.database.transaction() as tx:
        await extend_replies(tx, [(" there", "6,", "r1")])
    await reader.until(lambda event: '"index":2' in event.data)
    whole = row._replace(state="complete", text="Hel😀lo there!", lengths="4,2,6,1,")
    async with chat.server.database.transaction() as tx:
        await finish_reply(tx, whole, None, 1)
    await reader.rest()
    assert Talk(reader.seen).text == "Hel😀lo there!" and Talk(reader.seen).whole()


async def finished(chat: Chat, row: StoredReply) -> None:
    """The other node says " there!" and is done with it."""
    async with chat.server.database.transaction() as tx:
        await finish_reply(tx, row._replace(state="complete", text="Hel😀lo there!", lengths="4,2,8,"), None, 1)


async def test_reader_that_comes_after_the_follower_has_left_is_not_forgotten(chat: Chat) -> None:
    """Between the look for a reply and its reading there is a look at rights, which may take its time."""
    row = await begun(chat, "r1", 60)
    reply = await chat.server.replies.find("r1")
    changed = asyncio.Event()
    for end in (False, True):
        await eventually(lambda: not chat.server.replies._elsewhere._tasks)
        reply.enter(changed.set)
        assert reply.text == "Hel😀lo"
        if end:
            await finished(chat, row)
            async with asyncio.timeout(10):
                while reply.ending is None:
                    await changed.wait()
                    changed.clear()
        reply.leave(changed.set)
    assert reply.text == "Hel😀lo there!"
    await eventually(lambda: not chat.server.replies._elsewhere._tasks)


async def test_reader_of_a_reply_whose_row_is_deleted_is_told(chat: Chat) -> None:
    """Its author has deleted the account, on whatever node: nothing will follow."""
    await begun(chat, "r1", 60)
    reader = await resume(chat, "r1")
    await reader.until(lambda event: '"index":1' in event.data)
    async with chat.server.database.transaction() as tx:
        await tx.execute("delete from replies where user_id = 'alice'")
    await reader.rest()
    talk = Talk(reader.seen)
    assert talk.whole() and [(part["type"], part["code"]) for part in talk.said] == [("error", "not-found")]
    assert (await chat.get("/api/chat/stream/r1")).status == 404


async def test_stop_of_a_reply_that_is_written_elsewhere_is_an_order_to_all(chat: Chat) -> None:
    await begun(chat, "r1", 60)
    assert (await chat.call("DELETE", "/api/chat/stream/r1")).status == 204
    orders = await chat.server.log.read("control", 0, 10)
    assert [order.type for order in orders] == ["reply-stopped"]


async def test_only_replies_whose_lease_ran_out_are_interrupted(chat: Chat) -> None:
    """By any living node; once, and the room shows what there was."""
    reader = await chat.join()
    await begun(chat, "dead", -1, "lobby")
    await begun(chat, "alive", 60, "lobby")
    stores = [ReplyStore(chat.server.database, chat.server.log, Lease()) for _ in range(2)]
    await asyncio.gather(*[store.end_orphans(alone=False) for store in stores])
    message = await reader.message("Hel😀lo")
    assert (message["messageId"], message["state"]) == ("dead", "interrupted")
    talk = Talk.of((await chat.get("/api/chat/stream/dead")).body)
    assert talk.text == "Hel😀lo" and [part["code"] for part in talk.said] == ["interrupted"]
    await chat.say("lobby", "after")
    await reader.message("after")
    assert reader.messages() == ["Hel😀lo", "after"]
    rows = await chat.server.database.fetch("select id, state from replies order by id")
    assert rows == [("alive", "streaming"), ("dead", "interrupted")]


async def test_private_replies_go_with_their_account(chat: Chat) -> None:
    """Those in rooms stay, as messages do."""
    body = {"username": "Ada", "email": "ada@example.org", "password": "correct horse"}
    tokens = (await chat.post("/api/signup", body, user=None)).data
    headers = {"Authorization": f"Bearer {tokens['token']}"}
    for more in ({}, {"roomId": "lobby"}):
        assert (await chat.post("/api/chat/stream", {"message": "Hi", **more}, None, headers=headers)).status == 200
    deleted = await chat.call("DELETE", "/api/auth/me", {"password": "correct horse"}, None, headers=headers)
    assert deleted.status == 204, deleted
    assert await chat.server.database.fetch("select room_id from replies") == [("lobby",)]


class Spoken:
    """A provider that says just this."""

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces

    async def reply(self, prompt: Prompt) -> AsyncIterator[str]:
        for piece in self._pieces:
            yield piece

    async def close(self) -> None:
        pass


async def test_nul_from_a_model_does_not_cost_the_reply(chat: Chat) -> None:
    """PostgreSQL takes none: it leaves the text before anybody sees it, and indexes have no gap."""
    chat.server.replies._provider = Spoken("\0", "Hel\0lo", "\0\0", " there\0")
    talk = Talk.of((await chat.post("/api/chat/stream", {"message": "Hi"})).body)
    assert talk.whole() and talk.text == "Hello there" and len(talk.content) == 2
    reader = await chat.join()
    await chat.say("lobby", "@ai hello")
    assert (await reader.message("Hello there"))["isFromBot"] is True
    rows = await chat.server.database.fetch("select text, lengths, state from replies")
    assert rows == [("Hello there", "5,6,", "complete")] * 2
