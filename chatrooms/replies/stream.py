"""A reply as a topic, one per form: frames are made once and shared by all readers.

What the topic's tail no longer holds is read from the reply, running or ended.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from chatrooms import names
from chatrooms.errors import BadRequest, Forbidden, NotFound, Problem
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.event import Event
from chatrooms.replies.jobs import Replies
from chatrooms.replies.reply import END, ERROR, FORMS, LAST_EVENT, Ending, Form, Reply
from chatrooms.rooms.messages import Messages
from chatrooms.rooms.policy import Policy
from chatrooms.rooms.rules import Rank
from chatrooms.streams.hub import Hub, Owner
from chatrooms.streams.opening import RETRY_MS, Fields, StreamKind
from chatrooms.streams.resume import First, Start
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Batch, Topic

KEPT = 200  # frames, up to twice as many at times: slower readers are served from the reply, which is in memory
TICK = 1.0  # seconds between two checks that readers may still read the replies of rooms

_INDEX = re.compile(r"-?[0-9]{1,9}\Z", re.ASCII)


class ReplyTopic(Topic):
    """The tail of one reply in one form, kept while it has readers. Positions count chunks.

    A reader may be ahead of it, having read on the node that writes the reply: the row lags behind.
    """

    __slots__ = ("_form", "_given", "_hub", "_place", "reply")
    in_log = False

    def __init__(self, hub: Hub, name: str, reply: Reply, form: Form) -> None:
        self._given = END if reply.ending else len(reply.pieces)  # readers find anything before in the reply itself
        super().__init__(name, self._given, form, partial(read, reply, form))
        self.reply = reply
        self._hub = hub
        self._form = form
        self._place = reply.position

    def durable_after(self, position: int) -> Batch:
        batch = super().durable_after(position)
        ahead = position - self.last
        return batch._replace(cursor=self.end + ahead) if ahead > 0 else batch

    def append(self, frame: bytes, seq: int, final: bool = False) -> None:
        super().append(frame, seq, final)
        if len(self._entries) > 2 * KEPT:
            self._drop_before(KEPT)

    def turn_to(self, reply: Reply) -> None:
        """Continues with a newer object of the same reply: its row may have been rewritten meanwhile."""
        old, self.reply = self.reply, reply
        self.read = partial(read, reply, self._form)
        for _ in self._hub.readers(self.name):
            old.leave(self.on_change)
            reply.enter(self.on_change)
        if reply.pieces[: self._given] != old.pieces[: self._given]:
            self.forget()
        self.on_change()

    def on_change(self) -> None:
        """The reply has grown, moved in the queue or ended."""
        reply = self.reply
        if reply.position not in (0, self._place):
            self._hub.send_ephemeral(self.name, self._form.queued(reply))
        self._place = reply.position
        for index in range(self._given, len(reply.pieces)):
            self._give(self._form.chunk(reply, index))
        self._given = max(self._given, len(reply.pieces))
        if reply.ending is not None and self._given < END:
            self._given = END
            for stream in self._hub.readers(self.name):  # readers that are ahead wait for nothing but the ending
                if stream.cursor > self.end:
                    stream.cursor = self.end
                    self._hub.resume(stream)
            for event in self._form.endings(reply.ending, bool(reply.pieces)):
                self._give(event)

    def _give(self, event: Event) -> None:
        self._hub.append(self, self._hub.frame(event, self._form), event.seq, event.type in self._form.ends)


async def read(reply: Reply, form: Form, after: int, limit: int) -> tuple[Sequence[Event], int]:
    """The next chunks of a reply, its ending after the last one, and the position reached."""
    events = [form.chunk(reply, index) for index in range(after, min(after + limit, len(reply.pieces)))]
    if reply.ending is not None and after + limit > len(reply.pieces):
        endings = form.endings(reply.ending, bool(reply.pieces))
        events = [*events, *(event for event in endings if event.seq > after)][:limit]
    return events, events[-1].seq if events else after


class ReplyRights:
    """A private reply belongs to its author; a room's is open to the room's readers, and moderators may end it."""

    def __init__(self, policy: Policy, messages: Messages, quotas: Quotas) -> None:
        self._policy = policy
        self._messages = messages
        self._quotas = quotas

    async def check_read(self, who: Identity, reply: Reply) -> None:
        """Raises NotFound for others' private replies, Forbidden for those in rooms that the caller may not read."""
        if reply.row.room_id is not None:
            await self._policy.readable(who, reply.row.room_id)
        elif reply.row.user_id != who.user_id and not who.trusted:
            raise NotFound("not-found", "There is no such reply.")

    async def check_stop(self, who: Identity, reply: Reply) -> None:
        """Raises NotFound; Forbidden unless the caller is the author or a moderator."""
        await self.check_read(who, reply)
        if reply.row.user_id == who.user_id or who.trusted:
            return
        assert reply.row.room_id is not None
        rules = await self._policy.of(reply.row.room_id, who.user_id)
        if rules.rank(who) < Rank.MODERATOR:
            raise Forbidden("not-author", "Only its author or a moderator may do that.")

    async def check_repeat(self, who: Identity, reply: Reply) -> None:
        """As `check_stop`; in a room, the caller must also be allowed to write."""
        await self.check_stop(who, reply)
        if reply.row.room_id is not None:
            await self.check_ask(who, reply.row.room_id)

    async def check_ask(self, who: Identity, room_id: str) -> None:
        """Checks that the caller may have the assistant speak in a room; that counts as a message of the caller's.

        Raises Forbidden when the caller may not write there; TooMany `slow-mode`, and for too many new rooms.
        """
        rules = await self._policy.writable(who, room_id)
        await self._messages.take_turn(who, room_id, rules)
        if not rules.stored:
            self._quotas.make_room(who)


class ReplyTopics:
    """The replies being read here; ends the streams of readers that lose their right to them."""

    def __init__(self, hub: Hub, replies: Replies, rights: ReplyRights) -> None:
        self.replies = replies
        self.rights = rights
        self._hub = hub
        self._topics: dict[str, ReplyTopic] = {}
        self._watching: asyncio.Task[None] | None = None

    def of(self, name: str, reply: Reply, form: Form) -> ReplyTopic:
        """The topic of a reply in a form; the caller opens a stream on it before it next awaits."""
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = ReplyTopic(self._hub, name, reply, form)
            self._hub.add(topic)
        elif topic.reply is not reply:
            topic.turn_to(reply)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        return topic

    def leave(self, name: str) -> None:
        """Removes a reader, and the topic with its last one."""
        topic = self._topics[name]
        topic.reply.leave(topic.on_change)
        if not self._hub.readers(name):
            del self._topics[name]

    async def close(self) -> None:
        """Ends the remaining streams: slow readers, and readers of replies that other nodes write."""
        await asyncio.sleep(0)  # the last frames go out first
        if self._watching is not None:
            self._watching.cancel()
        for name in list(self._topics):
            for stream in self._hub.readers(name):
                if not stream.stalled_at:
                    self._hub.resume(stream)  # the sweep takes one reply at a time
                stream.end("draining", True)

    async def _watch(self) -> None:
        while self._topics:
            await asyncio.sleep(TICK)
            for topic in list(self._topics.values()):
                for stream in self._hub.readers(topic.name) if topic.reply.row.room_id is not None else ():
                    await self._look(topic.reply, stream)

    async def _look(self, reply: Reply, stream: Stream) -> None:
        reader = self._hub.streams.get(stream)
        if not isinstance(reader, ReplyStream):
            return
        try:
            await self.rights.check_read(reader.who, reply)
        except Problem as problem:  # for example, banned meanwhile
            ended = Ending(ERROR, code=problem.code, sentence=problem.sentence)
            stream.write(reader.encoding.ending(ended, stream.position > 0))
            stream.end_when_written()


class ReplyStream(StreamKind):
    """Reads the reply `messageId` in the `form` content or ui. Raises BadRequest.

    Readers of the form ui do not reconnect by themselves: their streams outlive the token and end with the reply.
    """

    retry_ms = RETRY_MS

    def __init__(self, topics: ReplyTopics, who: Identity, fields: Fields) -> None:
        form = fields.get("form", "content")
        if form not in FORMS:
            raise BadRequest("bad-field", f"form must be one of {', '.join(FORMS)}.")
        self.who = who if form == "content" else who._replace(expires_at=0.0)
        self.client_id = names.client_id(fields["clientId"]) if "clientId" in fields else names.new_client_id()
        self.encoding: Form = FORMS[form]
        self._form = form
        self._topics = topics
        self._found: Reply | None = None
        self._name(fields.get("messageId", ""))

    def _name(self, id: str) -> None:
        self._id = id
        self.name = f"reply:{id}/{self._form}"
        self.headers = (*self.encoding.headers, ("X-Message-Id", id))

    @property
    def _reply(self) -> Reply:
        assert self._found is not None, "it is looked for by `check`"
        return self._found

    async def check(self) -> int:
        if self._found is None:
            self._found = await self._topics.replies.find(self._id)
        await self._topics.rights.check_read(self.who, self._found)
        return 0

    async def start(self, asked: str) -> Start | None:
        """Starts after the chunk with the index asked for; the form ui has no indexes."""
        if asked and not _INDEX.match(asked):
            raise BadRequest("bad-field", "after must be the index of a chunk.")
        position = max(0, int(asked or -1) + 1) if self._form == "content" else 0
        return None if position == END else Start(position, True, None)

    def topic(self) -> Topic:
        return self._topics.of(self.name, self._reply, self.encoding)

    def enter(self, start: Start, stream: Stream | None) -> Owner | None:
        if stream is None:
            self._reply.touch()
            return None
        self._reply.enter(self._topics.of(self.name, self._reply, self.encoding).on_change)
        return self

    def stream_ended(self, stream: Stream, hold: float) -> None:
        """The reader leaves at once: there is no grace for coming back."""
        self._topics.leave(self.name)

    def first(self, start: Start, stream_id: str) -> First | None:
        return None

    def snapshot(self) -> bytes:
        return self.encoding.opening(self._reply)

    async def read(self, after: int, limit: int) -> tuple[Sequence[Event], int]:
        if self._form != "content":
            raise BadRequest("bad-field", "A poll takes the form content.")
        events, reached = await read(self._reply, self.encoding, after, limit)
        named = [msgspec.structs.replace(e, type="message") if e.type == LAST_EVENT else e for e in events]
        return named, reached

    def kept(self, asked: str) -> str:
        return asked if _INDEX.match(asked) else "-1"


class NewReply(ReplyStream):
    """Reads a reply that `begin` starts, once there is room for its stream.

    It is one response to one request, so it outlives the token.
    """

    def __init__(
        self, topics: ReplyTopics, who: Identity, fields: Fields, begin: Callable[[], Awaitable[Reply]]
    ) -> None:
        super().__init__(topics, who._replace(expires_at=0.0), fields)
        self._begin = begin

    async def check(self) -> int:
        return await super().check() if self._id else 0

    async def start(self, asked: str) -> Start:
        self._found = await self._begin()
        self._name(self._found.id)
        return Start(0, True, None)
