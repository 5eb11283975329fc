"""A lease: what a node works on is its own for as long as it renews that.

Rows of work (AI replies, tasks) carry `node` and `lease_until`; any living node ends those whose lease
ran out (`cluster/leases.py`).
"""

from __future__ import annotations

import secrets

from chatrooms.clock import now_ms
from chatrooms.log.database import Row, Source, Transaction

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


async def renew_leases(tx: Transaction, table: str, node: str, lease_until: int) -> None:
    """Extends the lease of a node on all that it still works on."""
    await tx.execute(f"update {table} set lease_until = $1 where node = $2 and ended_at is null", lease_until, node)


async def orphans(source: Source, table: str, columns: str, node: str, now: int) -> list[Row]:
    """Unfinished work of other nodes whose lease ran out before `now`."""
    sql = f"select {columns} from {table} where ended_at is null and lease_until < $1 and node <> $2"
    return await source.fetch(sql, now, node)
