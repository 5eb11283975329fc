"""The two forms in which a reply is streamed. Pure.

`Content` is that of section 4; `UIMessages` is the UI message stream of the AI SDK, protocol v1,
which `useChat` reads. A form has no state but which parts it has opened.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from chatrooms import sse
from chatrooms.clock import now_ms
from chatrooms.replies.reply import COMPLETE, STOPPED, Ending, Reply

UI_HEADER = "x-vercel-ai-ui-message-stream"
UI_VERSION = "v1"

DONE = sse.encode(b"[DONE]")


class Form(Protocol):
    """How a reply looks on the wire; each method returns whole events."""

    headers: tuple[tuple[str, str], ...]

    def opening(self) -> bytes: ...

    def queued(self, position: int) -> bytes: ...

    def chunk(self, index: int, text: str) -> bytes: ...

    def heartbeat(self) -> bytes: ...

    def ending(self, ending: Ending) -> bytes:
        """All that follows the last chunk, `[DONE]` included."""


class Content:
    """One `content` event a chunk, with its index as id."""

    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def opening(self) -> bytes:
        return b""

    def queued(self, position: int) -> bytes:
        return _event({"type": "queued", "position": position, "messageId": self._reply.id})

    def chunk(self, index: int, text: str) -> bytes:
        data = {
            "type": "content", "text": text, "messageId": self._reply.id,
            "conversationId": self._reply.row.conversation_id, "index": index,
        }  # fmt: skip
        return sse.encode(msgspec.json.encode(data), "content", str(index))

    def heartbeat(self) -> bytes:
        data = {"type": "heartbeat", "timestamp": now_ms()}
        return sse.encode(msgspec.json.encode(data), "heartbeat")

    def ending(self, ending: Ending) -> bytes:
        if ending.state == COMPLETE:
            return DONE
        if ending.state == STOPPED:
            return _event({"type": "stopped", "by": ending.by}) + DONE
        return _event({"type": "error", "code": ending.code, "message": ending.sentence}) + DONE


class UIMessages:
    """start, text-start, text-delta …, text-end, finish (or error, or abort), `[DONE]`."""

    headers: tuple[tuple[str, str], ...] = ((UI_HEADER, UI_VERSION),)

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._text_open = False

    def opening(self) -> bytes:
        return _event({"type": "start", "messageId": self._reply.id})

    def queued(self, position: int) -> bytes:
        return _event({"type": "data-queued", "data": {"position": position}, "transient": True})

    def chunk(self, index: int, text: str) -> bytes:
        before, self._text_open = self._text_open, True
        start = b"" if before else _event({"type": "text-start", "id": "text"})
        return start + _event({"type": "text-delta", "id": "text", "delta": text})

    def heartbeat(self) -> bytes:
        data = {"timestamp": now_ms()}
        return _event({"type": "data-heartbeat", "data": data, "transient": True})

    def ending(self, ending: Ending) -> bytes:
        closed = _event({"type": "text-end", "id": "text"}) if self._text_open else b""
        return closed + self._last(ending) + DONE

    def _last(self, ending: Ending) -> bytes:
        if ending.state == COMPLETE:
            return _event({"type": "finish", "finishReason": "stop"})
        if ending.state == STOPPED:
            return _event({"type": "abort", "reason": f"stopped by {ending.by}"})
        return _event({"type": "error", "errorText": ending.sentence})


def _event(data: dict[str, object]) -> bytes:
    return sse.encode(msgspec.json.encode(data))
