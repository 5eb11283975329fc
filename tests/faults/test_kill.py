"""kill -9: what was acknowledged is there, once, in one order."""

from __future__ import annotations

from benchmarks.drills.one_node import kill_under_load
from tests.faults.conftest import Serve
from tests.helpers.chat import within

POSTS = 20_000
KILLS = 20


@within(150)
async def test_killed_twenty_times_it_loses_and_repeats_nothing(serve: Serve) -> None:
    """All acknowledged posts are in the log once, and a reader that resumes sees just the log."""
    outcome = await kill_under_load(serve(), KILLS, POSTS, readers=1)
    assert outcome.losses.acknowledged >= POSTS
    assert outcome.losses.none, outcome.losses
