"""One AI reply: its pieces so far, its state, the readers to notify, and the forms in which it is read."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import sse
from chatrooms.ai.base import Usage
from chatrooms.log.event import Event
from chatrooms.logs import notify
from chatrooms.streams.encoding import Encoding

COMPLETE, STOPPED, ERROR, INTERRUPTED = "complete", "stopped", "error", "interrupted"
STREAMING = "streaming"


class StoredReply(NamedTuple):
    """A row. `lengths` holds the length of each chunk in characters, each followed by a comma."""

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
    """How a reply ended: `by` is the name of the user who stopped it, `code` and `sentence` say what failed."""

    state: str
    by: str = ""
    code: str = ""
    sentence: str = ""


DELETED = Ending(ERROR, code="not-found", sentence="The reply has been deleted.")
CUT_SHORT = Ending(INTERRUPTED, code="interrupted", sentence="The server that wrote this reply has stopped.")


class Reply:
    """A reply, running or ended.

    row        its row in the database, without the text while it runs
    ending     None while it runs
    position   its place in the queue, from 1; 0 when it is not waiting
    stored     how many of its pieces are in the database
    unread_at  monotonic time of the last read; 0 while somebody reads it here
    reads_elsewhere  how often other nodes had marked it as read when this one last checked
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
        self.reads_elsewhere = 0
        self._followers: Counter[Callable[[], None]] = Counter()

    @classmethod
    def ended(cls, row: StoredReply) -> Reply:
        """An ended reply, from its row."""
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
        self._notify_readers()

    def grow(self, row: StoredReply) -> None:
        """Adds the pieces that its row has in addition, and how it ended."""
        for piece in pieces_of(row)[len(self.pieces) :]:
            self.add(piece)
        if row.state != STREAMING:
            self.end(Ending(row.state, row.stopped_by, row.code, row.sentence))

    def queue(self, position: int) -> None:
        """Sets its place in the queue."""
        if position != self.position:
            self.position = position
            self._notify_readers()

    def end(self, ending: Ending) -> None:
        """Ends it; only the first call counts."""
        if self.ending is None:
            self.position = 0
            self.ending = ending
            self._notify_readers()

    def written(self, ending: Ending) -> StoredReply:
        """The row of this reply with that ending."""
        return self.row._replace(
            state=ending.state, stopped_by=ending.by, code=ending.code, sentence=ending.sentence,
            text=self.text, lengths=lengths_of(self.pieces),
        )  # fmt: skip

    def enter(self, on_change: Callable[[], None]) -> None:
        """Adds a reader. `on_change` is called once per change, however many readers share it."""
        self._followers[on_change] += 1
        self.unread_at = 0.0

    def leave(self, on_change: Callable[[], None]) -> None:
        """Removes a reader added by `enter`."""
        self._followers[on_change] -= 1
        self._followers += Counter()  # drops the zeros
        if not self._followers:
            self.unread_at = time.monotonic()

    def touch(self) -> None:
        """Notes that a poll has looked at it."""
        self.unread_at = self.unread_at and time.monotonic()

    def _notify_readers(self) -> None:
        for on_change in list(self._followers):
            notify(on_change)


def pieces_of(row: StoredReply) -> list[str]:
    """The chunks of a row."""
    pieces, start = [], 0
    for length in map(int, filter(None, row.lengths.split(","))):
        pieces.append(row.text[start : start + length])
        start += length
    return pieces


def lengths_of(pieces: Sequence[str]) -> str:
    """The column `lengths` for these pieces."""
    return "".join([f"{len(piece)}," for piece in pieces])


EVENT = "bot-chunk"


class Chunk(msgspec.Struct, rename="camel"):
    """The data of EVENT: the text of the pieces from `start` to `index`; the next chunk starts at `index` + 1.

    The last chunk (`is_final`) has the index after the last piece. With `reset`, the text is all that
    the room was sent so far.
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
    """The chunk as an event on the wire."""
    return sse.encode(msgspec.json.encode(chunk), EVENT)


def chunk_of(frame: bytes) -> Chunk | None:
    """The chunk in a frame; None for any other event. Raises msgspec.MsgspecError for a malformed chunk."""
    for event in sse.Parser().feed(frame) if frame.startswith(b"event: bot-chunk\n") else ():
        return msgspec.json.decode(event.data, type=Chunk)
    return None


UI_HEADER = "x-vercel-ai-ui-message-stream"
UI_VERSION = "v1"
END = 10**9  # the position of a reader that has the whole reply, its ending included
LAST_EVENT = "done"

_REVOKED = Ending(ERROR, code="token-revoked", sentence="This sign-in has ended: sign in again.")


class Form(Encoding):
    """How replies look on the wire: the form of section 4, one `content` event per chunk, its index as id.

    A position is the number of chunks that a reader has, which is the next one's index.
    """

    ends = frozenset({LAST_EVENT})
    headers: tuple[tuple[str, str], ...] = ()

    def id(self, epoch: str, position: int) -> str:
        return str(position - 1)

    def data(self, event: Event, id: str) -> bytes:
        return event.data

    def event(self, event: Event, id: str) -> bytes:
        if event.type == LAST_EVENT:
            return sse.encode(b"[DONE]")
        named = event.type == "content"
        return sse.encode(event.data, "content", id) if named else sse.encode(event.data)

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        """A heartbeat or a closing; readers of a reply get no other signal."""
        if name not in ("heartbeat", "closing"):
            return b""
        return sse.encode(msgspec.json.encode({"type": name, **data}), name, id, retry)

    def last(self, data: Mapping[str, object], id: str | None, retry: int | None) -> bytes:
        """A `closing`; a reader that must not come back gets an error and `[DONE]` instead."""
        if data["reconnect"]:
            return self.signal("closing", data, id, retry)
        reason = str(data["reason"])
        ended = Ending(ERROR, code=reason, sentence=f"The stream was ended: {reason}.")
        return self.ending(_REVOKED if reason == "revoked" else ended)

    def opening(self, reply: Reply) -> bytes:
        """What a reader gets first."""
        return self.queued(reply)

    def queued(self, reply: Reply) -> bytes:
        """The reply's place in the queue, if it is waiting."""
        data = {"type": "queued", "position": reply.position, "messageId": reply.id}
        return _unnamed(data) if reply.position else b""

    def chunk(self, reply: Reply, index: int) -> Event:
        data = {
            "type": "content", "text": reply.pieces[index], "messageId": reply.id,
            "conversationId": reply.row.conversation_id, "index": index,
        }  # fmt: skip
        return Event("content", msgspec.json.encode(data), (), seq=index + 1)

    def endings(self, ending: Ending, begun: bool) -> list[Event]:
        """All that follows the last chunk; `begun` says whether there was one."""
        parts = [Event("message", msgspec.json.encode(part), ()) for part in self._parts(ending, begun)]
        parts.append(Event(LAST_EVENT, b'"[DONE]"', ()))
        for before_end, part in enumerate(reversed(parts)):
            part.seq = END - before_end
        return parts

    def ending(self, ending: Ending, begun: bool = False) -> bytes:
        """The same, as bytes."""
        return b"".join([self.event(event, "") for event in self.endings(ending, begun)])

    def _parts(self, ending: Ending, begun: bool) -> list[dict[str, str]]:
        if ending.state == COMPLETE:
            return []
        if ending.state == STOPPED:
            return [{"type": "stopped", "by": ending.by}]
        return [{"type": "error", "code": ending.code, "message": ending.sentence}]


class UIMessages(Form):
    """The AI SDK's UI message stream, protocol v1, as `useChat` reads it; it always starts at the beginning.

    start, text-start, text-delta …, text-end, finish (or error, or abort), `[DONE]`.
    """

    headers = ((UI_HEADER, UI_VERSION),)

    def event(self, event: Event, id: str) -> bytes:
        begins = event.type == "content" and event.seq == 1
        start = _unnamed({"type": "text-start", "id": "text"}) if begins else b""
        return start + (sse.encode(b"[DONE]") if event.type == LAST_EVENT else sse.encode(event.data))

    def signal(self, name: str, data: Mapping[str, object], id: str | None = None, retry: int | None = None) -> bytes:
        part = {"type": f"data-{name}", "data": data, "transient": True}
        return _unnamed(part, retry) if name in ("heartbeat", "closing") else b""

    def opening(self, reply: Reply) -> bytes:
        return _unnamed({"type": "start", "messageId": reply.id}) + self.queued(reply)

    def queued(self, reply: Reply) -> bytes:
        data = {"type": "data-queued", "data": {"position": reply.position}, "transient": True}
        return _unnamed(data) if reply.position else b""

    def chunk(self, reply: Reply, index: int) -> Event:
        data = {"type": "text-delta", "id": "text", "delta": reply.pieces[index]}
        return Event("content", msgspec.json.encode(data), (), seq=index + 1)

    def _parts(self, ending: Ending, begun: bool) -> list[dict[str, str]]:
        last = {"type": "error", "errorText": ending.sentence}
        if ending.state == COMPLETE:
            last = {"type": "finish", "finishReason": "stop"}
        elif ending.state == STOPPED:
            last = {"type": "abort", "reason": f"stopped by {ending.by}"}
        return [{"type": "text-end", "id": "text"}, last] if begun else [last]


FORMS: Mapping[str, Form] = {"content": Form(), "ui": UIMessages()}


def _unnamed(data: Mapping[str, object], retry: int | None = None) -> bytes:
    return sse.encode(msgspec.json.encode(data), None, None, retry)
