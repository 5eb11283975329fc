"""Rate limits."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chatrooms.errors import TooMany

REMEMBERED = 20_000  # keys; the least recently used are forgotten first


class RateLimit:
    """At most `rate` in `period` seconds for each key; 0 turns it off.

    A token bucket: a key that was quiet may use all of `rate` at once, then it refills evenly.
    """

    def __init__(self, rate: int, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._period = period
        self._clock = clock
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, key: str, cost: int = 1) -> None:
        """Counts `cost` for a key. Raises TooMany `rate-limited`, counting nothing, when over."""
        if not self._rate:
            return
        now = self._clock()
        spent, since = self._spent.pop(key, (0.0, now))
        spent = max(0.0, spent - (now - since) * self._rate / self._period)
        allowed = spent + cost <= self._rate
        self._spent[key] = (spent + cost if allowed else spent, now)
        if len(self._spent) > REMEMBERED:
            self._spent.popitem(last=False)
        if not allowed:
            wait = (spent + cost - self._rate) * self._period / self._rate
            raise TooMany("rate-limited", f"Too many requests: at most {self._rate} in {self._period:g} s.", wait)
