"""Rate limits."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chatrooms.errors import TooMany, Unavailable

REMEMBERED = 20_000  # keys; the least recently used are forgotten first
FORGOTTEN = 2  # keys, of those that have refilled, with each one that is counted: so they go faster than they come
FIRST_WAIT = 5.0  # seconds until the next try, when the last free one has failed
LONGEST_WAIT = 900.0  # however many have failed
FORGIVEN = 3600.0  # seconds after the last failure and its wait when they count no more
FULL_RETRY = 5.0  # seconds, for who finds all places taken


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
        self._forget_refilled(now)
        if not allowed:
            wait = (spent + cost - self._rate) * self._period / self._rate
            raise TooMany("rate-limited", f"Too many requests: at most {self._rate} in {self._period:g} s.", wait)

    def _forget_refilled(self, now: float) -> None:
        for _ in range(FORGOTTEN):
            oldest, (_, since) = next(iter(self._spent.items()))
            if now - since < self._period:
                return
            del self._spent[oldest]


class Backoff:
    """After `free` failures in a row for a key, the wait before each next try doubles; 0 turns it off."""

    def __init__(self, free: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = free
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def attempt(self, key: str) -> None:
        """Counts a try, which has failed until `succeed`. Raises TooMany `rate-limited`, counting nothing."""
        if not self._free:
            return
        now = self._clock()
        failures, until = self._failed.pop(key, (0, now))
        if now - until > FORGIVEN:
            failures = 0
        allowed = now >= until
        if allowed:
            failures += 1
            doublings = min(failures - self._free, 20)
            until = now + (min(FIRST_WAIT * 2**doublings, LONGEST_WAIT) if doublings >= 0 else 0.0)
        self._failed[key] = (failures, until)
        if len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)
        if not allowed:
            raise TooMany("rate-limited", "Too many failed attempts: wait before you try again.", until - now)

    def succeed(self, key: str) -> None:
        """The last try was good: none has failed."""
        self._failed.pop(key, None)


class Places:
    """At most `most` at once, and `most_per_key` for each key; 0 turns a limit off."""

    def __init__(self, most: int, most_per_key: int) -> None:
        self._most = most
        self._most_per_key = most_per_key
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one_of(self, key: str) -> Iterator[None]:
        """Holds a place. Raises Unavailable `full`, TooMany `too-many-streams`."""
        self.check(key)
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]

    def check(self, key: str) -> None:
        """Raises what `one_of` would."""
        if self._most and self._taken.total() >= self._most:
            raise Unavailable("full", "The server is full.", FULL_RETRY)
        if self._most_per_key and self._taken[key] >= self._most_per_key:
            raise TooMany("too-many-streams", "This user has too many open streams.", FULL_RETRY)
