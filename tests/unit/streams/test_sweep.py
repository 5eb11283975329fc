"""The sweep: streams in step share one cursor; one that takes less goes alone and comes back (sweep.py)."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from chatrooms.log.log import Log
from chatrooms.streams.hub import Hub
from chatrooms.streams.stream import Cohort, Stream
from chatrooms.streams.sweep import COHORT_STREAMS
from chatrooms.streams.topic import TAIL_BYTES, Topic
from tests.helpers.chat import eventually

pytestmark = pytest.mark.gen_test(timeout=60)

LARGE = b"x" * 60_000  # a few of these fill the buffers of a socket
SMALL_BUFFER = 4096


class Room:
    """A hub with one topic, and its readers on real sockets."""

    def __init__(self) -> None:
        self.hub = Hub(0.0, 0.0, 0, 0)
        self.hub.start(cast(Log, SimpleNamespace(epoch="e", head=0)))
        self.topic = self.hub.add(Topic("t", 0))
        self.sent: list[bytes] = []
        self.peers: dict[Stream, socket.socket] = {}
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)

    def enter(self) -> Stream:
        """A new reader, of all frames from the next one on."""
        sock = socket.create_connection(self._door.getsockname())
        peer, _ = self._door.accept()
        peer.setblocking(False)
        sock.setblocking(False)
        stream = Stream(self.hub, sock, self.topic, len(self.sent))
        stream.user_id = f"user-{len(self.peers)}"
        self.hub.open(stream, None, b"")
        self.peers[stream] = peer
        return stream

    def say(self, *frames: bytes, final: bool = False) -> None:
        for frame in frames:
            self.sent.append(frame)
            self.hub.append(self.topic, frame, len(self.sent), final)

    def read(self, stream: Stream, at_most: int = 1 << 30) -> bytes:
        """What its peer has got since the last time."""
        data = b""
        try:
            while piece := self.peers[stream].recv(min(at_most - len(data), 1 << 16)):
                data += piece
        except BlockingIOError:
            pass
        return data

    @property
    def cohorts(self) -> list[Cohort]:
        readers = self.hub._readers.get(self.topic)
        return readers.cohorts if readers else []

    def in_step(self) -> bool:
        """Whether every open stream has everything and is in a cohort."""
        everybody = [stream for cohort in self.cohorts for stream in cohort.streams]
        assert all(stream.cohort is cohort for cohort in self.cohorts for stream in cohort.streams)
        return set(everybody) == set(self.hub.streams) and all(s.cursor == self.topic.end for s in everybody)


@contextmanager
def opened() -> Iterator[Room]:
    room = Room()
    try:
        yield room
    finally:
        for stream in list(room.hub.streams):
            stream.close()
        for peer in (*room.peers.values(), room._door):
            peer.close()
        room.hub.stop()


async def test_streams_in_step_share_a_cursor() -> None:
    with opened() as room:
        streams = [room.enter() for _ in range(3)]
        room.say(b"one", b"two")
        await eventually(room.in_step)
        await eventually(lambda: room.hub.deliveries == 6)
        assert [room.read(stream) for stream in streams] == [b"onetwo"] * 3
        assert [stream.position for stream in streams] == [2] * 3
        assert [cohort.streams for cohort in room.cohorts] == [streams]


async def test_stalled_stream_leaves_its_cohort_and_comes_back() -> None:
    """The others never notice, and it gets each byte once."""
    with opened() as room:
        quick, slow = room.enter(), room.enter()
        got = {quick: b"", slow: b""}

        def quick_has(size: int) -> bool:
            got[quick] += room.read(quick)
            return len(got[quick]) == size

        while not slow.stalled_at:
            room.say(LARGE)
            await eventually(lambda: quick_has(len(b"".join(room.sent))))
        assert slow.cohort is None and quick.cohort is not None
        room.say(b"after")

        def read() -> bool:
            for stream in got:
                got[stream] += room.read(stream)
            return all(data == b"".join(room.sent) for data in got.values())

        await eventually(read)
        await eventually(room.in_step)
        assert len(room.cohorts) <= 2
        room.say(b"and on")
        await eventually(read)
        assert len(room.cohorts) == 1  # those in step again are one cohort again


async def test_cohorts_are_bounded_and_none_is_empty() -> None:
    """However many come and go, in any order, on a topic where nothing happens."""
    with opened() as room:
        streams = [room.enter() for _ in range(2 * COHORT_STREAMS + 10)]
        assert [len(cohort.streams) for cohort in room.cohorts] == [COHORT_STREAMS, COHORT_STREAMS, 10]
        random.Random(1).shuffle(streams)
        for stream in streams[5:]:
            stream.close()
        assert sum(len(cohort.streams) for cohort in room.cohorts) == 5
        assert all(cohort.streams for cohort in room.cohorts)
        room.say(b"together")
        await eventually(room.in_step)
        assert len(room.cohorts) == 1
        assert [room.read(stream) for stream in streams[:5]] == [b"together"] * 5


async def test_stream_that_closes_while_its_cohort_is_served_harms_nobody() -> None:
    """A peer that has gone shows in the send."""
    with opened() as room:
        streams = [room.enter() for _ in range(9)]
        for stream in streams[::3]:
            room.peers[stream].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            room.peers[stream].close()  # resets the connection
        room.say(b"one")
        room.say(b"two")
        await eventually(lambda: set(room.hub.streams) == set(streams) - set(streams[::3]))
        await eventually(room.in_step)
        assert all(room.read(stream) == b"onetwo" for stream in room.hub.streams)


async def test_final_frame_ends_the_whole_cohort() -> None:
    with opened() as room:
        streams = [room.enter() for _ in range(4)]
        room.say(b"last words", final=True)
        await eventually(lambda: not room.hub.streams)
        assert [room.read(stream) for stream in streams] == [b"last words"] * 4
        assert not room.cohorts


async def test_cohort_that_left_the_tail_goes_by_its_position() -> None:
    """A text was removed before the sweep came: the streams go on through the log, each by itself."""
    asked: list[int] = []

    async def read(after: int, limit: int) -> tuple[list[object], int]:
        asked.append(after)
        return [], len(room.sent)

    with opened() as room:
        room.topic.read = cast("Topic", SimpleNamespace(read=read)).read
        streams = [room.enter() for _ in range(2)]
        room.say(b"removed")
        room.topic.forget()
        await eventually(lambda: asked == [0])  # once, for both
        await eventually(room.in_step)
        room.say(b"next")
        await eventually(room.in_step)
        assert [room.read(stream) for stream in streams] == [b"next"] * 2


@pytest.mark.parametrize("seed", range(8))
async def test_everybody_gets_every_byte_once_and_in_order(seed: int) -> None:
    """Readers that come, go, stall, are written to and read in any order, against what was said since they came."""
    chance = random.Random(seed)
    with opened() as room:
        since: dict[Stream, int] = {}
        got: dict[Stream, bytes] = {}
        for _ in range(300):
            action = chance.randrange(10)
            if action < 2:
                stream = room.enter()
                since[stream], got[stream] = len(room.sent), b""
            elif action < 3 and len(room.hub.streams) > 1:
                chance.choice(list(room.hub.streams)).close()
            elif action < 7:
                fits = len(b"".join(room.sent)) < TAIL_BYTES - len(LARGE)  # or only the log has the first ones
                room.say(chance.choice((b"a", b"bc", LARGE if fits else b"d")))
            elif action < 9 and room.hub.streams:
                stream = chance.choice(list(room.hub.streams))
                got[stream] += room.read(stream, chance.choice((10, 50_000, 1 << 20)))
            else:
                await asyncio.sleep(0)

        def whole() -> bool:
            for stream in room.hub.streams:
                got[stream] += room.read(stream)
            return all(got[stream] == b"".join(room.sent[since[stream] :]) for stream in room.hub.streams)

        await eventually(whole)
        await eventually(room.in_step)
