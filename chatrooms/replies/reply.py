"""One AI reply: its pieces so far, its state, and the readers that follow it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import sse
from chatrooms.ai.base import Usage

COMPLETE, STOPPED, ERROR, INTERRUPTED = "complete", "stopped", "error", "interrupted"
BATCH_CHARACTERS = 32 << 10  # that a reader is given at once


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
        self._readers: set[Reader] = set()

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
        return len(self._readers)

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

    def enter(self, reader: Reader) -> None:
        self._readers.add(reader)
        self.unread_at = 0.0

    def leave(self, reader: Reader) -> None:
        self._readers.discard(reader)
        if not self._readers:
            self.unread_at = time.monotonic()

    def _tell(self) -> None:
        for reader in self._readers:
            reader.wake()


class Reader:
    """One reader of a reply; use it as a context manager. `index` is that of the next piece it wants."""

    def __init__(self, reply: Reply, index: int = 0) -> None:
        self.reply = reply
        self.index = index
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> Reader:
        self.reply.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.reply.leave(self)

    def take(self) -> Sequence[str]:
        """The next pieces, up to BATCH_CHARACTERS; `index` moves behind them."""
        pieces, size, end = self.reply.pieces, 0, self.index
        while end < len(pieces) and size < BATCH_CHARACTERS:
            size += len(pieces[end])
            end += 1
        taken, self.index = pieces[self.index : end], max(self.index, end)
        return taken

    @property
    def behind(self) -> bool:
        """Whether there are pieces to take."""
        return self.index < len(self.reply.pieces)

    @property
    def done(self) -> bool:
        """Whether the reply has ended and all of it was taken."""
        return self.reply.ending is not None and self.index >= len(self.reply.pieces)

    def wake(self) -> None:
        """Lets `wait` return, now or when it is called."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Returns when there is something to look at since the last call."""
        if not self._woken:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._woken = False


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
