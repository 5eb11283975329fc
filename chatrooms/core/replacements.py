"""Replacements of streams that are still open: more than a few are two pages that fight."""

from __future__ import annotations

import time
from collections import OrderedDict, deque

from chatrooms.errors import Conflict

REPLACEMENTS = 10  # of one stream in REPLACEMENT_PERIOD
REPLACEMENT_PERIOD = 60.0  # seconds
REMEMBERED = 1000  # streams


class Replacements:
    """Counts by topic, user and client."""

    def __init__(self) -> None:
        self._times: OrderedDict[tuple[str, str, str], deque[float]] = OrderedDict()

    def count(self, topic: str, user_id: str, client_id: str) -> None:
        """Counts one. Raises Conflict `replaced-too-often`."""
        key = (topic, user_id, client_id)
        times = self._times.setdefault(key, deque(maxlen=REPLACEMENTS))
        self._times.move_to_end(key)
        if len(self._times) > REMEMBERED:
            self._times.popitem(last=False)
        now = time.monotonic()
        if len(times) == REPLACEMENTS and now - times[0] < REPLACEMENT_PERIOD:
            raise Conflict("replaced-too-often", "Another page keeps taking over this clientId.")
        times.append(now)
