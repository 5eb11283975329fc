"""A private reply that nobody reads is stopped; readers on other nodes count."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.helpers.asking import begin, resume
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Reader
from tests.helpers.talk import Talk
from tests.helpers.upstream import WORDS, Upstream
from tests.integration.cluster.test_nodes import started

pytestmark = pytest.mark.gen_test(timeout=60)

CHECKS = 4  # of the node that writes the reply, each more than `--ai-orphan` after the one before


@asynccontextmanager
async def asked(url: str, upstream: Upstream) -> AsyncIterator[tuple[Chat, Chat, Reader, str]]:
    """Two nodes, and a reader on the first one of a reply that has begun there."""
    ai = {"ai": "openai", "ai_base_url": upstream.base_url, "ai_api_key": "sk", "ai_model": "held"}
    async with started(2, database_url=url, ai_orphan=0.3, **ai) as (one, two):
        reader, id = await begin(one, {"message": "Hello"})
        await reader.next()
        yield one, two, reader, id


async def test_reply_goes_on_while_it_is_read_on_another_node(postgres_url: str) -> None:
    async with Upstream() as upstream, asked(postgres_url, upstream) as (one, two, first, id):
        elsewhere = await resume(two, id)
        await elsewhere.next()
        first.close()
        reply = one.server.replies.in_memory(id)
        seen = set()

        def is_checked() -> bool:
            seen.add(reply.reads_elsewhere)
            return len(seen) > CHECKS

        await eventually(is_checked)
        assert reply.ending is None and not reply.readers
        upstream.go.set()
        await elsewhere.rest()
        assert Talk(elsewhere.seen).text == "".join(WORDS) and Talk(elsewhere.seen).whole()


async def test_reply_goes_on_while_it_is_polled_on_another_node(postgres_url: str) -> None:
    async with Upstream() as upstream, asked(postgres_url, upstream) as (one, two, first, id):
        reply = one.server.replies.in_memory(id)
        first.close()
        for _ in range(CHECKS):
            before = reply.reads_elsewhere
            assert (await two.get(f"/api/chat/stream/{id}?poll=1")).status == 200
            await eventually(lambda before=before: reply.reads_elsewhere > before)  # type: ignore[misc]
        assert reply.ending is None
        upstream.go.set()


async def test_reply_is_stopped_when_its_last_reader_leaves_another_node(postgres_url: str) -> None:
    async with Upstream() as upstream, asked(postgres_url, upstream) as (_, two, first, id):
        elsewhere = await resume(two, id)
        await elsewhere.next()
        for reader in (first, elsewhere):
            reader.close()
        await eventually(lambda: "held" in upstream.hung_up)
        talk = Talk.of((await two.get(f"/api/chat/stream/{id}")).body)
        assert talk.said == [{"type": "stopped", "by": "server"}]
