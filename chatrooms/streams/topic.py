"""A topic: a filter over the log, with a bounded tail of encoded frames in memory.

The tail holds durable frames and, between them, ephemeral ones (typing, joins). A live stream
reads it by `cursor`, an index that only grows; a stream that has fallen out of the tail, or that
resumes, goes by its position in the log and gets durable frames only.

A topic may also be merged: it has no events of its own but takes those of other topics, its
sources, which may change while it lives, and it brings its own reader of the log.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from chatrooms.log.event import MAX_SEQ, Event
from chatrooms.streams.encoding import NAMED, Encoding

TAIL_FRAMES = 1000  # durable frames kept
TAIL_BYTES = 1 << 20
EPHEMERAL_BYTES = 256 << 10  # of ephemeral frames kept, except for a single larger one
EPHEMERAL_FRAMES = 2000
ENTRY_BYTES = 150  # of overhead per frame
BATCH_BYTES = 64 << 10  # the most that one write joins, except for a single larger frame

BEHIND = -1  # the cursor of a stream that goes by its position

# The next events after a seq, up to so many, and the seq up to which they are complete.
Reader = Callable[[int, int], Awaitable[tuple[Sequence[Event], int]]]


class Entry(NamedTuple):
    """One encoded frame, and the log position reached by reading it; `final` when nothing follows."""

    frame: bytes
    position: int
    durable: bool
    final: bool = False


class Batch(NamedTuple):
    """The content of one write: joined entries, the cursor of the first, and the cursor after all.

    `first` and `cursor` are BEHIND when the entries are not adjacent in the tail.
    """

    data: bytes
    entries: Sequence[Entry]
    first: int
    cursor: int


class Topic:
    """The tail of one topic.

    floor     every event of the topic after this seq is in the tail
    end       the cursor of a stream that has everything
    valid     cursors below it are invalid
    ephemeral_count  how many ephemeral frames there have been; shows which streams may have missed one
    version   grows when text in the log changes, so that pages read earlier are not used
    encoding  encodes its frames, and its streams' own events
    snapshot  makes a frame of the present state, for streams that may have missed ephemerals
    read      reads its part of the log; None: the log's rows of that name
    sources   of a merged topic: the names of the topics whose events it takes
    """

    __slots__ = (
        "_durable_bytes", "_durables", "_entries", "_ephemeral_bytes", "_ephemerals", "_quiet", "_start", "dirty",
        "encoding", "ephemeral_count", "floor", "name", "read", "snapshot", "sources", "valid", "version",
    )  # fmt: skip

    in_log = True  # whether its positions are those of the log

    def __init__(self, name: str, floor: int, encoding: Encoding = NAMED, read: Reader | None = None) -> None:
        self.name = name
        self.encoding = encoding
        self.read = read
        self.sources: set[str] = set()
        self.floor = floor
        self.valid = 0
        self.ephemeral_count = 0
        self.version = 0
        self.dirty = False
        self.snapshot: Callable[[], bytes] | None = None
        self._entries: list[Entry] = []
        self._start = 0
        self._quiet = (floor, floor)  # no event of the topic lies between the two
        self._durables = 0
        self._durable_bytes = 0
        self._ephemerals = 0  # number kept, none before `valid`
        self._ephemeral_bytes = 0

    @property
    def end(self) -> int:
        return self._start + len(self._entries)

    @property
    def size(self) -> int:
        """The approximate size of its tail, in bytes."""
        return self._durable_bytes + self._ephemeral_bytes + ENTRY_BYTES * len(self._entries)

    @property
    def last(self) -> int:
        """The position of a stream that has everything."""
        return self._entries[-1].position if self._entries else self.floor

    def append(self, frame: bytes, seq: int, final: bool = False) -> None:
        """Appends the frame of the durable event `seq`, which is after all earlier ones."""
        self._entries.append(Entry(frame, seq, True, final))
        self._durables += 1
        self._durable_bytes += len(frame)
        if self._durables > 2 * TAIL_FRAMES or self._durable_bytes > 2 * TAIL_BYTES:
            self._trim()

    def append_ephemeral(self, frame: bytes) -> None:
        """Appends an ephemeral frame: for streams that are open now, never replayed."""
        self._entries.append(Entry(frame, self.last, False))
        self._ephemerals += 1
        self.ephemeral_count += 1
        self._ephemeral_bytes += len(frame)
        while self._ephemerals > 1 and (self._ephemeral_bytes > EPHEMERAL_BYTES or self._ephemerals > EPHEMERAL_FRAMES):
            self._drop_ephemeral()
        if 2 * (self._durables + self._ephemerals) < len(self._entries):
            self._close_gaps()

    def forget(self) -> None:
        """Drops the whole tail: its text has changed, and the log has the current one."""
        self.floor = self.last
        self._start = self.valid = self.end
        self._entries.clear()
        self._durables = self._durable_bytes = self._ephemerals = self._ephemeral_bytes = 0
        self.version += 1

    def forget_until(self, seq: int) -> None:
        """Drops the tail's events up to that seq: they are about to leave the log."""
        self.version += 1
        index = bisect_right(self._entries, seq, key=lambda entry: entry.position)
        if index:
            self._drop_before(index)

    @property
    def held(self) -> bool:
        """Whether it may not be read for now."""
        return self.floor == MAX_SEQ

    def hold(self) -> None:
        """Drops the tail and takes no more until released: it is unknown what belongs to it."""
        self.forget()
        self._start += 1
        self.valid = self._start  # so that up-to-date streams go by their position, too
        self.floor = MAX_SEQ

    def release(self, head: int) -> None:
        """Begins a new tail after that seq: the topic may be read again."""
        self.floor = head

    def batch(self, cursor: int) -> Batch:
        """What a live stream at `cursor` (valid, not at the end) has yet to get, up to BATCH_BYTES."""
        index = cursor - self._start
        entries = _up_to_batch(self._entries, index)
        return Batch(b"".join([e.frame for e in entries]), entries, cursor, cursor + len(entries))

    def durable_after(self, position: int) -> Batch:
        """The durable frames after a position that it covers, up to BATCH_BYTES.

        Its cursor is `end` if it brings everything, else BEHIND.
        """
        waiting = self._durable_after(position)
        entries = _up_to_batch(waiting, 0)
        cursor = self.end if len(entries) == len(waiting) else BEHIND
        return Batch(b"".join([e.frame for e in entries]), entries, BEHIND, cursor)

    def covers(self, position: int) -> bool:
        """Whether every event of the topic after a position is in the tail."""
        start, floor = self._quiet
        return position >= self.floor or (position >= start and floor == self.floor)

    def note_quiet(self, position: int, head: int) -> None:
        """The log has no event of the topic between a position and that head."""
        if self.floor <= head and not self.covers(position):
            self._quiet = (position, self.floor)

    def count_after(self, position: int) -> int:
        """The number of durable events after a position that it covers."""
        return len(self._durable_after(position))

    def _durable_after(self, position: int) -> list[Entry]:
        index = bisect_right(self._entries, position, key=lambda entry: entry.position)
        return [entry for entry in self._entries[index:] if entry.durable]

    def _trim(self) -> None:
        """Keeps the newest durable frames within half of the bound, and what stands between them."""
        frames = size = 0
        for index in range(len(self._entries) - 1, -1, -1):
            entry = self._entries[index]
            if entry.durable:
                frames += 1
                size += len(entry.frame)
                if frames > TAIL_FRAMES or size > TAIL_BYTES:
                    self._drop_before(index + 1)
                    return

    def _drop_before(self, index: int) -> None:
        dropped = self._entries[:index]
        durable = [len(entry.frame) for entry in dropped if entry.durable]
        ephemeral = [len(entry.frame) for entry in dropped[self.valid - self._start :] if not entry.durable]
        self._durables -= len(durable)
        self._durable_bytes -= sum(durable)
        self._ephemerals -= len(ephemeral)
        self._ephemeral_bytes -= sum(ephemeral)
        self.floor = dropped[-1].position
        self._start += index
        self.valid = max(self.valid, self._start)
        del self._entries[:index]

    def _drop_ephemeral(self) -> None:
        """Drops the oldest ephemeral frame; streams before that point go by their position.

        It leaves a gap, and the search starts where the one before was found: so the cost does not
        depend on the number of durable frames.
        """
        index = self.valid - self._start
        while self._entries[index].durable:
            index += 1
        entry = self._entries[index]
        self._entries[index] = entry._replace(frame=b"")
        self._ephemerals -= 1
        self._ephemeral_bytes -= len(entry.frame)
        self.valid = self._start + index + 1

    def _close_gaps(self) -> None:
        """Removes the gaps that dropped ephemerals left, all of them before `valid`.

        Later frames keep their cursors. This runs when half of the tail is gaps: that many were
        dropped since the last time.
        """
        gaps_end = self.valid - self._start
        kept = [entry for entry in self._entries[:gaps_end] if entry.durable]
        self._start += gaps_end - len(kept)
        self._entries[:gaps_end] = kept


def _up_to_batch(entries: Sequence[Entry], index: int) -> Sequence[Entry]:
    size, stop = 0, index
    while stop < len(entries):
        size += len(entries[stop].frame)
        if size > BATCH_BYTES and stop > index:
            break
        stop += 1
    return entries[index:stop]


class Sources:
    """The sources of merged topics, by source name."""

    def __init__(self) -> None:
        self._by_source: dict[str, dict[Topic, None]] = {}

    def of(self, name: str) -> Iterable[Topic]:
        """The merged topics that take the events of that topic."""
        return self._by_source.get(name, ())

    def add(self, topic: Topic, name: str) -> None:
        topic.sources.add(name)
        self._by_source.setdefault(name, {})[topic] = None

    def remove(self, topic: Topic, name: str) -> None:
        """Removes a source; harmless if it is not one."""
        topic.sources.discard(name)
        takers = self._by_source.get(name, {})
        takers.pop(topic, None)
        if not takers:
            self._by_source.pop(name, None)

    def replace(self, topic: Topic, names: set[str]) -> None:
        """Gives a merged topic these sources and no others."""
        for name in topic.sources - names:
            self.remove(topic, name)
        for name in names - topic.sources:
            self.add(topic, name)


TAILS_BYTES = 64 << 20  # of all tails; the rest is read from the log


class Tails:
    """Keeps the tails within TAILS_BYTES: the least recently written give way."""

    def __init__(self) -> None:
        self._sizes: dict[Topic, int] = {}  # in order of last write
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """The approximate size of all tails."""
        return self._bytes

    def note(self, topic: Topic) -> None:
        """Notes that a tail was written to."""
        size = topic.size
        self._bytes += size - self._sizes.pop(topic, 0)
        self._sizes[topic] = size
        while self._bytes > TAILS_BYTES:
            oldest = next(iter(self._sizes))
            self.remove(oldest)
            oldest.forget()

    def remove(self, topic: Topic) -> None:
        """Forgets a topic without readers, which has no tail."""
        self._bytes -= self._sizes.pop(topic, 0)
