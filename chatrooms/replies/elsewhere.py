"""What the rooms here were told of replies that other nodes write.

The bus may lose a chunk, and a reader may come in the middle: so the text so far is kept, and the other
nodes are asked for it again when a chunk does not follow the one before.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from chatrooms.core.hub import Hub
from chatrooms.event import Event
from chatrooms.replies.chunk import Chunk, chunk_of
from chatrooms.rooms.message import RoomMessage
from chatrooms.rooms.rooms import topic_of

MOST = 1000  # replies whose text is kept
SILENCE = 15.0  # seconds after which a reply is forgotten: the lease of a dead node; one that paused is asked for
ASK_AGAIN = 1.0  # seconds until a room is asked for again


class Heard:
    """The text so far of one reply, its last chunk, and when that came."""

    __slots__ = ("at", "last", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.at = 0.0
        self.last = Chunk("", "", "", -1, 0)


class RepliesElsewhere:
    """Keeps what was heard. `ask` asks the other nodes to say again what is going on in a room."""

    def __init__(self, hub: Hub, ask: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._ask = ask
        self._clock = clock
        self._heard: OrderedDict[str, Heard] = OrderedDict()
        self._asked: OrderedDict[str, float] = OrderedDict()

    def follows(self, frame: bytes) -> bool:
        """Takes a frame of another node; false for a chunk that would leave a gap: all of it is asked for."""
        chunk = chunk_of(frame)
        if chunk is None:
            return True
        if chunk.is_final:  # the message itself follows, whole
            self._forget(chunk.message_id)
            return True
        self._forget_old()
        heard = self._heard.get(chunk.message_id) or Heard()
        if chunk.reset is True:
            heard.parts = []
        elif chunk.start != heard.last.index + 1:
            self._ask_soon(chunk.room_id)
            return False
        heard.parts.append(chunk.chunk)
        heard.last, heard.at = chunk, self._clock()
        if not self._of(chunk.room_id):
            self._hub.listen(topic_of(chunk.room_id), self._see)
        self._heard[chunk.message_id] = heard
        self._heard.move_to_end(chunk.message_id)
        return True

    def resets(self, room_id: str) -> list[Chunk]:
        """A chunk with all that was heard, for each running reply of a room."""
        self._forget_old()
        return [_reset(heard) for heard in self._of(room_id)]

    def _see(self, event: Event) -> None:
        """A reply whose message is in the room is not being written any more, whatever was heard of it."""
        if event.type == "room-message" and b'"isFromBot":true' in event.data:
            self._forget(msgspec.json.decode(event.data, type=RoomMessage).message_id or "")

    def _of(self, room_id: str) -> list[Heard]:
        return [heard for heard in self._heard.values() if heard.last.room_id == room_id]

    def _forget(self, message_id: str) -> None:
        heard = self._heard.pop(message_id, None)
        if heard is not None and not self._of(heard.last.room_id):
            self._hub.unlisten(topic_of(heard.last.room_id), self._see)

    def _forget_old(self) -> None:
        limit = self._clock() - SILENCE
        while self._heard and (len(self._heard) > MOST or next(iter(self._heard.values())).at < limit):
            self._forget(next(iter(self._heard)))
        while self._asked and next(iter(self._asked.values())) < self._clock() - ASK_AGAIN:
            self._asked.popitem(last=False)

    def _ask_soon(self, room_id: str) -> None:
        if room_id not in self._asked:
            self._asked[room_id] = self._clock()
            self._ask(room_id)


def _reset(heard: Heard) -> Chunk:
    last = heard.last
    heard.parts = ["".join(heard.parts)]
    return msgspec.structs.replace(last, chunk=heard.parts[0], start=0, reset=True)
