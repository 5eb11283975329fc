"""The clock of the wire: milliseconds since 1970 (wire contract, section 1)."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def iso(ms: int) -> str:
    """That time as ISO 8601 in UTC, to the millisecond: `2026-01-31T12:00:00.000Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"
