"""One AI reply: its pieces so far, its state, whom to tell when it grows, and the forms in which it is read."""

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
from chatrooms.logs import tell
from chatrooms.streams.encoding import Encoding

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

    def touch(self) -> None:
        """Somebody has looked at it, who is no reader."""
        self.unread_at = self.unread_at and time.monotonic()

    def _tell(self) -> None:
        for on_change in list(self._followers):
            tell(on_change)


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


UI_HEADER = "x-vercel-ai-ui-message-stream"
UI_VERSION = "v1"
END = 10**9  # the position of a reader that has all of a reply, its ending included
LAST_EVENT = "done"

_REVOKED = Ending(ERROR, code="token-revoked", sentence="This sign-in has ended: sign in again.")


class Form(Encoding):
    """How replies look on the wire: the form of section 4, one `content` event a chunk with its index as id.

    A position is the number of chunks that a reader has, so that of the next one's index.
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
        """A heartbeat or a closing; nothing else is news to somebody who reads a reply."""
        if name not in ("heartbeat", "closing"):
            return b""
        return sse.encode(msgspec.json.encode({"type": name, **data}), name, id, retry)

    def last(self, data: Mapping[str, object], id: str | None, retry: int | None) -> bytes:
        """A reader that shall not come back is told of an error, and `[DONE]`."""
        if data["reconnect"]:
            return self.signal("closing", data, id, retry)
        reason = str(data["reason"])
        ended = Ending(ERROR, code=reason, sentence=f"The stream was ended: {reason}.")
        return self.ending(_REVOKED if reason == "revoked" else ended)

    def opening(self, reply: Reply) -> bytes:
        """What a reader is told first."""
        return self.queued(reply)

    def queued(self, reply: Reply) -> bytes:
        """Its place in the queue, if it waits."""
        data = {"type": "queued", "position": reply.position, "messageId": reply.id}
        return _unnamed(data) if reply.position else b""

    def chunk(self, reply: Reply, index: int) -> Event:
        data = {
            "type": "content", "text": reply.pieces[index], "messageId": reply.id,
            "conversationId": reply.row.conversation_id, "index": index,
        }  # fmt: skip
        return Event("content", msgspec.json.encode(data), (), seq=index + 1)

    def endings(self, ending: Ending, begun: bool) -> list[Event]:
        """All that follows the last chunk, if there was one (`begun`)."""
        parts = [Event("message", msgspec.json.encode(part), ()) for part in self._parts(ending, begun)]
        parts.append(Event(LAST_EVENT, b'"[DONE]"', ()))
        for before_end, part in enumerate(reversed(parts)):
            part.seq = END - before_end
        return parts

    def ending(self, ending: Ending, begun: bool = False) -> bytes:
        """The same as bytes."""
        return b"".join([self.event(event, "") for event in self.endings(ending, begun)])

    def _parts(self, ending: Ending, begun: bool) -> list[dict[str, str]]:
        if ending.state == COMPLETE:
            return []
        if ending.state == STOPPED:
            return [{"type": "stopped", "by": ending.by}]
        return [{"type": "error", "code": ending.code, "message": ending.sentence}]


class UIMessages(Form):
    """The UI message stream of the AI SDK, protocol v1, which `useChat` reads; it always begins at the beginning.

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
