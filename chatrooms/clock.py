"""The clock of the wire: milliseconds since 1970 (wire contract, section 1)."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
