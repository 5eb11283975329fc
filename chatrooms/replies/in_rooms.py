"""AI replies in rooms: asked for with `@ai`, streamed to everybody as they are written, on every node.

The bus may lose a chunk, and a reader may arrive mid-reply. So each node keeps the text so far of replies that
other nodes write, and asks for it again when a chunk does not follow the one before.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec import UNSET

from chatrooms.ai.base import Line, Prompt, Scene
from chatrooms.cluster import Nodes
from chatrooms.errors import NotFound, Problem
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.event import Event, event_id, parse_id
from chatrooms.log.log import Log
from chatrooms.replies.jobs import Replies, check_ended
from chatrooms.replies.reply import Chunk, Ending, Reply, chunk_of, frame_of
from chatrooms.rooms.message import RoomMessage
from chatrooms.rooms.messages import Messages
from chatrooms.rooms.rooms import Rooms, topic_of
from chatrooms.streams.hub import Hub

INTERVAL = 1 / 23  # seconds between two chunks of a reply: at most 25 in a second, the last one included
PAGE = 200  # messages read at once
NAMED = 100  # members named to a provider
MOST = 1000  # replies of other nodes whose text is kept
SILENCE = 15.0  # seconds until a silent reply is forgotten (a dead node's lease); if it only paused, it is asked for
ASK_AGAIN = 1.0  # seconds between two requests for the same room

_MENTION = re.compile(r"\A\s*@ai(?![\w-])[:,]?\s*", re.IGNORECASE)


class RunningReplies:
    """What rooms have been sent of the replies being written, on this node and on others.

    `told` counts the pieces of each reply of this node that its room has: newcomers get those at once.
    """

    def __init__(self, hub: Hub, nodes: Nodes) -> None:
        self.sent: dict[Reply, int] = {}
        self._hub = hub
        self._nodes = nodes
        self._elsewhere = RemoteReplies(hub, nodes.ask)

    def state_of(self, room_id: str) -> bytes:
        """A chunk with `reset` for each running reply of a room, on any node: the text so far."""
        return b"".join([frame_of(chunk) for chunk in (*self._resets(room_id), *self._elsewhere.resets(room_id))])

    def greet(self, room_id: str, node: str) -> None:
        """Sends the text so far to a node that just got readers of a room, or missed a chunk."""
        for chunk in self._resets(room_id):
            self._nodes.send([node], topic_of(room_id), frame_of(chunk))

    def on_frame(self, topic: str, frame: bytes) -> None:
        """Passes another node's ephemeral frame on to the readers here, unless a frame before it was lost."""
        if self._elsewhere.follows(frame):
            self._hub.send_ephemeral(topic, frame)

    def _resets(self, room_id: str) -> list[Chunk]:
        return [_reset(reply, sent) for reply, sent in self.sent.items() if reply.row.room_id == room_id]


class RoomReplies:
    """Starts replies in rooms and streams them to the rooms."""

    def __init__(
        self, replies: Replies, running: RunningReplies, rooms: Rooms, messages: Messages, log: Log, quotas: Quotas
    ) -> None:
        self._replies = replies
        self._rooms = rooms
        self._messages = messages
        self._log = log
        self._quotas = quotas
        self._sent = running.sent
        self._publishers: set[asyncio.Task[None]] = set()

    async def consider(self, who: Identity, name: str, room_id: str, posted: Sequence[bytes]) -> None:
        """Answers the new messages that mention the assistant; each is a `room-message` as JSON.

        A message over a limit goes unanswered, as do those after it, and the room is sent the reason. The
        messages themselves stay.
        """
        asked = [msgspec.json.decode(data, type=_Posted) for data in posted if b"@" in data]
        try:
            for message in asked:
                if _MENTION.match(message.message):
                    self._quotas.reply(who)
                    await self._answer(who, name, room_id, message)
        except Problem as problem:
            refused = Chunk(
                secrets.token_urlsafe(12), room_id, f"({problem.sentence})", 0, 0, is_final=True, state="error"
            )
            self._announce(refused)

    async def ask(self, who: Identity, name: str, room_id: str, prompt: Prompt, conversation_id: str | None) -> Reply:
        """Starts a reply in a room without a message that asks for it."""
        scene = self._scene(room_id, name, None)
        return await self._replies.start(
            who, name, prompt._replace(scene=scene), conversation_id, room_id, watcher=self
        )

    async def again(self, who: Identity, name: str, reply: Reply) -> Reply:
        """Answers the question of an ended reply once more, in its room.

        Raises NotFound when the question has been deleted, Conflict while the reply is being written.
        """
        check_ended(reply)
        row = reply.row
        assert row.room_id is not None
        if row.question is None:
            return await self.ask(who, name, row.room_id, self._replies.asked(reply), row.conversation_id)
        question = await self._messages.find(row.room_id, event_id(self._log.epoch, row.question))
        if question is None:
            raise NotFound("not-found", "The question has been deleted.")
        return await self._start(who, name, row.room_id, question.message, row.question)

    async def _answer(self, who: Identity, name: str, room_id: str, message: _Posted) -> None:
        position = parse_id(message.id)
        assert position is not None
        await self._start(who, name, room_id, message.message, position.seq)

    async def _start(self, who: Identity, name: str, room_id: str, text: str, question: int) -> Reply:
        prompt = Prompt(_MENTION.sub("", text, count=1), scene=self._scene(room_id, name, question))
        return await self._replies.start(who, name, prompt, None, room_id, question, self)

    def _scene(self, room_id: str, name: str, question: int | None) -> Scene:
        members = [username for _, username in self._rooms.members(room_id, None, NAMED)]
        return Scene(room_id, name, members, partial(self._recall, room_id, question))

    async def _recall(self, room_id: str, question: int | None, most: int) -> list[Line]:
        """The last messages before a question, or before now; oldest first."""
        lines: list[Line] = []
        before = "" if question is None else event_id(self._log.epoch, question)
        while len(lines) < most:
            page = await self._messages.history(room_id, before, "", min(PAGE, most - len(lines)))
            messages = [msgspec.json.decode(data, type=_Posted) for data in page.messages]
            lines[:0] = [Line(m.username, m.message, m.timestamp, m.is_from_bot) for m in messages]
            if not page.has_more:
                break
            before = messages[0].id
        return lines

    async def close(self) -> None:
        """Stops streaming to rooms."""
        publishers = list(self._publishers)
        for task in publishers:
            task.cancel()
        await asyncio.gather(*publishers, return_exceptions=True)

    # Streaming to the room

    def on_start(self, reply: Reply) -> None:
        """Begins to stream a reply to its room."""
        self._sent[reply] = 0
        task = asyncio.create_task(self._publish(reply))
        self._publishers.add(task)
        task.add_done_callback(self._publishers.discard)

    def on_end(self, reply: Reply, ending: Ending) -> None:
        """Sends the last chunk: what the room does not have yet, and how it ended. Its index is one more."""
        sent = self._sent.pop(reply)
        chunk = _chunk(reply, sent, len(reply.pieces), len(reply.pieces))
        chunk.is_final, chunk.state, chunk.by = True, ending.state, ending.by or UNSET
        self._announce(chunk)

    async def _publish(self, reply: Reply) -> None:
        """Streams a reply to its room while it is written: each chunk holds what came since the last one."""
        changed, position = asyncio.Event(), 0
        reply.enter(changed.set)
        try:
            while reply in self._sent:
                await changed.wait()
                changed.clear()
                if reply in self._sent and (self._sent[reply] < len(reply.pieces) or reply.position != position):
                    position = reply.position
                    self._publish_new(reply)
                    await asyncio.sleep(INTERVAL)
        finally:
            reply.leave(changed.set)

    def _publish_new(self, reply: Reply) -> None:
        start, end = self._sent[reply], len(reply.pieces)
        self._sent[reply] = end
        self._announce(_chunk(reply, start, end, end - 1))

    def _announce(self, chunk: Chunk) -> None:
        self._rooms.send_ephemeral(chunk.room_id, frame_of(chunk))


class _Posted(RoomMessage, rename="camel", kw_only=True):
    """A `room-message` with its id."""

    id: str


def _chunk(reply: Reply, start: int, end: int, index: int) -> Chunk:
    """The pieces from `start` up to but not including `end`; `index` is that of the last one."""
    chunk = Chunk(reply.id, reply.row.room_id or "", "".join(reply.pieces[start:end]), index, start)
    if reply.position:
        chunk.state, chunk.position = "queued", reply.position
    return chunk


def _reset(reply: Reply, sent: int) -> Chunk:
    """All that a room was sent so far, for readers that missed it."""
    chunk = _chunk(reply, 0, sent, sent - 1)
    chunk.reset = True
    return chunk


class RemoteReply:
    """The text so far of another node's reply, its last chunk, and when that arrived."""

    __slots__ = ("at", "last", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.at = 0.0
        self.last = Chunk("", "", "", -1, 0)

    def reset(self) -> Chunk:
        """One chunk with all of the text."""
        self.parts = ["".join(self.parts)]
        return msgspec.structs.replace(self.last, chunk=self.parts[0], start=0, reset=True)


class RemoteReplies:
    """Keeps the text of other nodes' replies. `ask` makes them send again what is being written in a room."""

    def __init__(self, hub: Hub, ask: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._ask = ask
        self._clock = clock
        self._followed: OrderedDict[str, RemoteReply] = OrderedDict()
        self._asked: OrderedDict[str, float] = OrderedDict()

    def follows(self, frame: bytes) -> bool:
        """Takes a frame of another node; false for a chunk that would leave a gap: the whole text is asked for."""
        chunk = chunk_of(frame)
        if chunk is None:
            return True
        if chunk.is_final:  # the message itself follows, whole
            self._forget(chunk.message_id)
            return True
        self._forget_old()
        reply = self._followed.get(chunk.message_id) or RemoteReply()
        if chunk.reset is True:
            reply.parts = []
        elif chunk.start != reply.last.index + 1:
            self._ask_soon(chunk.room_id)
            return False
        reply.parts.append(chunk.chunk)
        reply.last, reply.at = chunk, self._clock()
        if not self._of(chunk.room_id):
            self._hub.listen(topic_of(chunk.room_id), self._see)
        self._followed[chunk.message_id] = reply
        self._followed.move_to_end(chunk.message_id)
        return True

    def resets(self, room_id: str) -> list[Chunk]:
        """A chunk with the text so far, for each running reply of a room."""
        self._forget_old()
        return [reply.reset() for reply in self._of(room_id)]

    def _see(self, event: Event) -> None:
        """Forgets a reply once its message is in the room: it is complete, whatever chunks arrived."""
        if event.type == "room-message" and b'"isFromBot":true' in event.data:
            self._forget(msgspec.json.decode(event.data, type=RoomMessage).message_id or "")

    def _of(self, room_id: str) -> list[RemoteReply]:
        return [reply for reply in self._followed.values() if reply.last.room_id == room_id]

    def _forget(self, message_id: str) -> None:
        reply = self._followed.pop(message_id, None)
        if reply is not None and not self._of(reply.last.room_id):
            self._hub.unlisten(topic_of(reply.last.room_id), self._see)

    def _forget_old(self) -> None:
        limit = self._clock() - SILENCE
        while self._followed and (len(self._followed) > MOST or next(iter(self._followed.values())).at < limit):
            self._forget(next(iter(self._followed)))
        while self._asked and next(iter(self._asked.values())) < self._clock() - ASK_AGAIN:
            self._asked.popitem(last=False)

    def _ask_soon(self, room_id: str) -> None:
        if room_id not in self._asked:
            self._asked[room_id] = self._clock()
            self._ask(room_id)
