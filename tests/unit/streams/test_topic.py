"""The tail of a topic: what it keeps, what it hands out, what it forgets."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chatrooms.streams import topic as tails
from chatrooms.streams.topic import BATCH_BYTES, BEHIND, EPHEMERAL_BYTES, Batch, Topic


def frames(batch: Batch) -> list[bytes]:
    return [entry.frame for entry in batch.entries]


def test_live_reader_gets_durable_and_ephemeral_frames_in_order() -> None:
    """Each once, from its cursor to the end."""
    topic = Topic("t", 10)
    topic.append(b"a", 11)
    topic.append_ephemeral(b"w")
    topic.append(b"b", 15)
    batch = topic.batch(0)
    assert (batch.data, batch.cursor, batch.first) == (b"awb", topic.end, 0)
    assert [entry.position for entry in batch.entries] == [11, 11, 15]


def test_reader_by_position_gets_durable_frames_only() -> None:
    """Ephemerals are never replayed; at the end it is live."""
    topic = Topic("t", 10)
    topic.append(b"a", 11)
    topic.append_ephemeral(b"w")
    topic.append(b"b", 15)
    topic.append_ephemeral(b"x")
    assert frames(topic.durable_after(10)) == [b"a", b"b"]
    assert frames(topic.durable_after(12)) == [b"b"]
    assert topic.durable_after(15) == Batch(b"", [], BEHIND, topic.end)
    assert topic.count_after(10) == 2


def test_tail_covers_what_is_known_to_be_quiet_before_it() -> None:
    """From there on it has everything, as long as it begins where it did."""
    topic = Topic("t", 10)
    assert not topic.covers(7)
    topic.note_quiet(7, 10)
    topic.note_quiet(8, 12)
    assert [topic.covers(position) for position in (6, 7, 9, 10)] == [False, True, True, True]
    assert topic.count_after(7) == 0
    topic.append(b"a", 11)
    assert topic.count_after(7) == 1
    assert frames(topic.durable_after(7)) == [b"a"]
    topic.forget()
    assert not topic.covers(7)
    assert topic.covers(11)


def test_quiet_must_reach_the_tail() -> None:
    """What was asked before the tail began says nothing of what lies between."""
    topic = Topic("t", 10)
    topic.note_quiet(7, 9)
    assert not topic.covers(7)


def test_tail_keeps_the_newest_frames_and_knows_where_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """All after `floor` is there, nothing before."""
    monkeypatch.setattr(tails, "TAIL_FRAMES", 3)
    topic = Topic("t", 0)
    for seq in range(1, 8):
        topic.append(str(seq).encode(), seq)
    assert topic.floor == 4
    assert frames(topic.durable_after(topic.floor)) == [b"5", b"6", b"7"]
    assert topic.valid == 4
    assert topic.end == 7


def test_tail_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large messages push out more."""
    monkeypatch.setattr(tails, "TAIL_BYTES", 100)
    topic = Topic("t", 0)
    for seq in range(1, 100):
        topic.append(b"x" * 30, seq)
        assert len(topic.durable_after(topic.floor).data) <= 200


def test_ephemerals_do_not_push_durable_frames_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have a bound of their own."""
    monkeypatch.setattr(tails, "EPHEMERAL_FRAMES", 10)
    topic = Topic("t", 0)
    topic.append(b"a", 1)
    for _ in range(1000):
        topic.append_ephemeral(b"w")
    assert frames(topic.durable_after(0)) == [b"a"]
    assert topic.end - topic.valid <= 11
    assert topic.ephemeral_count == 1000


def held(topic: Topic, durable: bool) -> int:
    """The bytes of the frames in memory."""
    return sum(len(entry.frame) for entry in topic._entries if entry.durable is durable)


@pytest.mark.parametrize("durables", [0, 10, 1998])
def test_ephemerals_are_bounded_in_bytes_whatever_stands_before_them(durables: int) -> None:
    """Large presences behind a full tail of messages, which stays whole; the newest ones are kept."""
    topic = Topic("t", 0)
    for seq in range(1, durables + 1):
        topic.append(b"m" * 100, seq)
    for _ in range(2000):
        topic.append_ephemeral(b"w" * 12_000)
        assert held(topic, durable=False) <= EPHEMERAL_BYTES
    assert held(topic, durable=False) > EPHEMERAL_BYTES - 12_000
    assert len(topic._entries) <= 2 * (durables + EPHEMERAL_BYTES // 12_000) + 1
    assert topic.count_after(0) == durables
    assert topic.batch(topic.end - 1).data == b"w" * 12_000


def test_ephemeral_larger_than_the_bound_is_kept_alone() -> None:
    """Who is live gets it; the next one takes its place."""
    topic = Topic("t", 0)
    topic.append_ephemeral(b"small")
    topic.append_ephemeral(b"w" * (2 * EPHEMERAL_BYTES))
    assert (topic.valid, topic.end, held(topic, durable=False)) == (1, 2, 2 * EPHEMERAL_BYTES)
    topic.append_ephemeral(b"next")
    assert (topic.valid, held(topic, durable=False)) == (2, 4)


def test_ephemeral_costs_the_same_behind_many_durable_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in entries that are moved: a few for each one, not the whole tail."""
    moved = 0
    close_gaps = Topic._close_gaps

    def counting(topic: Topic) -> None:
        nonlocal moved
        moved += len(topic._entries)
        close_gaps(topic)

    monkeypatch.setattr(Topic, "_close_gaps", counting)
    topic = Topic("t", 0)
    for seq in range(1, 1999):
        topic.append(b"m", seq)
    for _ in range(20_000):
        topic.append_ephemeral(b"w" * 12_000)
    assert 0 < moved <= 3 * 20_000


def test_forgotten_tail_begins_at_its_end() -> None:
    """What was encoded before is not handed out again, and pages read before are of no use."""
    topic = Topic("t", 0)
    topic.append(b"old text", 1)
    topic.forget()
    assert (topic.floor, topic.valid, topic.end, topic.version) == (1, 1, 1, 1)
    topic.append(b"edit", 2)
    assert topic.batch(1).data == b"edit"


def test_tail_forgets_what_is_about_to_leave_the_log() -> None:
    """Up to a place; what follows is handed out as before, and pages read before are of no use."""
    topic = Topic("t", 0)
    for seq in (1, 3, 4):
        topic.append(b"%d" % seq, seq)
    topic.forget_until(3)
    assert (topic.floor, topic.valid, topic.end, topic.version) == (3, 2, 3, 1)
    assert topic.batch(2).data == frames(topic.durable_after(3))[0] == b"4"
    topic.forget_until(3)
    assert (topic.floor, topic.valid, topic.end) == (3, 2, 3)


def test_one_write_joins_a_bounded_number_of_bytes() -> None:
    """A larger single frame goes alone."""
    topic = Topic("t", 0)
    topic.append(b"x" * (BATCH_BYTES + 1), 1)
    for seq in range(2, 100):
        topic.append(b"y" * 1024, seq)
    first = topic.batch(0)
    assert (len(first.entries), first.cursor) == (1, 1)
    second = topic.batch(1)
    assert len(second.data) == BATCH_BYTES
    assert topic.durable_after(0).cursor == BEHIND


class Readers(RuleBasedStateMachine):
    """A live reader and one that goes by position get every durable frame once, whatever is trimmed."""

    @initialize(
        tail=st.integers(1, 5), ephemeral=st.integers(1, 6), floor=st.integers(0, 3), batch=st.sampled_from([1, 9, 64])
    )
    def start(self, tail: int, ephemeral: int, floor: int, batch: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(tails, "TAIL_FRAMES", tail)
        self.patch.setattr(tails, "EPHEMERAL_FRAMES", ephemeral)
        self.patch.setattr(tails, "BATCH_BYTES", batch)
        self.topic = Topic("t", floor)
        self.start_seq = self.seq = self.position = floor
        self.cursor = 0
        self.logged: list[tuple[int, bytes]] = []
        self.got: list[bytes] = []

    def teardown(self) -> None:
        self.patch.undo()

    @rule(step=st.integers(1, 3))
    def append(self, step: int) -> None:
        self.seq += step
        self.logged.append((self.seq, b"%d;" % self.seq))
        self.topic.append(self.logged[-1][1], self.seq)

    @rule()
    def whisper(self) -> None:
        self.topic.append_ephemeral(b"w;")

    @rule()
    def forget(self) -> None:
        self.topic.forget()

    @rule(missed=st.integers(0, 3))
    def hold_and_release(self, missed: int) -> None:
        self.topic.hold()
        for _ in range(missed):
            self.seq += 1
            self.logged.append((self.seq, b"%d;" % self.seq))
        self.topic.release(self.seq)

    @rule()
    def read(self) -> None:
        if self.cursor != BEHIND and self.cursor >= self.topic.valid:
            if self.cursor < self.topic.end:
                self.take(self.topic.batch(self.cursor))
        elif self.position >= self.topic.floor:
            self.take(self.topic.durable_after(self.position))
        else:
            entries = [tails.Entry(frame, seq, True) for seq, frame in self.logged if seq > self.position][:2]
            self.take(Batch(b"", entries, BEHIND, BEHIND))

    def take(self, batch: Batch) -> None:
        self.got += [entry.frame for entry in batch.entries if entry.durable]
        self.cursor = batch.cursor
        if batch.entries:
            self.position = batch.entries[-1].position

    @invariant()
    def sizes_are_right_and_bounded(self) -> None:
        if hasattr(self, "topic"):
            entries = self.topic._entries
            assert self.topic._durables == sum(entry.durable for entry in entries)
            assert self.topic._durable_bytes == held(self.topic, durable=True)
            assert self.topic._ephemeral_bytes == held(self.topic, durable=False)
            kept = [self.topic._start + n for n, entry in enumerate(entries) if not entry.durable and entry.frame]
            assert self.topic._ephemerals == len(kept) <= tails.EPHEMERAL_FRAMES
            assert all(cursor >= self.topic.valid for cursor in kept)

    @invariant()
    def nothing_is_lost_or_repeated(self) -> None:
        if hasattr(self, "topic"):
            assert self.got == [frame for _, frame in self.logged[: len(self.got)]]
            assert self.topic.valid <= self.topic.end

    @invariant()
    def reader_at_the_end_has_everything(self) -> None:
        if hasattr(self, "topic") and self.cursor == self.topic.end and self.cursor >= self.topic.valid:
            assert len(self.got) == len(self.logged)


TestReaders = Readers.TestCase
TestReaders.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
