"""Rate limits, and the quotas of users: what each may do in a given time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chatrooms.errors import TooMany
from chatrooms.identity import Identity
from chatrooms.options import Options

REMEMBERED = 20_000  # keys; the least recently used are forgotten first
FORGOTTEN = 2  # refilled keys dropped per counted key, so that they go faster than they come
FIRST_WAIT = 5.0  # seconds to the next attempt after the last free one has failed
LONGEST_WAIT = 900.0  # seconds, however many attempts have failed
FORGIVEN = 3600.0  # seconds after the last failure and its wait until failures are forgotten


class RateLimit:
    """At most `rate` per `period` seconds for each key; 0 turns it off.

    A token bucket: an idle key may spend all of `rate` at once; then it refills evenly.
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
    """After `free` consecutive failures for a key, the wait before each further attempt doubles; 0 turns it off."""

    def __init__(self, free: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = free
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def attempt(self, key: str) -> None:
        """Counts an attempt, as failed until `succeed` is called. Raises TooMany `rate-limited`, counting nothing."""
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
        """Counts the last attempt as successful: earlier failures are forgotten."""
        self._failed.pop(key, None)


MESSAGE_PERIOD = 10.0  # seconds in which `message-rate` counts
STREAM_PERIOD = 10.0  # seconds in which `stream-rate` counts
ROOM_PERIOD = 3600.0
REPLY_PERIOD = 60.0
TASK_PERIOD = 10.0
SIGNOUTS = 60  # per user and minute: a user signed in by an embedding program may sign out with each request
EXPORT_PERIOD = 3600.0


class Quotas:
    """Counts by user; service and admin are exempt. All methods raise TooMany."""

    def __init__(self, options: Options) -> None:
        self._messages = RateLimit(options.message_rate, MESSAGE_PERIOD)
        self._streams = RateLimit(options.streams_a_period, STREAM_PERIOD)
        self._refusals = RateLimit(options.streams_a_period, STREAM_PERIOD)
        self._rooms = RateLimit(options.room_rate, ROOM_PERIOD)
        self._joined = RateLimit(options.room_rate, ROOM_PERIOD)
        self._replies = RateLimit(options.replies_a_minute, REPLY_PERIOD)
        self._signouts = RateLimit(SIGNOUTS, 60.0)
        self._tasks = RateLimit(options.task_rate, TASK_PERIOD)
        self._exports = RateLimit(options.export_rate, EXPORT_PERIOD)

    def write(self, who: Identity, count: int = 1) -> None:
        """Counts messages in rooms and sessions, edits and deletions, and moderation: one limit for all of them."""
        self._spend(self._messages, who, count)

    def open_stream(self, who: Identity) -> None:
        """Counts a stream, or a poll."""
        self._spend(self._streams, who)

    def refuse_softly(self, who: Identity) -> None:
        """Counts a soft refusal: a reader that ignores the retry time and keeps coming back gets a hard one."""
        self._spend(self._refusals, who)

    def make_room(self, who: Identity) -> None:
        """Counts a new room, or a session that had no owner."""
        self._spend(self._rooms, who)

    def join_unmade_room(self, user_id: str) -> None:
        """Counts a room that a user joins before it exists: its row stays. For users that are not exempt."""
        self._joined.spend(user_id)

    def reply(self, who: Identity) -> None:
        """Counts a reply to be generated."""
        self._spend(self._replies, who)

    def sign_out(self, who: Identity) -> None:
        """Counts a sign-out: each is remembered until its tokens have expired."""
        self._spend(self._signouts, who)

    def change_task(self, who: Identity) -> None:
        """Counts a new task or a change to one: each is a commit."""
        self._spend(self._tasks, who)

    def export(self, who: Identity) -> None:
        """Counts an export: each reads a whole room."""
        self._spend(self._exports, who)

    def _spend(self, limit: RateLimit, who: Identity, cost: int = 1) -> None:
        if not who.trusted:
            limit.spend(who.user_id, cost)
