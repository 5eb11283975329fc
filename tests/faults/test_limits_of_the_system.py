"""What the operating system withholds: time, and file descriptors."""

from __future__ import annotations

import asyncio
import json
import resource
import signal

from tests.faults.conftest import Serve
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.reader import Reader

PAUSE = 3.0  # seconds that a process may be stopped, as by a virtual machine's move
BEAT = 0.1
FILES = 64
PEERS = 100


@within(60)
async def test_a_paused_server_goes_on_where_it_was(serve: Serve) -> None:
    """After a pause streams are still open, posts are answered, and missed heartbeats are not made up for."""
    server = serve("--heartbeat", str(BEAT))
    caller = Caller(server.url, "caller")
    reader = Reader.of_room(server.url, "lobby", "reader")
    await reader.connect()
    await reader.collect(lambda r: len(r.of_type("heartbeat")) >= 3)
    server.signal(signal.SIGSTOP)
    posting = asyncio.create_task(caller.send("lobby", "into the pause"))
    await asyncio.sleep(PAUSE)  # the pause itself is what is tested
    server.signal(signal.SIGCONT)
    assert (await posting).status == 201
    await reader.collect(lambda r: bool(r.posts))
    await reader.collect(lambda r: _after_pause(r) >= 5)
    beats = _beats(reader)
    gap = next(n for n in range(1, len(beats)) if beats[n] - beats[n - 1] >= PAUSE * 900)
    crowded = [n for n in range(gap + 1, len(beats)) if beats[n] - beats[n - 1] < BEAT * 1000 / 10]
    assert len(crowded) <= 2, f"{len(crowded)} heartbeats came at once"


@within(60)
async def test_without_file_descriptors_it_waits_and_recovers(serve: Serve) -> None:
    """Peers beyond the process's files wait; those inside go on; when some leave, others are served."""
    server = serve("--heartbeat", "0")
    caller = Caller(server.url, "caller")
    reader = Reader.of_room(server.url, "lobby", "reader")
    await reader.connect()
    assert (await caller.send("lobby", "before")).status == 201
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (FILES, FILES))

    crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(PEERS)]
    waiting = Caller(server.url, "waiting")
    late = asyncio.create_task(waiting.send("lobby", "late"))
    for n in range(20):
        assert (await caller.send("lobby", f"m{n}")).status == 201
    await reader.collect(lambda r: len(r.posts) >= 21)
    assert not late.done()
    cpu = await caller.metric("chatrooms_cpu_seconds_total")
    await asyncio.sleep(1)  # a second, in which there is nothing to do
    used = await caller.metric("chatrooms_cpu_seconds_total") - cpu
    assert used < 0.5, f"it span: {used} s of one second"
    for _, writer in crowd:
        writer.close()
    assert (await late).status == 201
    await reader.collect(lambda r: r.posts[-1]["message"] == "late")
    await eventually(lambda: _streams(caller, 1))


def _beats(reader: Reader) -> list[int]:
    return [json.loads(event.data)["timestamp"] for event in reader.of_type("heartbeat")]


def _after_pause(reader: Reader) -> int:
    """How many heartbeats came after the longest gap."""
    beats = _beats(reader)
    longest = max(range(1, len(beats)), key=lambda n: beats[n] - beats[n - 1])
    return len(beats) - longest if beats[longest] - beats[longest - 1] >= PAUSE * 900 else 0


async def _streams(caller: Caller, count: int) -> bool:
    return await caller.metric("chatrooms_streams") == count
