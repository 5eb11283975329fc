"""What a streamed reply said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from chatrooms.sse import Parser, ServerEvent


class Talk:
    """A reply as its reader got it: `text`, the `indexes` of its chunks, and whatever else was `said`."""

    def __init__(self, events: Sequence[ServerEvent]) -> None:
        self.done = sum(event.data == "[DONE]" for event in events)
        data: list[dict[str, Any]] = [json.loads(event.data) for event in events if event.data != "[DONE]"]
        self.last = events[-1].data if events else ""
        self.content = [part for part in data if part["type"] == "content"]
        self.said = [part for part in data if part["type"] not in ("content", "heartbeat")]
        self.indexes = [part["index"] for part in self.content]
        self.text = "".join(part["text"] for part in self.content)

    @classmethod
    def of(cls, body: bytes) -> Talk:
        return cls(Parser().feed(body))

    def whole(self) -> bool:
        """Whether every index came once, in order, and `[DONE]` once and last."""
        return self.indexes == list(range(len(self.indexes))) and self.done == 1 and self.last == "[DONE]"
