"""The drills of `make drill` would notice what they look for."""

from __future__ import annotations

import asyncio

from benchmarks.drills.load import Ledger, gather, losses, write
from tests.faults.conftest import Serve
from tests.helpers.chat import within


@within(60)
async def test_what_is_lost_repeated_or_read_otherwise_is_counted(serve: Serve) -> None:
    """Nothing of a quiet server; then what is made to look so."""
    server, ledger = serve(), Ledger()
    followers = await gather([server], ["lobby"], 3)
    writing = asyncio.create_task(write(server, "lobby", "writer", ledger))
    await ledger.reaches(20)
    ledger.stopped = True
    await writing
    found = await losses(server, ledger, followers)
    assert found.acknowledged >= 20 and found.none, found

    room, id = ledger.acknowledged["writer-3"]
    ledger.acknowledged["never said"] = room, id + "0"
    assert (await losses(server, ledger, followers))[1:] == (1, 0, 0)
    del ledger.acknowledged["never said"], ledger.acknowledged["writer-3"]
    assert (await losses(server, ledger, followers))[1:] == (0, 1, 0)
    ledger.acknowledged["writer-3"] = room, id
    followers[0].ids.remove(id)
    followers[1].ids.insert(5, id)
    assert (await losses(server, ledger, followers))[1:] == (0, 0, 2)
    for follower in followers:
        follower.leave()
