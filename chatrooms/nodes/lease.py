"""A lease: what a node works on is its own for as long as it renews that.

Rows of work (AI replies, tasks) carry `node` and `lease_until`; any living node ends those whose lease
ran out (`storage/leases.py`).
"""

from __future__ import annotations

import secrets

from chatrooms.clock import now_ms

LEASE = 15.0  # seconds that a node is trusted to live after it was last heard of
LEASE_INTERVAL = LEASE / 3  # seconds between two renewals
EVERYBODY = 1 << 53  # milliseconds since 1970 by which all leases have run out


class Lease:
    """That of this process; `node` is new with each of its lives."""

    def __init__(self) -> None:
        self.node = secrets.token_hex(8)

    def until(self) -> int:
        """When a lease that is taken or renewed now ends, in milliseconds since 1970."""
        return now_ms() + int(LEASE * 1000)

    def run_out(self, alone: bool) -> int:
        """Leases that end before that time are void; when no other node can be alive, all of them."""
        return EVERYBODY if alone else now_ms()
