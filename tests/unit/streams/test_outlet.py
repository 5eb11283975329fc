"""One connection for several streams: whole events of one at a time, wherever the kernel cuts."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrooms import sse
from chatrooms.sse import Parser, ServerEvent
from chatrooms.streams.shared import OWED_BYTES, Outlet, SharedStream, labelled_with
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
KEYS = ["a", "b", "a-long-key-of-a-stream", "ü"]


class Cutting(socket.socket):
    """A socket that takes as many bytes at a time as it is told, in turn; 0 is would-block."""

    takes: Iterator[int]
    taken: bytes

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        count = min(len(data), next(self.takes))
        if not count:
            raise BlockingIOError
        self.taken += data[:count]
        return count


class Keeper:
    """Gives a stream what it lacks as soon as it may go on."""

    write_timeout = 5.0

    def __init__(self) -> None:
        self.ends: list[Stream] = []

    def resume(self, stream: Stream) -> None:
        batch = stream.topic.durable_after(stream.position)
        if batch.entries:
            stream.deliver(batch)

    def stalled(self, stream: Stream) -> None:
        assert stream.stalled_at

    def ended(self, stream: Stream, hold: float) -> None:
        self.ends.append(stream)


def cutting(takes: Iterator[int]) -> Cutting:
    sock = Cutting()
    sock.setblocking(False)
    sock.takes, sock.taken = takes, b""
    return sock


def events_of(sock: Cutting) -> list[ServerEvent]:
    assert sock.taken.startswith(HEAD)
    return Parser().feed(sock.taken[len(HEAD) :])


def frame(text: str, type: str = "room-message") -> bytes:
    return sse.encode(json.dumps(text).encode(), type, f"e-{len(text)}")


@pytest.mark.parametrize(
    ("events", "labelled"),
    [
        (b"", b""),
        (b"data: x\n\n", b"sub: k\ndata: x\n\n"),
        (b"data: x\n\nid: 1\ndata: \ndata: y\n\n", b"sub: k\ndata: x\n\nsub: k\nid: 1\ndata: \ndata: y\n\n"),
    ],
)
def test_each_event_gets_its_line(events: bytes, labelled: bytes) -> None:
    """However many there are in one piece."""
    assert labelled_with(b"sub: k\n", events) == labelled
    assert labelled_with(b"", events) == events


texts = st.lists(st.text(st.sampled_from("x\r\n ü"), max_size=30), min_size=1, max_size=6)
cuts = st.lists(st.integers(0, 40), max_size=60)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, min_size=1, max_size=len(KEYS)), cuts, st.data())
def test_no_cut_mixes_or_loses_anything(told: list[list[str]], takes: list[int], choices: st.DataObject) -> None:
    """Each stream's events come whole, once and in order; so do those of the connection itself."""
    order = choices.draw(st.permutations([key for key, lines in enumerate(told) for _ in lines]))
    said = choices.draw(st.sets(st.integers(0, max(0, len(order) - 1)), max_size=3))
    asyncio.run(_play(told, takes, order, said))


def nobody() -> None:
    """Is told of what happens to an outlet."""


async def _play(told: list[list[str]], takes: list[int], order: list[int], said: set[int]) -> None:
    sock = cutting(iter([*takes, *([1 << 20] * 10_000)]))
    outlet = Outlet(sock, HEAD, 5.0, nobody, nobody)
    keeper = Keeper()
    topics = [Topic(str(number), 0) for number in range(len(told))]
    streams = [SharedStream(keeper, outlet, key, topic, 0) for key, topic in zip(KEYS, topics, strict=False)]
    for stream in streams:
        stream.start()
        stream.write(frame(stream.key, "system"))
    lines = [iter(texts) for texts in told]
    for seq, number in enumerate(order, 1):
        topics[number].append(frame(next(lines[number])), seq)
        if not streams[number].stalled_at:
            keeper.resume(streams[number])
        if seq - 1 in said:
            outlet.send_event(frame(f"said {seq}", "refused"))
        if seq % 3 == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while outlet.blocked or any(stream.stalled_at for stream in streams):  # noqa: ASYNC110
            await asyncio.sleep(0)
    events = events_of(sock)
    for stream, wanted in zip(streams, told, strict=True):
        mine = [event for event in events if event.sub == stream.key]
        assert [event.type for event in mine] == ["system"] + ["room-message"] * len(wanted)
        assert [json.loads(event.data) for event in mine[1:]] == wanted
    assert sorted(json.loads(event.data) for event in events if not event.sub) == sorted(f"said {n + 1}" for n in said)
    outlet.close()
    assert keeper.ends == streams


async def _blocked() -> tuple[Outlet, list[SharedStream], Keeper, Cutting]:
    """Two streams on an outlet that has just stopped taking data, in the middle of an event."""
    sock = cutting(iter([len(HEAD) + 9, *([0] * 3), *([1 << 20] * 100)]))
    outlet = Outlet(sock, HEAD, 5.0, nobody, nobody)
    keeper = Keeper()
    streams = [SharedStream(keeper, outlet, key, Topic(key, 0), 0) for key in "ab"]
    for stream in streams:
        stream.start()
        stream.write(frame(stream.key, "system"))
    return outlet, streams, keeper, sock


@pytest.mark.gen_test
async def test_last_event_of_one_waits_for_the_cut_one_of_another() -> None:
    """It is told, though its stream has ended by then."""
    outlet, (a, b), keeper, sock = await _blocked()
    b.finish(frame("kicked", "closing"))
    assert keeper.ends == [b] and outlet.open
    async with asyncio.timeout(5):
        while outlet.blocked:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert [(event.sub, event.type) for event in events_of(sock)] == [("a", "system"), ("b", "closing")]
    assert a.open


@pytest.mark.gen_test
async def test_progress_of_one_is_no_stall_of_others() -> None:
    """The deadline is for connections that take nothing."""
    outlet, (_, b), _, _ = await _blocked()
    b.stalled_at = 1.0
    async with asyncio.timeout(5):
        while b.stalled_at == 1.0:  # noqa: ASYNC110
            await asyncio.sleep(0)
    outlet.close()


@pytest.mark.gen_test
async def test_peer_that_is_gone_takes_all_streams_along() -> None:
    """Also when one of them noticed it."""
    outlet, (a, b), keeper, _ = await _blocked()
    a.abandon()
    assert keeper.ends == [a, b] and not outlet.open
    late = SharedStream(keeper, outlet, "late", Topic("late", 0), 0)
    late.start()
    late.write(frame("late", "system"))
    assert not late.open


@pytest.mark.gen_test
async def test_what_is_owed_has_a_bound() -> None:
    """A connection that takes nothing while more and more is to be told ends."""
    outlet, _, _, sock = await _blocked()
    sock.takes = iter(lambda: 0, 1)
    for _ in range(OWED_BYTES // 1000 + 2):
        outlet.send_event(frame("x" * 1000, "refused"))
    assert not outlet.open
    assert sock.fileno() == -1
