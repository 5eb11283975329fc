"""The interface of a provider of AI replies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol


class Turn(NamedTuple):
    """One entry of a conversation; `role` is `user` or `assistant` (or `system`)."""

    role: str
    content: str


class Line(NamedTuple):
    """One message of a room; `timestamp` in milliseconds since 1970."""

    username: str
    text: str
    timestamp: int
    from_bot: bool = False


class Scene(NamedTuple):
    """The room in which a question is asked.

    asker    the name of the user asking
    members  the names of those present
    recall   returns up to that many of the last messages, oldest first, without the question
    """

    room_id: str
    asker: str
    members: Sequence[str]
    recall: Callable[[int], Awaitable[Sequence[Line]]]


class Prompt(NamedTuple):
    """What to answer. `model` and `temperature` are None when the client leaves them open."""

    message: str
    history: Sequence[Turn] = ()
    model: str | None = None
    temperature: float | None = None
    scene: Scene | None = None


class Usage(NamedTuple):
    """What a reply cost, in tokens."""

    prompt_tokens: int
    completion_tokens: int


class ProviderError(Exception):
    """A reply that failed upstream: a code of `errors.CODES` and a sentence for a person.

    The sentence quotes nothing from the upstream server: that could leak the prompt or the key.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence


class Provider(Protocol):
    """Generates replies. Closing the iterator ends the work behind it within a second."""

    def reply(self, prompt: Prompt) -> AsyncIterator[str | Usage]:
        """Yields the reply's text in non-empty pieces as they arrive. Raises ProviderError."""

    async def close(self) -> None:
        """Releases its resources."""


def fitting(turns: Sequence[Turn], most: int) -> Sequence[Turn]:
    """The last turns that fit into `most` bytes of UTF-8 (0: all of them)."""
    first, size = len(turns), 0
    while first:
        size += len(turns[first - 1].content.encode())
        if most and size > most:
            break
        first -= 1
    return turns[first:]
