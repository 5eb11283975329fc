"""Queries about the nodes of a shared database, and who is in which room on which of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chatrooms.storage.database import Database, Transaction

_NOW = "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)"
_ASYNCHRONOUS = "set local synchronous_commit = off"  # the nodes that live write again what a crash takes


class Whereabouts(NamedTuple):
    """One member of one room, on one node."""

    node: str
    room_id: str
    user_id: str
    username: str


async def beat(tx: Transaction, node: str) -> bool:
    """Renews a node's lease; false when it had none, so that what is written of it may be gone."""
    await tx.execute(_ASYNCHRONOUS)
    if await tx.fetch(f"update nodes set seen_at = {_NOW} where node = $1 returning 1", node):
        return True
    await tx.execute(f"insert into nodes (node, seen_at) values ($1, {_NOW})", node)
    return False


async def nodes(database: Database) -> dict[str, int]:
    """When each node was last seen."""
    return {node: seen_at for node, seen_at in await database.fetch("select node, seen_at from nodes")}


async def bury(tx: Transaction, node: str, seen_at: int) -> bool:
    """Removes a node that has not been seen since; false when it has, or another was quicker."""
    if not await tx.fetch("delete from nodes where node = $1 and seen_at = $2 returning 1", node, seen_at):
        return False
    await tx.execute("delete from presence where node = $1", node)
    return True


async def write(tx: Transaction, come: Sequence[tuple[Whereabouts, bool]], gone: Sequence[Whereabouts]) -> None:
    await tx.execute(_ASYNCHRONOUS)
    sql = """insert into presence values ($1, $2, $3, $4, $5)
        on conflict (node, room_id, user_id, username) do update set guest = excluded.guest"""
    await tx.executemany(sql, [(*row, int(guest)) for row, guest in come])
    sql = "delete from presence where node = $1 and room_id = $2 and user_id = $3 and username = $4"
    await tx.executemany(sql, gone)


async def elsewhere(database: Database, node: str, after: Whereabouts, limit: int) -> list[tuple[Whereabouts, bool]]:
    """The next who are on other nodes, in order, after one; and whether they are guests."""
    sql = (
        "select node, room_id, user_id, username, guest from presence where node <> $1 "
        "and (node, room_id, user_id, username) > ($2, $3, $4, $5) order by node, room_id, user_id, username limit $6"
    )
    return [(Whereabouts(*row[:4]), bool(row[4])) for row in await database.fetch(sql, node, *after, limit)]
