"""The offline provider: no model, no network. It says so, and quotes what it was asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from chatrooms.ai import recollection
from chatrooms.ai.base import Prompt

QUOTED = 200  # characters of the message that are quoted
LONGEST = 2.5  # seconds that a reply takes at most
LABEL = "(offline assistant) "
SHORT = 100  # characters of what may be a call for help: looking for one takes time by the square of them

_HELP = re.compile(r"\W*(help|what can you do)?\W*\Z", re.IGNORECASE)
_SAMPLE = re.compile(r"\b(markdown|code|list|emphasis)\b", re.IGNORECASE)

HELP = (
    "No language model is connected to this server; I only look things up. In a room you can ask me:\n\n"
    "- *who is here?*\n- *what was said about lunch?*\n- *recap* of the last hour\n\n"
    "Ask for *markdown* to see a list, **bold** text and a code block."
)
SAMPLE = (
    "Here is how formatted text arrives, piece by piece:\n\n"
    "1. a numbered list\n2. with **bold** and *emphasis*\n3. and `inline code`\n\n"
    '```python\ndef greet(name: str) -> str:\n    return f"Hello, {name}!"\n```\n\nThat is all.'
)


class Offline:
    """Answers word by word, `delay` seconds apart, and within LONGEST."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    async def reply(self, prompt: Prompt) -> AsyncIterator[str]:
        pieces = _pieces(LABEL + await _answer(prompt))
        pause = min(self._delay, LONGEST / len(pieces))
        for piece in pieces:
            await asyncio.sleep(pause)
            yield piece

    async def close(self) -> None:
        pass


async def _answer(prompt: Prompt) -> str:
    quoted = prompt.message.strip()
    if len(quoted) > QUOTED:
        quoted = quoted[:QUOTED] + "…"
    opening = f"You said: “{quoted}”. " if quoted else ""
    if len(prompt.message) <= SHORT and _HELP.match(prompt.message):
        return opening + HELP
    if prompt.scene is not None:
        found = await recollection.answer(prompt.message, prompt.scene)
        if found is not None:
            return opening + found
    return opening + (SAMPLE if _SAMPLE.search(prompt.message) else _echo(prompt))


def _echo(prompt: Prompt) -> str:
    earlier = sum(1 for turn in prompt.history if turn.role == "user")
    memory = "" if prompt.scene or not earlier else f"It is your message number {earlier + 1} in this conversation. "
    return (
        f"{memory}No language model is connected to this server, so this is as clever as I get: I repeat "
        "your words, piece by piece, the way a model would stream them."
    )


def _pieces(text: str) -> list[str]:
    """The words of a text with their spaces; joined, they are the text."""
    return re.findall(r"\s*\S+|\s+$", text)
