"""Rate limits."""

from __future__ import annotations

import pytest

from chatrooms.errors import TooMany
from chatrooms.limits import FORGIVEN, LONGEST_WAIT, REMEMBERED, Backoff, RateLimit


class Clock:
    """A time that passes when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_may_be_used_at_once_and_refills_evenly() -> None:
    """After half the period half of it is there again."""
    clock = Clock()
    limit = RateLimit(10, 10.0, clock)
    limit.spend("a", 10)
    with pytest.raises(TooMany) as refused:
        limit.spend("a")
    assert refused.value.retry_after == pytest.approx(1.0)
    clock.now += 5
    limit.spend("a", 5)
    with pytest.raises(TooMany):
        limit.spend("a")


def test_refusal_counts_nothing() -> None:
    """Who is refused is not put back further."""
    clock = Clock()
    limit = RateLimit(2, 10.0, clock)
    limit.spend("a", 2)
    for _ in range(10):
        with pytest.raises(TooMany):
            limit.spend("a")
    clock.now += 5
    limit.spend("a")


def test_keys_do_not_share() -> None:
    """One user's haste is not another's."""
    limit = RateLimit(1, 10.0, Clock())
    limit.spend("a")
    limit.spend("b")
    with pytest.raises(TooMany):
        limit.spend("a")


def test_keys_that_have_refilled_are_forgotten() -> None:
    """Nobody is remembered forever because of one request; who is over the limit stays so."""
    clock = Clock()
    limit = RateLimit(2, 10.0, clock)
    for number in range(1000):
        limit.spend(f"visitor-{number}")
    clock.now += 9.0
    limit.spend("hasty", 2)
    clock.now += 1.0
    for number in range(1000):
        limit.spend(f"visitor-{number % 3}", 0)
        with pytest.raises(TooMany):
            limit.spend("hasty", 2)
    assert limit._spent.keys() == {"visitor-0", "visitor-1", "visitor-2", "hasty"}


def test_zero_turns_it_off() -> None:
    """As for every limit."""
    limit = RateLimit(0, 10.0, Clock())
    for _ in range(1000):
        limit.spend("a", 1000)


def test_least_recently_used_key_is_forgotten() -> None:
    """Memory is bounded whatever keys come."""
    limit = RateLimit(1, 1e9, Clock())
    for number in range(REMEMBERED + 1):
        limit.spend(str(number))
    limit.spend("0")
    with pytest.raises(TooMany):
        limit.spend(str(REMEMBERED))


def test_wait_doubles_after_free_failures() -> None:
    """Up to a bound; who comes too early is not put back further."""
    clock = Clock()
    backoff = Backoff(3, clock)
    for _ in range(3):
        backoff.attempt("a")
    for wait in (5.0, 10.0, 20.0, 40.0):
        for _ in range(3):
            with pytest.raises(TooMany) as refused:
                backoff.attempt("a")
            assert refused.value.retry_after == pytest.approx(wait)
        backoff.attempt("b" * int(wait))
        clock.now += wait
        backoff.attempt("a")
    for _ in range(30):
        clock.now += LONGEST_WAIT
        backoff.attempt("a")


def test_failures_are_forgiven() -> None:
    """By a success, and by time."""
    clock = Clock()
    backoff = Backoff(2, clock)
    for _ in range(10):
        backoff.attempt("a")
        backoff.succeed("a")
    backoff.attempt("a")
    backoff.attempt("a")
    clock.now += FORGIVEN + 6
    backoff.attempt("a")
    backoff.attempt("a")
    with pytest.raises(TooMany):
        backoff.attempt("a")


def test_failures_that_are_remembered_are_bounded() -> None:
    """Whatever keys come."""
    backoff = Backoff(1, Clock())
    for number in range(REMEMBERED + 1):
        backoff.attempt(str(number))
    backoff.attempt("0")
    with pytest.raises(TooMany):
        backoff.attempt(str(REMEMBERED))


def test_no_free_failures_turn_it_off() -> None:
    """As for every limit."""
    backoff = Backoff(0, Clock())
    for _ in range(1000):
        backoff.attempt("a")
