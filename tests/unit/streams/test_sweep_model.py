"""Streams of one hub against a model, by chance: cohorts, catch-up, tails and shared connections together.

Three topics, one of them merged of the two others; readers on sockets of their own, on TLS, and several on one
connection. Events and ephemerals are published, peers read a little or reset their connections, tails are dropped,
the merged topic is held and gets other sources, and reads of the log fail. Whatever happens: every reader gets each
event of its topic after its start once and in order, each ephemeral at most once and in order, and a snapshot
where one is missing.

CHATROOMS_TEST_SWEEP=5000 tries so many seeds, from CHATROOMS_TEST_SEED on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.streams import catchup, sockets, sweep
from chatrooms.streams import topic as tails
from chatrooms.streams.encoding import Encoding
from chatrooms.streams.hub import Hub
from chatrooms.streams.shared import Outlet, SharedStream
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic
from tests.helpers.certificate import self_signed
from tests.helpers.chat import eventually

SEEDS = int(os.environ.get("CHATROOMS_TEST_SWEEP", "6"))
FIRST = int(os.environ.get("CHATROOMS_TEST_SEED", "1"))
STEPS = 250
SEND_BUFFER, RECEIVE_BUFFER = 4096, 32768  # small, so that a peer that does not read stalls its stream soon
SIZES = (10, 10, 300, 3000, 20_000, 60_000)
NAMES = ("a", "b")
MERGED = "m"

pytestmark = pytest.mark.gen_test(timeout=SEEDS * 2 + 120)


class Plain(Encoding):
    """Frames that say little, so that a test fails on what it is about: `<type> <seq> <padding>`."""

    ends = frozenset({"final"})

    def event(self, event: Event, id: str) -> bytes:
        return b"data: %b %d %b\n\n" % (event.type.encode(), event.seq, event.data)

    def signal(self, name: str, data: object, id: str | None = None, retry: int | None = None) -> bytes:
        return b"data: %b\n\n" % name.encode()


PLAIN = Plain()


class Reader:
    """What one stream has got, by its events, and what it must get."""

    def __init__(self, world: World, stream: Stream, name: str, after: int) -> None:
        self._world = world
        self.stream = stream
        self.name = name
        self.seq = after
        self.ephemeral = world.ephemerals.get(name, 0)
        self.over = False

    def take(self, event: bytes) -> None:
        words = event.removeprefix(b"data: ").split(b" ")
        kind, number = words[0].decode(), int(words[1]) if len(words) > 1 else 0
        if kind == "closing":
            self.over = True
        elif kind == "ephemeral":
            assert number == self.ephemeral + 1, f"{self.name}: ephemeral {number} after {self.ephemeral}"
            self.ephemeral = number
        elif kind == "snapshot":
            assert number >= self.ephemeral, f"{self.name}: snapshot {number} after {self.ephemeral}"
            self.ephemeral = number
        elif kind != "heartbeat":
            due = next(self._world.due(self.name, self.seq), None)
            assert number == due, f"{self.name}: {number} after {self.seq}, {due} was due"
            self.seq = number

    def has_all(self) -> bool:
        missing = next(self._world.due(self.name, self.seq), None)
        return missing is None and self.ephemeral == self._world.ephemerals.get(self.name, 0)


class Line:
    """The peer's end of a connection with one stream, or several by key."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.readers: dict[str, Reader] = {}
        self.outlet: Outlet | None = None
        self._rest = b""

    @property
    def streams(self) -> list[Stream]:
        return [reader.stream for reader in self.readers.values()]

    def read(self, at_most: int = 1 << 30) -> None:
        data = b""
        with suppress(BlockingIOError, ssl.SSLWantReadError, ConnectionError, ssl.SSLEOFError):
            while piece := self.peer.recv(min(at_most - len(data), 1 << 16)):
                data += piece
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            key, sub, rest = "", *event.partition(b"\n")[::2]
            if sub.startswith(b"sub: "):
                key, event = sub.removeprefix(b"sub: ").decode(), rest
            self.readers[key].take(event)


class World:
    """A hub, its log in memory, and all readers."""

    def __init__(self, seed: int, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        self.chance = random.Random(seed)
        self._contexts = contexts
        self.events: list[Event] = []
        self.sources: dict[str, list[list[int]]] = {}  # of the merged topic: from which seq, to which
        self.ephemerals: dict[str, int] = {}
        self.lines: list[Line] = []
        self.held = False
        self.log = SimpleNamespace(epoch="e", head=0, read=self._read_topic)
        self.hub = Hub(0.0, 0.0, 0, 0)
        self.hub.start(cast(Log, self.log))
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._people = 0

    def due(self, name: str, after: int) -> Iterator[int]:
        """What follows in a topic; the event `seq` has the index `seq` - 1."""
        return (event.seq for event in islice(self.events, after, None) if self._belongs(event, name))

    def _belongs(self, event: Event, name: str) -> bool:
        if name != MERGED:
            return name in event.topics
        return any(start < event.seq <= end for topic in event.topics for start, end in self.sources.get(topic, ()))

    async def _read(self, name: str, after: int, limit: int) -> list[Event]:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        if self.chance.random() < 0.1:
            raise OSError("a database of the test")
        return [e for e in self.events if after < e.seq <= self.log.head and self._belongs(e, name)][:limit]

    async def _read_topic(self, name: str, after: int, limit: int) -> list[Event]:
        head = self.log.head
        return [event for event in await self._read(name, after, limit) if event.seq <= head]

    async def _read_merged(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        head = self.log.head
        events = await self._read_topic(MERGED, after, limit)
        events = [event for event in events if event.seq <= head]
        return events, head if len(events) < limit else events[-1].seq

    # Readers

    def topic(self, name: str) -> Topic:
        if name != MERGED:
            topic = self.hub.topic(name, PLAIN)
            topic.snapshot = lambda: b"data: snapshot %d\n\n" % self.ephemerals.get(name, 0)
            return topic
        known = self.hub.readers(MERGED)
        topic = self.hub.merged(MERGED, PLAIN, self._read_merged)
        if not known:  # it begins, held
            self.held = True
        return topic

    def _connection(self, tls: bool) -> tuple[socket.socket, socket.socket]:
        ours = socket.create_connection(self._door.getsockname())
        peer, _ = self._door.accept()
        ours.setblocking(False)
        peer.setblocking(False)
        if not tls:
            return ours, peer
        server, client = self._contexts
        ours = server.wrap_socket(ours, server_side=True, do_handshake_on_connect=False)
        peer = client.wrap_socket(peer, do_handshake_on_connect=False)
        waiting = [peer, ours]
        while waiting:
            one = waiting.pop(0)
            try:
                one.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                waiting.append(one)
        return ours, peer

    def _open(self, line: Line, key: str, make: Callable[[Topic, int], Stream]) -> None:
        name = self.chance.choice((*NAMES, MERGED))
        after = self.log.head if self.chance.random() < 0.6 else self.chance.randint(0, self.log.head)
        stream = make(self.topic(name), after)
        stream.user_id = stream.client_id = f"user-{self._people}"
        self._people += 1
        stream.ephemeral_count = stream.topic.ephemeral_count
        line.readers[key] = Reader(self, stream, name, after)
        self.hub.open(stream, None, b"")

    def enter(self) -> None:
        ours, peer = self._connection(self.chance.random() < 0.4)
        line = Line(peer)
        self.lines.append(line)
        if self.chance.random() < 0.5:
            self._open(line, "", partial(Stream, self.hub, ours))
            return
        line.outlet = Outlet(ours, b"", 0.0, lambda: None, lambda: None)
        line.outlet.start()
        for number in range(self.chance.randint(1, 4)):
            key = str(number)
            self._open(line, key, partial(SharedStream, self.hub, line.outlet, key))

    def subscribe(self, line: Line) -> None:
        if line.outlet is not None and line.outlet.open and len(line.readers) < 6:
            key = str(len(line.readers))
            self._open(line, key, partial(SharedStream, self.hub, line.outlet, key))

    # What happens

    def publish(self, type: str = "x", *topics: str) -> None:
        seq = self.log.head + 1
        names = topics or self.chance.choice((("a",), ("b",), ("a", "b"), ("c",)))
        self.events.append(Event(type, b"x" * self.chance.choice(SIZES), names, seq=seq))
        self.log.head = seq
        self.hub.publish(self.events[-1:])

    def send_ephemeral(self) -> None:
        name = self.chance.choice(NAMES)
        if self.hub.readers(name):
            number = self.ephemerals[name] = self.ephemerals.get(name, 0) + 1
            padding = b"x" * self.chance.choice(SIZES)
            self.hub.send_ephemeral(name, b"data: ephemeral %d %b\n\n" % (number, padding))

    def hold_or_release(self) -> None:
        readers = self.hub.readers(MERGED)
        if not readers:
            return
        topic = readers[0].topic
        if not topic.held:
            topic.hold()
            return
        wanted = set(self.chance.sample(NAMES, self.chance.randint(0, 2)))
        for name in NAMES:
            spans = self.sources.setdefault(name, [])
            if spans and spans[-1][1] > self.log.head and name not in wanted:
                spans[-1][1] = self.log.head
            elif name in wanted and (not spans or spans[-1][1] <= self.log.head):
                spans.append([self.log.head, 1 << 60])
        self.hub.release(topic, wanted)

    def forget(self) -> None:
        some = list(self.hub.streams)
        if some:
            topic = self.chance.choice(some).topic
            if self.chance.random() < 0.5:
                topic.forget()
            else:
                topic.forget_until(self.chance.randint(0, self.log.head))

    def leave(self) -> None:
        line = self.chance.choice(self.lines)
        how = self.chance.randrange(4)
        if how == 0:
            line.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how < 2:
            line.peer.close()  # with how 0, a reset
            self.lines.remove(line)
        elif how == 2:
            self.chance.choice(line.streams).close()
        elif line.outlet is not None:
            line.outlet.close()
        for name in (*NAMES, MERGED):
            self._begin_anew_if_empty(name)

    def _begin_anew_if_empty(self, name: str) -> None:
        if not self.hub.readers(name):
            self.ephemerals.pop(name, None)

    def read(self) -> None:
        line = self.chance.choice(self.lines)
        line.read(self.chance.choice((10, 500, 5000, 1 << 20)))

    def beat(self) -> None:
        some = list(self.hub.streams)
        if some:
            self.chance.choice(some).write(b"data: heartbeat\n\n")

    # What must hold

    def check(self) -> None:
        for topic, readers in self.hub._readers.items():
            members = [stream for cohort in readers.cohorts for stream in cohort.streams]
            assert len(members) == len(set(members)), "a stream is in two cohorts"
            for cohort in readers.cohorts:
                assert 0 < len(cohort.streams) <= sweep.COHORT_STREAMS
                assert all(s.cohort is cohort and s.open and not s.stalled_at for s in cohort.streams)
                assert topic.held or cohort.cursor >= topic.end or topic.dirty, "nobody serves a cohort"
            assert {s for s in readers.streams if s.cohort is not None} == set(members)

    def all_is_read(self) -> bool:
        for line in self.lines:
            line.read()
        self.check()
        return all(r.has_all() for line in self.lines for r in line.readers.values() if r.stream.open)

    def in_step(self) -> bool:
        return all(s.cohort is not None and s.cursor == s.topic.end for s in self.hub.streams)

    def close(self) -> None:
        for stream in list(self.hub.streams):
            stream.close()
        for line in self.lines:
            if line.outlet is not None:
                line.outlet.close()
            line.peer.close()
        self._door.close()
        self.hub.stop()


@contextmanager
def world_of(seed: int, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[World]:
    world = World(seed, contexts)
    try:
        yield world
    except BaseException:
        print(f"seed {seed}")
        raise
    finally:
        world.close()


async def act(world: World) -> None:
    chance = world.chance
    action = chance.randrange(100)
    if action < 8 or not world.lines:
        world.enter()
    elif action < 10:
        world.subscribe(chance.choice(world.lines))
    elif action < 13:
        world.leave()
    elif action < 40:
        world.publish()
    elif action < 55:
        world.send_ephemeral()
    elif action < 60:
        world.hold_or_release()
    elif action < 63:
        world.forget()
    elif action < 66:
        world.beat()
    elif action < 85:
        world.read()
    else:
        await asyncio.sleep(0)
    world.check()


async def run(world: World) -> None:
    for _ in range(STEPS):
        await act(world)
    if any(stream.topic.held for stream in world.hub.streams):
        world.hold_or_release()
    await eventually(world.all_is_read)
    await eventually(world.in_step)
    name = world.chance.choice(NAMES)
    world.publish("final", name)
    await eventually(lambda: world.all_is_read() and not world.hub.readers(name))
    for line in world.lines:
        assert all(
            reader.has_all() for reader in line.readers.values() if reader.stream.topic.name == name and reader.over
        )


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
async def test_streams_are_as_their_model(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "chatrooms")  # reads that fail are warned of, each foreseen
    chance = random.Random(seed)
    for module, name, value in (
        (sockets, "SEND_BUFFER", SEND_BUFFER),
        (sweep, "COHORT_STREAMS", chance.choice((1, 2, 5, 128))), (sweep, "SLICE", chance.choice((0.0, 0.002))),
        (tails, "TAIL_FRAMES", chance.choice((3, 30))), (tails, "EPHEMERAL_FRAMES", chance.choice((2, 20))),
        (tails, "BATCH_BYTES", chance.choice((500, 5000, 65536))), (catchup, "RETRY", 0.001),
        (catchup, "BATCH_BYTES", chance.choice((500, 65536))), (catchup, "PAGE_EVENTS", chance.choice((1, 3, 200))),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    with world_of(seed, _contexts(tmp_path)) as world:
        await run(world)
    assert not caplog.records, "a stream failed"


def _contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    cert, key = self_signed(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return server, client
