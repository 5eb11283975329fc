"""A subscription as it was asked for: by whom and of what, or why not. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from chatrooms import sse
from chatrooms.errors import Problem
from chatrooms.identity.tokens import Identity
from chatrooms.rooms.seat import Wish


class Refusal(NamedTuple):
    """Why a subscription is not to be had; `retry_after` in seconds, 0 when waiting does not help."""

    status: int
    code: str
    sentence: str
    retry_after: float

    @classmethod
    def of(cls, problem: Problem) -> Refusal:
        return cls(problem.status, problem.code, problem.sentence, problem.retry_after or 0.0)

    def problem(self) -> Problem:
        """The same, to be raised."""
        problem = Problem(self.code, self.sentence, self.retry_after)
        problem.status = self.status
        return problem

    def event(self, key: str) -> bytes:
        """The event `refused` of a stream with several subscriptions."""
        data = {"key": key, "status": self.status, "code": self.code, "error": self.sentence}
        if self.retry_after:
            data["retryAfter"] = self.retry_after
        return sse.encode(msgspec.json.encode(data), "refused")


class Subscription(NamedTuple):
    """A stream that is wanted on a connection under a key; `who` has been verified."""

    key: str
    wish: Wish
    who: Identity | Refusal
