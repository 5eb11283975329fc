"""What the rooms here were told of replies that other nodes write.

The bus may lose a chunk, and a reader may come in the middle: so the text so far is kept, and the other
nodes are asked for it again when a chunk does not follow the one before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

import msgspec

from chatrooms.log.event import Event
from chatrooms.replies.reply import DELETED, Chunk, Reply, StoredReply, chunk_of
from chatrooms.replies.store import ReplyStore
from chatrooms.rooms.message import RoomMessage
from chatrooms.rooms.rooms import topic_of
from chatrooms.streams.hub import Hub

MOST = 1000  # replies whose text is kept
SILENCE = 15.0  # seconds after which a reply is forgotten: the lease of a dead node; one that paused is asked for
ASK_AGAIN = 1.0  # seconds until a room is asked for again


class RemoteReply:
    """The text so far of one reply, its last chunk, and when that came."""

    __slots__ = ("at", "last", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.at = 0.0
        self.last = Chunk("", "", "", -1, 0)


class RemoteReplies:
    """Keeps what was heard. `ask` asks the other nodes to say again what is going on in a room."""

    def __init__(self, hub: Hub, ask: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._ask = ask
        self._clock = clock
        self._heard: OrderedDict[str, RemoteReply] = OrderedDict()
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
        heard = self._heard.get(chunk.message_id) or RemoteReply()
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

    def _of(self, room_id: str) -> list[RemoteReply]:
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


def _reset(heard: RemoteReply) -> Chunk:
    last = heard.last
    heard.parts = ["".join(heard.parts)]
    return msgspec.structs.replace(last, chunk=heard.parts[0], start=0, reset=True)


INTERVAL = 0.25  # seconds between two looks at a row: it is written as often

log = logging.getLogger(__name__)


class FollowedReply(Reply):
    """A reply that grows while somebody reads it: `follow` is called when a reader comes."""

    def __init__(self, row: StoredReply, follow: Callable[[FollowedReply], None]) -> None:
        super().__init__(row)
        self.follow = follow
        self.grow(row)

    def enter(self, on_change: Callable[[], None]) -> None:
        super().enter(on_change)
        self.follow(self)


class ReplyFollower:
    """One look at a row serves all readers of it here."""

    def __init__(self, store: ReplyStore) -> None:
        self._store = store
        self._known: WeakValueDictionary[str, FollowedReply] = WeakValueDictionary()
        self._tasks: dict[FollowedReply, asyncio.Task[None]] = {}

    @property
    def following(self) -> int:
        """How many replies are followed."""
        return len(self._tasks)

    def reply(self, row: StoredReply) -> Reply:
        """The reply of a row that is still `streaming`."""
        reply = self._known.get(row.id)
        if reply is None:
            reply = self._known[row.id] = FollowedReply(row, self._follow)
        return reply

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _follow(self, reply: FollowedReply) -> None:
        if reply not in self._tasks and reply.ending is None:
            self._tasks[reply] = asyncio.create_task(self._look_again(reply))

    async def _look_again(self, reply: FollowedReply) -> None:
        try:
            while reply.ending is None and reply.readers:
                await asyncio.sleep(INTERVAL)
                await self._look(reply)
        finally:
            # In the step that found no reader: the next one has it followed again.
            del self._tasks[reply]

    async def _look(self, reply: Reply) -> None:
        try:
            row = await self._store.find(reply.id)
            if row is None:
                reply.end(DELETED)
            else:
                reply.grow(row)
        except Exception as error:  # the database is away
            log.debug("a reply cannot be followed: %s", type(error).__name__)
