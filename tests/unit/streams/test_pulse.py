"""Heartbeats, warnings and ends by the clock (pulse.py)."""

from __future__ import annotations

import asyncio
import weakref
from typing import cast

import pytest

from chatrooms.streams.pulse import Pulse
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic
from tests.helpers.chat import eventually

pytestmark = pytest.mark.gen_test(timeout=30)


class Written:
    """As much of a stream as the pulse touches; it writes down what happens to it."""

    def __init__(self, expires_at: float = 0.0) -> None:
        self.topic = Topic("room:lobby", 0)
        self.expires_at = expires_at
        self.open = True
        self.warned = False
        self.stalled_at = 0.0
        self.phase = self.due = 0
        self.frames: list[bytes] = []
        self.failures: list[Exception] = []

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)

    topic = Topic("t", 0)

    def unheard(self, seconds: float) -> bool:
        return False

    def close(self) -> None:
        self.open = False

    def abandon(self) -> None:
        self.close()

    def fail(self, error: Exception) -> None:
        self.failures.append(error)
        self.close()


class Clock:
    """A time that passes when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def pulse(heartbeat: float = 0.0, write_timeout: float = 0.0, clock: Clock | None = None) -> Pulse:
    made = Pulse(
        heartbeat, write_timeout,
        lambda stream: stream.write(b"expiring"), lambda stream: stream.close(), clock or Clock(),
    )  # fmt: skip
    made._tick = 0.001
    return made


def stream(written: Written) -> Stream:
    return cast(Stream, written)


async def test_every_stream_gets_its_beat() -> None:
    """Whatever its phase; an ended one is forgotten."""
    beats = pulse(heartbeat=0.02)
    streams = [Written() for _ in range(30)]
    for written in streams:
        beats.add(stream(written))
    beats.start()
    await eventually(lambda: all(len(written.frames) >= 2 for written in streams))
    assert streams[0].frames[0].startswith(b'event: heartbeat\ndata: {"timestamp":')
    for written in streams:
        beats.remove(stream(written))
    assert not any(beats._phases)
    beats.stop()


async def test_ended_stream_is_let_go_at_once() -> None:
    """However long its token would have lasted, and wherever the pulse had a place for it."""
    clock = Clock()
    beats = pulse(heartbeat=20, write_timeout=20, clock=clock)
    gone = []
    for expires_at in (0.0, 1030.0, 1061.0, 1000.0 + 20 * 86400):
        written = Written(expires_at)
        written.stalled_at = 1.0
        beats.add(stream(written))
        beats.stalled(stream(written))
        await asyncio.sleep(0)
        beats.remove(stream(written))
        gone.append(weakref.ref(written))
        del written
    assert [ref() for ref in gone] == [None] * 4
    assert not beats._due


async def test_extended_stream_has_one_place_only() -> None:
    """A tab that extends its token every few minutes does not leave a trace each time."""
    beats, written = pulse(), Written(2000.0)
    beats.add(stream(written))
    for n in range(100):
        written.expires_at = 3000.0 + n
        beats.schedule(stream(written), extended=True)
    assert [list(due) for due in beats._due.values()] == [[stream(written)]]


class Failing(Written):
    """One with which everything goes wrong."""

    def write(self, frame: bytes) -> None:
        raise RuntimeError("failed")

    def abandon(self) -> None:
        raise RuntimeError("failed")


async def test_stream_that_fails_ends_alone() -> None:
    """Heartbeats, warnings, ends and deadlines of the others go on, in the same tick."""
    clock = Clock()
    beats = pulse(heartbeat=0.02, write_timeout=0.02, clock=clock)
    streams = [kind(1070.0) for kind in (Failing, Written, Failing, Written)]
    for written in streams:
        beats.add(stream(written))
    stalled = [Failing(), Written()]
    for written in stalled:
        written.stalled_at = 1.0
        beats.stalled(stream(written))
    beats.start()
    await eventually(lambda: all(len(written.frames) >= 3 for written in streams[1::2]))
    clock.now = 1011.0
    await eventually(lambda: all(b"expiring" in written.frames for written in streams[1::2]))
    assert [written.open for written in streams] == [False, True] * 2
    assert [written.open for written in stalled] == [False, False]
    assert all(written.failures for written in (*streams[::2], stalled[0]))
    beats.stop()


async def test_stream_is_warned_once_and_ended() -> None:
    """A minute before the end of its token, and at its end."""
    clock = Clock()
    beats, written = pulse(clock=clock), Written(1100.0)
    beats.add(stream(written))
    beats.start()
    clock.now = 1039.0
    await eventually(lambda: beats._due_from > 1039)
    assert (written.frames, written.open) == ([], True)
    clock.now = 1040.5
    await eventually(lambda: written.frames == [b"expiring"])
    clock.now = 1099.9
    await eventually(lambda: beats._due_from == 1100)
    assert written.open
    clock.now = 1100.0
    await eventually(lambda: not written.open)
    assert written.frames == [b"expiring"]
    beats.stop()


async def test_stream_with_little_time_left_is_warned_at_once() -> None:
    """Without waiting for a tick."""
    beats, written = pulse(), Written(1010.0)
    beats.add(stream(written))
    await asyncio.sleep(0)
    assert written.frames == [b"expiring"]


async def test_extended_stream_is_warned_again_later() -> None:
    """And what was due before does not touch it."""
    clock = Clock()
    beats, written = pulse(clock=clock), Written(1030.0)
    beats.add(stream(written))
    beats.start()
    await eventually(lambda: len(written.frames) == 1)
    written.expires_at, written.warned = 2000.0, False
    beats.schedule(stream(written))
    clock.now = 1500.0
    await eventually(lambda: beats._due_from > 1500)
    assert (written.open, written.frames) == (True, [b"expiring"])
    clock.now = 1940.0
    await eventually(lambda: len(written.frames) == 2)
    clock.now = 2000.0
    await eventually(lambda: not written.open)
    beats.stop()


async def test_stalled_stream_is_ended_after_the_timeout() -> None:
    """One that takes data again is left alone."""
    beats, dead, alive = pulse(write_timeout=0.02), Written(), Written()
    now = asyncio.get_running_loop().time()
    for written in (dead, alive):
        written.stalled_at = now
        beats.stalled(stream(written))
    alive.stalled_at = 0.0
    beats.start()
    await eventually(lambda: not dead.open)
    assert alive.open
    await eventually(lambda: not beats._stalled)
    beats.stop()


async def test_timeout_of_zero_ends_nobody() -> None:
    """0 turns a limit off."""
    beats, written = pulse(write_timeout=0.0), Written()
    written.stalled_at = 1.0
    beats.stalled(stream(written))
    beats._end_stalled()
    assert written.open
