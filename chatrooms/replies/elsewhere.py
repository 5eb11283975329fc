"""What the rooms here were told of replies that other nodes write.

The bus may lose a chunk, and a reader may come in the middle: so the text so far is kept, and the other
nodes are asked for it again when a chunk does not follow the one before.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chatrooms.replies.chunk import Chunk, chunk_of

MOST = 1000  # replies whose text is kept
SILENCE = 15.0  # seconds after which a reply is forgotten: the lease of a dead node; one that paused is asked for
ASK_AGAIN = 1.0  # seconds until a room is asked for again


class Heard:
    """The text so far of one reply, up to before the piece `next`, and when it was last heard of."""

    __slots__ = ("at", "last", "next", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.next = 0
        self.at = 0.0
        self.last: Chunk | None = None


class RepliesElsewhere:
    """Keeps what was heard. `ask` asks the other nodes to say again what is going on in a room."""

    def __init__(self, ask: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._heard: OrderedDict[str, Heard] = OrderedDict()
        self._asked: OrderedDict[str, float] = OrderedDict()

    def follows(self, frame: bytes) -> bool:
        """Takes a frame of another node; false for a chunk that would leave a gap: all of it is asked for."""
        chunk = chunk_of(frame)
        if chunk is None:
            return True
        if chunk.is_final:  # the message itself comes with it, whole
            self._heard.pop(chunk.message_id, None)
            return True
        self._forget_old()
        heard = self._heard.get(chunk.message_id) or Heard()
        if chunk.reset is True:
            heard.parts = []
        elif chunk.start != heard.next:
            self._ask_soon(chunk.room_id)
            return False
        heard.parts.append(chunk.chunk)
        heard.next, heard.last, heard.at = chunk.index + 1, chunk, self._clock()
        self._heard[chunk.message_id] = heard
        self._heard.move_to_end(chunk.message_id)
        return True

    def resets(self, room_id: str) -> list[Chunk]:
        """A chunk with all that was heard, for each running reply of a room."""
        self._forget_old()
        return [_reset(heard) for heard in self._heard.values() if heard.last and heard.last.room_id == room_id]

    def _forget_old(self) -> None:
        limit = self._clock() - SILENCE
        while self._heard and (len(self._heard) > MOST or next(iter(self._heard.values())).at < limit):
            self._heard.popitem(last=False)
        while self._asked and next(iter(self._asked.values())) < self._clock() - ASK_AGAIN:
            self._asked.popitem(last=False)

    def _ask_soon(self, room_id: str) -> None:
        if room_id not in self._asked:
            self._asked[room_id] = self._clock()
            self._ask(room_id)


def _reset(heard: Heard) -> Chunk:
    last = heard.last
    assert last is not None
    heard.parts = ["".join(heard.parts)]
    return Chunk(
        last.message_id,
        last.room_id,
        heard.parts[0],
        last.index,
        0,
        state=last.state,
        position=last.position,
        reset=True,
    )
