"""The offline provider: what it makes of a question."""

from __future__ import annotations

import asyncio

import pytest

from chatrooms.ai.base import Prompt, Scene
from chatrooms.ai.offline import HELP, REMEMBERED, Offline
from chatrooms.rooms.messages import QUOTABLE
from tests.helpers.limit import time_limit

SIZE = 60_000  # characters, about as much as a prompt may have
HOSTILE = [" ", "-", "who ", "who is\t", "said about ", "what did i say\n", "summar", "catch\n", "@ai ", "*"]


async def _reply(message: str) -> str:
    async def nothing(most: int) -> list[object]:
        return []

    scene = Scene("lobby", "Ann", [], nothing)  # type: ignore[arg-type]
    return "".join([piece async for piece in Offline(0).reply(Prompt(message, scene=scene))])


@pytest.mark.parametrize("part", HOSTILE)
def test_hostile_question_takes_no_more_time_than_its_size(part: str) -> None:
    """A question of 60,000 dashes held the event loop for a minute: the patterns are for short ones."""
    with time_limit(5):
        asyncio.run(_reply(part * (SIZE // len(part)) + "x"))


@pytest.mark.parametrize("message", ["help", " Help! ", "what can you do?", "?"])
def test_a_short_call_for_help_is_answered_with_it(message: str) -> None:
    """Whatever stands around it."""
    assert HELP in asyncio.run(_reply(message))


def test_deleting_a_message_looks_at_every_answer_that_may_quote_it() -> None:
    """An answer reads REMEMBERED messages, and as many may be written before it is there itself."""
    assert QUOTABLE == 2 * REMEMBERED
