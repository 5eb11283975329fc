"""Everything that can go wrong for a caller, as one closed tree.

The domain raises these; `http/base.py` alone turns them into HTTP: `status`, and the body
`{"error": <one sentence for a person>, "code": <stable slug>}`. Clients decide by `code`, so codes
are a closed catalogue: a problem with a code that is not listed here cannot be made.
"""

from __future__ import annotations

# The codes of answers, by their HTTP status. 429 and 503 have Retry-After; 500 should never be seen.
STATUSES: dict[int, tuple[str, ...]] = {
    400: ("bad-request", "bad-json", "bad-field", "bad-id", "empty-message"),
    401: (
        "token-missing", "token-invalid", "token-expired", "token-revoked", "refresh-invalid", "ticket-invalid",
        "credentials-invalid",
    ),
    403: (
        "forbidden", "user-mismatch", "username-mismatch", "guests-off", "account-disabled", "not-author", "banned",
        "muted", "bad-host", "bad-origin",
    ),
    404: ("not-found",),
    405: ("method-not-allowed",),
    409: ("replaced-too-often", "too-many-subscriptions", "conflict", "name-taken"),
    413: ("too-large",),
    415: ("unsupported-media-type",),
    416: ("bad-range",),
    429: ("rate-limited", "slow-mode", "too-many-streams", "too-many-replies", "too-many-tasks"),
    500: ("internal",),
    503: ("full", "draining", "unavailable"),
}  # fmt: skip

# Codes of replies, sent in their stream.
REPLY_CODES = ("ai-unreachable", "ai-rejected", "ai-busy", "ai-failed", "ai-cut", "ai-timeout", "interrupted")

CODES = frozenset((*REPLY_CODES, *(code for codes in STATUSES.values() for code in codes)))


class Problem(Exception):
    """A request that cannot be answered as asked.

    Attributes: `status` the HTTP status code; `code` the stable slug; `sentence` the text for a
    person; `retry_after` seconds after which the same request may succeed, or None.
    """

    status = 500

    def __init__(self, code: str, sentence: str, retry_after: float | None = None) -> None:
        if code not in CODES:
            raise ValueError(f"unlisted error code {code!r}")
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.retry_after = retry_after


class BadRequest(Problem):
    status = 400


class Unauthorized(Problem):
    status = 401


class Forbidden(Problem):
    status = 403


class NotFound(Problem):
    status = 404


class Conflict(Problem):
    status = 409


class TooLarge(Problem):
    status = 413


class UnsupportedMediaType(Problem):
    status = 415


class TooMany(Problem):
    """Over a limit that lifts with time; always has `retry_after`."""

    status = 429


class Unavailable(Problem):
    """Full, draining, or without its database; always has `retry_after`."""

    status = 503


class ConfigError(Exception):
    """A setting that prevents the start: one clear line, exit status 2, on which a supervisor gives up."""


class StartFailure(ConfigError):
    """A failure to start that may pass: one clear line, exit status 1, on which a supervisor tries again."""
