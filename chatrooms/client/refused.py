"""What the server says when it says no."""

from __future__ import annotations

import json


class Refused(Exception):
    """The server said no: `status`, `code` and a sentence; `retry_after` in seconds, 0 when it named no time."""

    def __init__(self, status: int, code: str, sentence: str, retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.retry_after = retry_after

    @classmethod
    def of(cls, status: int, body: bytes, retry_after: str) -> Refused:
        """What an answer with that status says; also one that some proxy made."""
        try:
            problem = json.loads(body)
            sentence, code = problem["error"], problem["code"]
        except (ValueError, KeyError, TypeError):
            sentence, code = f"The server answered {status}.", "unknown"
        return cls(status, code, sentence, float(retry_after) if retry_after.isdigit() else 0.0)

    @property
    def transient(self) -> bool:
        """Whether the same may succeed later: over a rate, full, draining, or a proxy without its server."""
        return self.status in (429, 502, 503, 504)
