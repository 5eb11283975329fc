"""Visits that other nodes hear of only when they are over (section 10)."""

from __future__ import annotations

import asyncio

import pytest

from chatrooms.cluster import MembersChanged
from chatrooms.rooms import remote
from tests.helpers.chat import Chat, eventually
from tests.integration.cluster.test_nodes import members, started

pytestmark = pytest.mark.gen_test(timeout=60)


async def visit(chat: Chat, room: str) -> None:
    """Comes and leaves at once."""
    await chat.join(room, "ann", clientId="brief")
    await chat.post(f"/api/rooms/{room}/leave", {"clientId": "brief"}, "ann")


async def test_a_room_left_within_one_write_lives_nowhere(postgres_url: str) -> None:
    """Not in memory, not in the list, and 404 as on the node that was visited."""
    async with started(2, database_url=postgres_url, leave_grace=0) as (one, two):
        presence = one.server.rooms.presence_of("in-one-step")
        presence.release(presence.enter("ann", "ann"), 0)
        await asyncio.gather(*(visit(one, f"brief-{n}") for n in range(30)))
        await one.join("after", "ann")
        await eventually(lambda: members(two, "after") == ["ann"])
        assert two.server.rooms.live() == one.server.rooms.live() == ["after"]
        assert [room["roomId"] for room in (await two.get("/api/rooms")).data["rooms"]] == ["after"]
        for chat in (one, two):
            assert (await chat.get("/api/rooms/in-one-step")).status == 404


async def test_news_while_the_table_is_read_are_newer_than_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read in pages, and others come and go between them."""
    async with started(2, database_url=postgres_url, leave_grace=0) as (one, two):
        for n in range(4):
            await two.join("lobby", f"u{n}")
        await eventually(lambda: members(one) == ["u0", "u1", "u2", "u3"])
        monkeypatch.setattr(remote, "MEMBER_BATCH", 1)
        there, node = one.server.remote_presence, two.server.nodes.name
        reading = asyncio.create_task(there._read_all())
        await eventually(lambda: there._meanwhile is not None)
        there.on_members(MembersChanged(node, [("lobby", "new", "new")], [("lobby", "u0", "u0")]))
        await reading
        assert members(one) == ["new", "u1", "u2", "u3"]
        await there._read_all()  # by then the table is right
        assert members(one) == ["u0", "u1", "u2", "u3"]
