"""A reply as a topic, in each form in which it is read: frames are made once and shared by all its readers.

A position is the number of chunks that a reader has, so that of the next one's index; END is that of a reader
that has the ending, too. What the topic's tail does not hold is read from the reply, running or ended.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from chatrooms import sse
from chatrooms.errors import Problem
from chatrooms.log.event import Event
from chatrooms.replies.queue import ReplyRights
from chatrooms.replies.reply import COMPLETE, ERROR, STOPPED, Ending, Reply
from chatrooms.streams.encoding import Encoding
from chatrooms.streams.hub import Hub
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Batch, Topic
from chatrooms.users.tokens import Identity

UI_HEADER = "x-vercel-ai-ui-message-stream"
UI_VERSION = "v1"

DONE = sse.encode(b"[DONE]")
END = 10**9 + 1  # above the position after any index that can be asked for
TICK = 1.0  # seconds between two looks at who may still read the replies of rooms

_CHUNK, _ENDING = "content", "end"
_REVOKED = Ending(ERROR, code="token-revoked", sentence="This sign-in has ended: sign in again.")


class Form(Encoding):
    """How one reply looks on the wire; each method returns whole events. An Event of it holds its frame."""

    headers: tuple[tuple[str, str], ...] = ()
    ends = frozenset({_ENDING})

    def __init__(self, reply: Reply) -> None:
        self._id = reply.id
        self._conversation_id = reply.row.conversation_id

    def event(self, event: Event, id: str) -> bytes:
        return event.data

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        """A heartbeat, or that a reader should come back; a reading that is over for good is a failed one."""
        if name == "heartbeat":
            return self.heartbeat(data)
        if name != "closing":
            return b""  # the others are no news to somebody who reads a reply
        if data["reconnect"]:
            return self.closing(data, retry)
        reason = str(data["reason"])
        ended = Ending(ERROR, code=reason, sentence=f"The stream was ended: {reason}.")
        return self.ending(_REVOKED if reason == "revoked" else ended)

    def opening(self) -> bytes:
        return b""

    def queued(self, position: int) -> bytes:
        """Its place in the queue; empty when it does not wait."""
        raise NotImplementedError

    def chunk(self, index: int, text: str) -> bytes:
        raise NotImplementedError

    def heartbeat(self, data: Mapping[str, object]) -> bytes:
        raise NotImplementedError

    def closing(self, data: Mapping[str, object], retry: int | None) -> bytes:
        raise NotImplementedError

    def ending(self, ending: Ending, begun: bool = False) -> bytes:
        """All that follows the last chunk, `[DONE]` included. `begun` says whether there was any."""
        raise NotImplementedError


class Content(Form):
    """One `content` event a chunk, with its index as id (section 4)."""

    def queued(self, position: int) -> bytes:
        return _event({"type": "queued", "position": position, "messageId": self._id}) if position else b""

    def chunk(self, index: int, text: str) -> bytes:
        data = {
            "type": "content", "text": text, "messageId": self._id, "conversationId": self._conversation_id,
            "index": index,
        }  # fmt: skip
        return sse.encode(msgspec.json.encode(data), "content", str(index))

    def heartbeat(self, data: Mapping[str, object]) -> bytes:
        return sse.encode(msgspec.json.encode({"type": "heartbeat", **data}), "heartbeat")

    def closing(self, data: Mapping[str, object], retry: int | None) -> bytes:
        return sse.encode(msgspec.json.encode({"type": "closing", **data}), "closing", None, retry)

    def ending(self, ending: Ending, begun: bool = False) -> bytes:
        if ending.state == COMPLETE:
            return DONE
        if ending.state == STOPPED:
            return _event({"type": "stopped", "by": ending.by}) + DONE
        return _event({"type": "error", "code": ending.code, "message": ending.sentence}) + DONE


class UIMessages(Form):
    """The UI message stream of the AI SDK, protocol v1, which `useChat` reads.

    start, text-start, text-delta …, text-end, finish (or error, or abort), `[DONE]`.
    """

    headers = ((UI_HEADER, UI_VERSION),)

    def opening(self) -> bytes:
        return _event({"type": "start", "messageId": self._id})

    def queued(self, position: int) -> bytes:
        return _event({"type": "data-queued", "data": {"position": position}, "transient": True}) if position else b""

    def chunk(self, index: int, text: str) -> bytes:
        start = b"" if index else _event({"type": "text-start", "id": "text"})
        return start + _event({"type": "text-delta", "id": "text", "delta": text})

    def heartbeat(self, data: Mapping[str, object]) -> bytes:
        return _event({"type": "data-heartbeat", "data": data, "transient": True})

    def closing(self, data: Mapping[str, object], retry: int | None) -> bytes:
        return _event({"type": "data-closing", "data": data, "transient": True}, retry)

    def ending(self, ending: Ending, begun: bool = False) -> bytes:
        closed = _event({"type": "text-end", "id": "text"}) if begun else b""
        return closed + self._last(ending) + DONE

    def _last(self, ending: Ending) -> bytes:
        if ending.state == COMPLETE:
            return _event({"type": "finish", "finishReason": "stop"})
        if ending.state == STOPPED:
            return _event({"type": "abort", "reason": f"stopped by {ending.by}"})
        return _event({"type": "error", "errorText": ending.sentence})


def _event(data: Mapping[str, object], retry: int | None = None) -> bytes:
    return sse.encode(msgspec.json.encode(data), None, None, retry)


class ReplyTopic(Topic):
    """The tail of one reply in one form.

    A reader may be ahead of it: it has read on the node that writes the reply, whose row is behind.
    """

    __slots__ = ()
    in_log = False

    def durable_after(self, position: int) -> Batch:
        batch = super().durable_after(position)
        ahead = position - self.last
        return batch._replace(cursor=self.end + ahead) if ahead > 0 else batch

    def append(self, frame: bytes, seq: int, final: bool = False) -> None:
        super().append(frame, seq, final)
        if final:
            for stream in self.streams:  # those that are ahead wait for no more than this
                stream.cursor = min(stream.cursor, self.end - 1)


class Feed:
    """Brings a reply to its topic in one form, as long as somebody reads that."""

    def __init__(self, hub: Hub, name: str, reply: Reply, form: Form) -> None:
        self.name = name
        self.reply = reply
        self.form = form
        self._hub = hub
        self._given = len(reply.pieces)  # chunks that the topic was given, or finds in the reply
        self._ended = reply.ending is not None
        self._position = reply.position
        floor = END if self._ended else self._given
        self.topic = hub.add(ReplyTopic(name, floor, form, partial(_read, reply, form)))

    def turn_to(self, reply: Reply) -> None:
        """Goes on with what was found of the same reply later: its row may have been rewritten meanwhile."""
        old, self.reply = self.reply, reply
        self.topic.read = partial(_read, reply, self.form)
        for _ in self.topic.streams:
            old.leave(self.on_change)
            reply.enter(self.on_change)
        if reply.pieces[: self._given] != old.pieces[: self._given]:
            self.topic.forget()
        self.on_change()

    def on_change(self) -> None:
        """The reply has grown, moved in the queue or ended."""
        reply = self.reply
        if reply.position != self._position:
            self._position = reply.position
            self._hub.send_ephemeral(self.name, self.form.queued(reply.position))
        for index in range(self._given, len(reply.pieces)):
            self._hub.append(self.topic, self.form.chunk(index, reply.pieces[index]), index + 1)
        self._given = max(self._given, len(reply.pieces))
        if reply.ending is not None and not self._ended:
            self._ended = True
            self._hub.append(self.topic, self.form.ending(reply.ending, bool(reply.pieces)), END, final=True)


async def _read(reply: Reply, form: Form, after: int, limit: int) -> tuple[Sequence[Event], int]:
    """The next chunks, and the ending after the last; and up to where they are all."""
    pieces, ending = reply.pieces, reply.ending
    events = [
        Event(_CHUNK, form.chunk(index, text), (), seq=index + 1)
        for index, text in enumerate(pieces[after : after + limit], after)
    ]
    if ending is None or after + limit < len(pieces):
        return events, after + len(events)
    events.append(Event(_ENDING, form.ending(ending, bool(pieces)), (), seq=END))
    return events, END


class Reading:
    """One reader of a reply, in one form: the owner of its stream."""

    def __init__(self, streams: ReplyStreams, who: Identity, feed: Feed) -> None:
        self.who = who
        self.feed = feed
        self._streams = streams

    def stream_ended(self, stream: Stream, hold: float) -> None:
        """Nobody waits for it to come back."""
        self._streams.leave(self.feed, last=not stream.topic.streams)


class ReplyStreams:
    """Opens streams of replies, and ends those whose readers may not read them any more."""

    def __init__(self, hub: Hub, rights: ReplyRights) -> None:
        self._hub = hub
        self._rights = rights
        self._feeds: dict[str, Feed] = {}
        self._watching: asyncio.Task[None] | None = None

    def open(
        self, sock: socket.socket, who: Identity, reply: Reply, position: int, form: Form, head: bytes
    ) -> None:  # fmt: skip
        """Makes a socket a stream of a reply: after so many chunks, all that follow and how it ended."""
        feed = self._feed(reply, form)
        stream = Stream(self._hub, sock, feed.topic, position)
        stream.user_id, stream.session, stream.trusted = who.user_id, who.session, who.trusted
        stream.expires_at = who.expires_at
        stream.client_id = stream.id = secrets.token_urlsafe(12)
        reply.enter(feed.on_change)
        self._hub.open(stream, Reading(self, who, feed), head + form.opening() + form.queued(reply.position))
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    def leave(self, feed: Feed, last: bool) -> None:
        """A reader is gone; with the last one of a form its topic is."""
        feed.reply.leave(feed.on_change)
        if last:
            del self._feeds[feed.name]

    async def close(self) -> None:
        """Ends what is left: readers that are slow, and those of replies that other nodes write."""
        await asyncio.sleep(0)  # the last frames go out first
        if self._watching is not None:
            self._watching.cancel()
        for feed in list(self._feeds.values()):
            for stream in self._hub.readers(feed.name):
                stream.end("draining", True)

    def _feed(self, reply: Reply, form: Form) -> Feed:
        name = f"reply:{reply.id}/{type(form).__name__}"
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = Feed(self._hub, name, reply, form)
        elif feed.reply is not reply:
            feed.turn_to(reply)
        return feed

    async def _watch(self) -> None:
        while self._feeds:
            await asyncio.sleep(TICK)
            for feed in list(self._feeds.values()):
                if feed.reply.row.room_id is not None:
                    await self._look(feed)
        self._watching = None

    async def _look(self, feed: Feed) -> None:
        for stream in self._hub.readers(feed.name):
            reading = self._hub.streams.get(stream)
            if not isinstance(reading, Reading):
                continue
            try:
                await self._rights.check_read(reading.who, feed.reply)
            except Problem as problem:  # banned meanwhile, say
                stream.finish(feed.form.ending(Ending(ERROR, code=problem.code, sentence=problem.sentence)))
