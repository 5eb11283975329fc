"""The stream of an OpenAI-compatible server: bytes in, text and usage out. Pure.

Seen in the wild, and survived: `content: null`, `choices: []`, deltas without content, the usage in
a chunk of its own or in none, a stream that ends without `[DONE]`, characters split over chunks of
bytes and over deltas (half a surrogate pair in each).
"""

from __future__ import annotations

import json
import re
from typing import Any

from chatrooms.ai.base import ProviderError, Usage
from chatrooms.sse import Parser

MAX_EVENT = 1 << 20  # bytes without the end of an event, after which it is no event stream

_HIGH_AT_END = re.compile(r"[\ud800-\udbff]\Z")
_LONE = re.compile(r"[\ud800-\udfff]")


class Deltas:
    """Takes the body piece by piece.

    `begun` is true when there was any event, `finished` when the server said that this was all;
    `usage` is what it counted, if it did.
    """

    def __init__(self) -> None:
        self.begun = False
        self.finished = False
        self.usage: Usage | None = None
        self._parser = Parser()
        self._unread = 0
        self._half = ""

    def feed(self, data: bytes) -> str:
        """The text that became whole with these bytes. Raises ProviderError for what is no such stream."""
        events = self._parser.feed(data)
        self.begun = self.begun or bool(events)
        self._unread = 0 if events else self._unread + len(data)
        if self._unread > MAX_EVENT:
            raise _broken()
        return self._whole("".join([self._text(event.data) for event in events]))

    def rest(self) -> str:
        """What is left when the stream has ended: half a character, which becomes U+FFFD."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""

    def _text(self, data: str) -> str:
        if data.strip() == "[DONE]":
            self.finished = True
            return ""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise _broken() from None
        if not isinstance(chunk, dict):
            raise _broken()
        if chunk.get("error"):
            raise ProviderError("ai-failed", "The model server reported an error.")
        self._count(chunk.get("usage"))
        return self._delta(chunk.get("choices"))

    def _delta(self, choices: Any) -> str:
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return ""
        self.finished = self.finished or bool(choice.get("finish_reason"))
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else None
        return text if isinstance(text, str) else ""

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
            self.usage = Usage(*[n if isinstance(n, int) and 0 <= n < 1 << 53 else 0 for n in counts])

    def _whole(self, text: str) -> str:
        """The text with halves of characters joined; one that stays alone becomes U+FFFD."""
        text, self._half = self._half + text, ""
        if text.isascii():
            return text
        if _HIGH_AT_END.search(text):
            text, self._half = text[:-1], text[-1]
        joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return _LONE.sub("\ufffd", joined)


def _broken() -> ProviderError:
    return ProviderError("ai-failed", "The model server answered something that cannot be read.")
