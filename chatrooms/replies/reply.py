"""One AI reply: its pieces so far, its state, and whom to tell when it grows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import sse
from chatrooms.ai.base import Usage

COMPLETE, STOPPED, ERROR, INTERRUPTED = "complete", "stopped", "error", "interrupted"
STREAMING = "streaming"


class StoredReply(NamedTuple):
    """A row. `lengths` are those of its chunks, in characters, each followed by a comma."""

    id: str
    user_id: str
    username: str
    conversation_id: str
    room_id: str | None
    question: int | None
    prompt: str
    model: str | None
    temperature: float | None
    state: str = STREAMING
    stopped_by: str = ""
    code: str = ""
    sentence: str = ""
    text: str = ""
    lengths: str = ""


class Ending(NamedTuple):
    """How a reply ended: `by` names who stopped it, `code` and `sentence` say what failed."""

    state: str
    by: str = ""
    code: str = ""
    sentence: str = ""


DELETED = Ending(ERROR, code="not-found", sentence="The reply has been deleted.")
CUT_SHORT = Ending(INTERRUPTED, code="interrupted", sentence="The server that wrote this reply has stopped.")


class Reply:
    """A reply, running or ended.

    row        what the database knows of it, without its text while it runs
    ending     None while it runs
    position   its place in the queue, from 1; 0 when it is not waiting
    stored     how many of its pieces the database has
    unread_at  monotonic time since which nobody reads it; 0 while somebody does
    """

    def __init__(self, row: StoredReply) -> None:
        self.row = row
        self.id = row.id
        self.pieces: list[str] = []
        self.usage: Usage | None = None
        self.ending: Ending | None = None
        self.position = 0
        self.stored = 0
        self.unread_at = time.monotonic()
        self._followers: Counter[Callable[[], None]] = Counter()

    @classmethod
    def ended(cls, row: StoredReply) -> Reply:
        """The reply that a row of the database tells of."""
        self = cls(row)
        self.grow(row)
        return self

    @property
    def state(self) -> str:
        return self.ending.state if self.ending else STREAMING

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def readers(self) -> int:
        return self._followers.total()

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        self._tell()

    def grow(self, row: StoredReply) -> None:
        """Takes what its row has more than it, and how it ended."""
        for piece in pieces_of(row)[len(self.pieces) :]:
            self.add(piece)
        if row.state != STREAMING:
            self.end(Ending(row.state, row.stopped_by, row.code, row.sentence))

    def queue(self, position: int) -> None:
        """Notes its place in the queue."""
        if position != self.position:
            self.position = position
            self._tell()

    def end(self, ending: Ending) -> None:
        """Ends it, once."""
        if self.ending is None:
            self.position = 0
            self.ending = ending
            self._tell()

    def written(self, ending: Ending) -> StoredReply:
        """The row of this reply when it ends so."""
        return self.row._replace(
            state=ending.state, stopped_by=ending.by, code=ending.code, sentence=ending.sentence,
            text=self.text, lengths=lengths_of(self.pieces),
        )  # fmt: skip

    def enter(self, on_change: Callable[[], None]) -> None:
        """One more reader. `on_change` is called once at each change, however many readers gave it."""
        self._followers[on_change] += 1
        self.unread_at = 0.0

    def leave(self, on_change: Callable[[], None]) -> None:
        """Takes back what `enter` did."""
        self._followers[on_change] -= 1
        self._followers += Counter()  # drops the zeros
        if not self._followers:
            self.unread_at = time.monotonic()

    def _tell(self) -> None:
        for on_change in list(self._followers):
            on_change()


def pieces_of(row: StoredReply) -> list[str]:
    """The chunks of a row."""
    pieces, start = [], 0
    for length in map(int, filter(None, row.lengths.split(","))):
        pieces.append(row.text[start : start + length])
        start += length
    return pieces


def lengths_of(pieces: Sequence[str]) -> str:
    """Chunk ends as the database has them."""
    return "".join([f"{len(piece)}," for piece in pieces])


EVENT = "bot-chunk"


class Chunk(msgspec.Struct, rename="camel"):
    """Its data: the text of the pieces from `start` to `index`, of which the next chunk starts one on.

    The last one (`is_final`) has the index one beyond the last piece. With `reset` the text is all that
    the room was told so far.
    """

    message_id: str
    room_id: str
    chunk: str
    index: int
    start: int
    is_final: bool = False
    state: str | UnsetType = UNSET
    by: str | UnsetType = UNSET
    position: int | UnsetType = UNSET
    reset: bool | UnsetType = UNSET


def frame_of(chunk: Chunk) -> bytes:
    """The event on the wire."""
    return sse.encode(msgspec.json.encode(chunk), EVENT)


def chunk_of(frame: bytes) -> Chunk | None:
    """The chunk that a frame brings; None for any other event. Raises msgspec.MsgspecError for a broken one."""
    for event in sse.Parser().feed(frame) if frame.startswith(b"event: bot-chunk\n") else ():
        return msgspec.json.decode(event.data, type=Chunk)
    return None
