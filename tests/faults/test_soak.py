"""A soak of seconds: what comes and goes leaves nothing (soak.py is the same for as long as one likes)."""

from __future__ import annotations

from tests.faults import soak
from tests.faults.conftest import Serve
from tests.helpers.chat import within


@within(110)
async def test_all_gauges_are_back_at_zero_after_a_soak(serve: Serve) -> None:
    """Rooms, shared connections, personal streams, sessions, tasks and replies, by tokens of 20 days."""
    server = serve("--heartbeat=1", "--leave-grace=0.1", "--ai-delay=0.01")
    outcome = await soak.soak(server, 6, 100, fill=500, polls=False)
    assert outcome.opened > 100
    assert outcome.failed == 0
    assert outcome.gauges == dict.fromkeys(soak.GAUGES, 0.0)


def test_slope_is_that_of_the_line_that_fits() -> None:
    """Whatever lies around it."""
    assert soak.slope([(0, 1.0), (1, 3.0), (2, 5.0)]) == 2.0
    assert abs(soak.slope([(second, 7.0 + (-1) ** second) for second in range(600)])) < 1e-4
