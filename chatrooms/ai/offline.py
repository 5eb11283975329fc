"""The offline provider: no model, no network. It says so, and quotes what it was asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from chatrooms.ai.base import Prompt

QUOTED = 200  # characters of the message that are quoted
LONGEST = 2.5  # seconds that a reply takes at most


class Offline:
    """Answers word by word, `delay` seconds apart, and within LONGEST."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    async def reply(self, prompt: Prompt) -> AsyncIterator[str]:
        pieces = _pieces(_answer(prompt))
        pause = min(self._delay, LONGEST / len(pieces))
        for piece in pieces:
            await asyncio.sleep(pause)
            yield piece


def _answer(prompt: Prompt) -> str:
    quoted = prompt.message.strip()
    if len(quoted) > QUOTED:
        quoted = quoted[:QUOTED] + "…"
    earlier = sum(1 for turn in prompt.history if turn.role == "user")
    memory = f" It is your message number {earlier + 1} in this conversation." if earlier else ""
    return (
        f"(offline assistant) You said: “{quoted}”.{memory} No language model is connected to this "
        "server, so this is as clever as I get: I repeat your words, piece by piece, the way a model "
        "would stream them."
    )


def _pieces(text: str) -> list[str]:
    """The words of a text with their spaces; joined, they are the text."""
    return re.findall(r"\s*\S+|\s+$", text)
