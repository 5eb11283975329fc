"""Queries about what tasks have made. Times are in milliseconds since 1970."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.storage.database import Row, Source, Transaction


class StoredResult(NamedTuple):
    """A result that is whole. `size` is in bytes, before they are compressed."""

    room_id: str
    format: str
    size: int


async def begin(tx: Transaction, task_id: str, room_id: str, format: str, expires_at: int) -> None:
    sql = "insert into results (task_id, room_id, format, expires_at) values ($1, $2, $3, $4)"
    await tx.execute(sql, task_id, room_id, format, expires_at)


async def add_chunk(tx: Transaction, task_id: str, number: int, data: bytes, expires_at: int) -> bool:
    """False when the result was removed meanwhile, or is to be: what no result holds, nobody would ever remove."""
    sql = "update results set expires_at = $1 where task_id = $2 and expires_at > 0 returning 1"
    if not await tx.fetch(sql, expires_at, task_id):
        return False
    await tx.execute("insert into result_chunks values ($1, $2, $3)", task_id, number, data)
    return True


async def finish(tx: Transaction, task_id: str, size: int, expires_at: int) -> bool:
    """False when the result was removed meanwhile, or is to be."""
    sql = "update results set size = $1, expires_at = $2 where task_id = $3 and expires_at > 0 returning 1"
    return bool(await tx.fetch(sql, size, expires_at, task_id))


async def expire(tx: Transaction, task_id: str) -> None:
    """Has a result removed with those that have expired."""
    await tx.execute("update results set expires_at = 0 where task_id = $1", task_id)


async def of_user(tx: Transaction, user_id: str, now: int) -> list[Row]:
    """The whole results of a user's tasks, newest first, as (task_id, size)."""
    sql = """select r.task_id, r.size from results r join tasks t on t.task_id = r.task_id
        where t.user_id = $1 and r.size is not null and r.expires_at > $2
        order by r.expires_at desc, t.created_at desc"""
    return await tx.fetch(sql, user_id, now)


async def chunks(source: Source) -> int:
    """How many chunks there are, of all results."""
    return int((await source.fetch("select count(*) from result_chunks"))[0][0])


async def find(source: Source, task_id: str, now: int) -> StoredResult | None:
    """A whole result that has not expired."""
    sql = "select room_id, format, size from results where task_id = $1 and size is not null and expires_at > $2"
    rows = await source.fetch(sql, task_id, now)
    return StoredResult(*rows[0]) if rows else None


async def chunk(source: Source, task_id: str, number: int) -> bytes | None:
    sql = "select data from result_chunks where task_id = $1 and number = $2"
    rows = await source.fetch(sql, task_id, number)
    return bytes(rows[0][0]) if rows else None


async def forget_some(tx: Transaction, now: int, most: int) -> int:
    """Removes up to that many chunks of results that have expired, and results without any; says how many."""
    rows = await tx.fetch(
        "select c.task_id, c.number from results r join result_chunks c on c.task_id = r.task_id "
        "where r.expires_at <= $1 limit $2", now, most,
    )  # fmt: skip
    if rows:
        await tx.executemany("delete from result_chunks where task_id = $1 and number = $2", rows)
        return len(rows)
    await tx.execute("delete from results where expires_at <= $1", now)
    return 0
