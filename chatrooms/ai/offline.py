"""The offline provider: no model, no network. It says so, and quotes the question."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from chatrooms.ai.base import Line, Prompt, Scene
from chatrooms.clock import now_ms

QUOTED = 200  # characters of the message that are quoted
LONGEST = 2.5  # seconds, the most that a reply takes
LABEL = "(offline assistant) "
SHORT = 100  # characters, the most that may be a call for help: the search takes quadratic time

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
    """Answers word by word, `delay` seconds apart, within LONGEST in all."""

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
        found = await answer(prompt.message, prompt.scene)
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
    """The words of a text with their spaces; joined, they give the text."""
    return re.findall(r"\s*\S+|\s+$", text)


REMEMBERED = 1000  # messages searched
SHOWN = 5  # messages quoted
NAMED = 20  # members named
RECALLED = 120  # characters quoted of each message
HOUR_MS = 3_600_000

_WHO = re.compile(r"\bwho(?:'s|\s+is|\s+are)?\s+(?:all\s+)?(?:here|online|in\s+(?:this|the)\s+room|around)\b", re.I)
_ABOUT = re.compile(
    r"\b(?:said|say|says|talk(?:ed)?|spoke|mentioned|wrote|written)\s+(?:about|of|on)\s+(.+)"
    r"|\b(?:who|anybody|anyone)\s+mentioned\s+(.+)|\A\W*(?:search|find)\s+(?:for\s+)?(.+)",
    re.I | re.S,
)
_RECAP = re.compile(r"\b(?:recap|summar\w+|catch\s+me\s+up|what\s+(?:did\s+i\s+miss|happened)|last\s+hour)\b", re.I)


async def answer(question: str, scene: Scene) -> str | None:
    """The answer to a question about the room; None for any other question."""
    if _WHO.search(question):
        return _who(scene)
    if about := _ABOUT.search(question):
        words = next(group for group in about.groups() if group is not None)
        return _about(words.strip(" \t\r\n?!.,;:\"'“”"), await scene.recall(REMEMBERED))
    if _RECAP.search(question):
        return _recap(await scene.recall(REMEMBERED), now_ms())
    return None


def quotes(reply: str, username: str, text: str) -> bool:
    """Whether an answer quotes that message of that user."""
    start, end = f"- {username}, ", f": “{_short(text)}”"
    return any(line.startswith(start) and line.endswith(end) for line in reply.split("\n"))


def _who(scene: Scene) -> str:
    if not scene.members:
        return f"Nobody has {scene.room_id} open right now."
    named = ", ".join(scene.members[:NAMED])
    more = f" and {len(scene.members) - NAMED} more" if len(scene.members) > NAMED else ""
    return f"In {scene.room_id} right now: {named}{more}."


def _about(words: str, lines: Sequence[Line]) -> str:
    wanted = words.casefold()
    said = [line for line in lines if not line.from_bot and wanted and wanted in line.text.casefold()]
    # Questions to the assistant are not statements about the topic.
    said = [line for line in said if not line.text.lstrip().casefold().startswith("@ai")]
    if not said:
        return f"I found nothing about “{words}” in the last {len(lines)} messages."
    return f"About “{words}” I found {_count(len(said), 'message')}:\n\n{_quoted(said[-SHOWN:])}"


def _recap(lines: Sequence[Line], now_ms: int) -> str:
    recent = [line for line in lines if line.timestamp > now_ms - HOUR_MS and not line.from_bot]
    if not recent:
        return "Nothing was said in the last hour."
    people = Counter(line.username for line in recent)
    busiest = ", ".join(f"{name} ({count})" for name, count in people.most_common(SHOWN))
    return (
        f"In the last hour: {_count(len(recent), 'message')} by {_count(len(people), 'person', 'people')}, "
        f"mostly {busiest}. The last ones:\n\n{_quoted(recent[-SHOWN:])}"
    )


def _quoted(lines: Sequence[Line]) -> str:
    return "\n".join(f"- {line.username}, {_clock(line.timestamp)}: “{_short(line.text)}”" for line in lines)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= RECALLED else line[:RECALLED] + "…"


def _clock(timestamp: int) -> str:
    return time.strftime("%H:%M UTC", time.gmtime(timestamp / 1000))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
