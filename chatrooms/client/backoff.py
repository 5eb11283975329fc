"""How long to wait before the next try. Pure but for its dice."""

from __future__ import annotations

import random

FIRST_DELAY = 0.3  # seconds
LONGEST_DELAY = 10.0


def delay(failures: int, asked: float = 0.0) -> float:
    """Seconds to wait after that many failures in a row: doubling, capped, with jitter.

    Never less than the server has asked for, by `retry:` or Retry-After.
    """
    return max(asked, min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 16)) * random.uniform(0.5, 1.0))
