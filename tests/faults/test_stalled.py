"""A reader that never reads, among a thousand."""

from __future__ import annotations

import asyncio

from benchmarks.server_process import ServerProcess
from chatrooms.sse import Parser
from tests.faults.conftest import Serve
from tests.faults.crowd import END, gather_crowd
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import Reader, texts

CROWD = 1_000
MESSAGES = 1_000
WRITE_TIMEOUT = "3"
SMALL = 4096  # bytes of SO_RCVBUF
MOST_GROWTH = 2 << 20  # bytes of memory that one stalled reader may cost


@within(110)
async def test_a_stalled_reader_costs_the_others_nothing_and_little_memory(serve: Serve) -> None:
    """It is ended after write-timeout and resumes completely; the thousand others get everything."""
    options = ("--write-timeout", WRITE_TIMEOUT, "--heartbeat", "0")
    without = await _run(serve(*options), None)

    server = serve(*options)
    stalled = Reader.of_room(server.url, "lobby", "stalled", receive_buffer=SMALL)
    peak = await _run(server, stalled)
    await stalled.follow(lambda r: len(r.posts) > MESSAGES)
    assert texts(stalled.posts)[:-1] == [f"m{n}" for n in range(MESSAGES)]
    assert stalled.connections == 2
    assert peak - without <= MOST_GROWTH, f"{peak - without} bytes more than without it"


async def _run(server: ServerProcess, stalled: Reader | None) -> int:
    """Plays the same to a crowd, with or without a stalled reader; returns the most memory ever used."""
    caller = Caller(server.url, "writer")
    crowd = await gather_crowd(server.url, "lobby", CROWD)
    if stalled is not None:
        await stalled.connect()
        await eventually(lambda: _streams(caller, CROWD + 1))
    for start in range(0, MESSAGES, 20):
        await caller.fill("lobby", start, start + 20, size=200)
    await caller.send("lobby", END.decode())
    digests = await asyncio.gather(*(face.ended for face in crowd))
    assert len(set(digests)) == 1, "some of the crowd got something else"
    heard = [event for event in Parser().feed(crowd[0].body) if event.type == "room-message"]
    assert len(heard) == MESSAGES + 1
    await eventually(lambda: _streams(caller, CROWD))  # the stalled one was ended
    peak = server.memory("VmHWM")
    for face in crowd:
        face.leave()
    await eventually(lambda: _streams(caller, 0))
    caller.close()
    return peak


async def _streams(caller: Caller, count: int) -> bool:
    return await caller.metric("chatrooms_streams") == count
