"""What a provider of AI replies is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol


class Turn(NamedTuple):
    """One entry of a conversation; `role` is `user` or `assistant` (or `system`)."""

    role: str
    content: str


class Prompt(NamedTuple):
    """What is to be answered. `model` and `temperature` are None when the client leaves them open."""

    message: str
    history: Sequence[Turn] = ()
    model: str | None = None
    temperature: float | None = None


class Provider(Protocol):
    """Generates replies."""

    def reply(self, prompt: Prompt) -> AsyncIterator[str]:
        """The reply's pieces of text, none of them empty, as they come."""
