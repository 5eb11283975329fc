"""The result of a task, as compressed chunks in the database, so that every node can serve any part of it.

Each chunk holds CHUNK bytes before compression, but for the last, so that a place in the file names its
chunk. They are written and read one at a time, whatever the size of the file.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from chatrooms.clock import now_ms
from chatrooms.errors import NotFound, TooLarge, Unavailable
from chatrooms.log.database import Database, Row, Source, Transaction
from chatrooms.log.retention import in_steps
from chatrooms.options import Options
from chatrooms.tasks.task import Task

CHUNK = 256 << 10  # bytes
LEVEL = 1  # of zlib: the fastest; chat text shrinks to a fifth
KEPT = 86_400_000  # milliseconds for which a complete result can be fetched
WRITTEN_WITHIN = 600_000  # milliseconds between two chunks; beyond it the writer counts as dead
FILES = 20  # results kept per user
RETRY_AFTER = 3600.0  # seconds, when there is no space left
FORGOTTEN_AT_ONCE = 16  # chunks removed in one transaction


class ResultWriter:
    """Writes one result, piece by piece; `most` bytes, or any number for 0.

    Raises TooLarge, Unavailable; NotFound when it was removed meanwhile.
    """

    def __init__(self, database: Database, task_id: str, most: int) -> None:
        self._database = database
        self._task_id = task_id
        self._most = most
        self._rest = bytearray()
        self._chunks = 0
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Takes the next bytes; complete chunks are durable when this returns."""
        self._rest += data
        if self._most and self.size + len(self._rest) > self._most:
            raise TooLarge("too-large", f"The file would be larger than {self._most} bytes.")
        while len(self._rest) >= CHUNK:
            await self._store(bytes(self._rest[:CHUNK]))
            del self._rest[:CHUNK]

    async def flush(self) -> None:
        """Stores the last, incomplete chunk."""
        if self._rest:
            await self._store(bytes(self._rest))

    async def _store(self, data: bytes) -> None:
        packed = await asyncio.to_thread(zlib.compress, data, LEVEL)
        async with self._database.appending() as tx:
            there = await add_chunk(tx, self._task_id, self._chunks, packed, now_ms() + WRITTEN_WITHIN)
        _check(there)
        self._chunks += 1
        self.size += len(data)


class Results:
    """Reads results, and removes those that have expired.

    Of one user FILES are kept, of `max-export-bytes-per-user` together: the oldest give way.
    """

    def __init__(self, database: Database, options: Options) -> None:
        self._database = database
        self._most: int = options.max_export_bytes
        self._most_per_user: int = options.max_export_bytes_per_user

    async def check_space(self) -> None:
        """Raises Unavailable `full` when there is no space left."""
        if self._most and await count_chunks(self._database) * CHUNK >= self._most:
            sentence = f"Exports already use all of their {self._most} bytes: try again later."
            raise Unavailable("full", sentence, RETRY_AFTER)

    @asynccontextmanager
    async def written(self, task: Task, room_id: str, format: str) -> AsyncIterator[ResultWriter]:
        """Around the writing of what a task makes: from its end on it can be fetched; if it fails nothing stays.

        Raises TooLarge, Unavailable.
        """
        async with self._database.appending() as tx:
            await begin_result(tx, task.task_id, room_id, format, now_ms() + WRITTEN_WITHIN)
        writer = ResultWriter(self._database, task.task_id, self._most_per_user)
        try:
            yield writer
            await writer.flush()
            async with self._database.appending() as tx:
                _check(await finish_result(tx, task.task_id, writer.size, now_ms() + KEPT))
                await self._make_room(tx, task.user_id)
        except BaseException:
            async with self._database.appending() as tx:
                await expire_result(tx, task.task_id)
            raise

    async def _make_room(self, tx: Transaction, user_id: str) -> None:
        kept = 0
        for number, (task_id, size) in enumerate(await results_of(tx, user_id, now_ms())):
            kept += size
            if number >= FILES or (self._most_per_user and kept > self._most_per_user):
                await expire_result(tx, task_id)

    async def find(self, task_id: str) -> StoredResult:
        """A complete result. Raises NotFound if it does not exist (any more); Unavailable."""
        result = await find_result(self._database, task_id, now_ms())
        if result is None:
            raise NotFound("not-found", "This task has no result, or it has been removed.")
        return result

    async def read(self, task_id: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from start to stop, a chunk at a time. Raises NotFound if removed meanwhile; Unavailable."""
        while start < stop:
            number, offset = divmod(start, CHUNK)
            packed = await find_chunk(self._database, task_id, number)
            if packed is None:
                raise _gone()
            data = (await asyncio.to_thread(zlib.decompress, packed))[offset : offset + stop - start]
            start += len(data)
            yield data

    async def forget(self) -> None:
        """Removes expired results, a few chunks per transaction."""

        async def step(tx: Transaction, most: int) -> int:
            return await forget_some_results(tx, now_ms(), min(most, FORGOTTEN_AT_ONCE))

        # Under the lock of the log, as the tasks that take their results along: each may change several rows.
        await in_steps(self._database, step)


def _check(there: bool) -> None:
    if not there:
        raise _gone()


def _gone() -> NotFound:
    return NotFound("not-found", "This result has been removed.")


class StoredResult(NamedTuple):
    """A complete result. `size` is in bytes, uncompressed."""

    room_id: str
    format: str
    size: int


async def begin_result(tx: Transaction, task_id: str, room_id: str, format: str, expires_at: int) -> None:
    sql = "insert into results (task_id, room_id, format, expires_at) values ($1, $2, $3, $4)"
    await tx.execute(sql, task_id, room_id, format, expires_at)


async def add_chunk(tx: Transaction, task_id: str, number: int, data: bytes, expires_at: int) -> bool:
    """False if the result was or is to be removed meanwhile: nothing would ever remove an orphaned chunk."""
    sql = "update results set expires_at = $1 where task_id = $2 and expires_at > 0 returning 1"
    if not await tx.fetch(sql, expires_at, task_id):
        return False
    await tx.execute("insert into result_chunks values ($1, $2, $3)", task_id, number, data)
    return True


async def finish_result(tx: Transaction, task_id: str, size: int, expires_at: int) -> bool:
    """False if the result was or is to be removed meanwhile."""
    sql = "update results set size = $1, expires_at = $2 where task_id = $3 and expires_at > 0 returning 1"
    return bool(await tx.fetch(sql, size, expires_at, task_id))


async def expire_result(tx: Transaction, task_id: str) -> None:
    """Marks a result to be removed with the expired ones."""
    await tx.execute("update results set expires_at = 0 where task_id = $1", task_id)


async def results_of(tx: Transaction, user_id: str, now: int) -> list[Row]:
    """The complete results of a user's tasks, newest first, as (task_id, size)."""
    sql = """select r.task_id, r.size from results r join tasks t on t.task_id = r.task_id
        where t.user_id = $1 and r.size is not null and r.expires_at > $2
        order by r.expires_at desc, t.created_at desc"""
    return await tx.fetch(sql, user_id, now)


async def count_chunks(source: Source) -> int:
    """The number of chunks of all results."""
    return int((await source.fetch("select count(*) from result_chunks"))[0][0])


async def find_result(source: Source, task_id: str, now: int) -> StoredResult | None:
    """A complete result that has not expired."""
    sql = "select room_id, format, size from results where task_id = $1 and size is not null and expires_at > $2"
    rows = await source.fetch(sql, task_id, now)
    return StoredResult(*rows[0]) if rows else None


async def find_chunk(source: Source, task_id: str, number: int) -> bytes | None:
    sql = "select data from result_chunks where task_id = $1 and number = $2"
    rows = await source.fetch(sql, task_id, number)
    return bytes(rows[0][0]) if rows else None


async def forget_some_results(tx: Transaction, now: int, most: int) -> int:
    """Removes up to that many chunks of expired results, and results without chunks; returns how many."""
    rows = await tx.fetch(
        "select c.task_id, c.number from results r join result_chunks c on c.task_id = r.task_id "
        "where r.expires_at <= $1 limit $2", now, most,
    )  # fmt: skip
    if rows:
        await tx.executemany("delete from result_chunks where task_id = $1 and number = $2", rows)
        return len(rows)
    await tx.execute("delete from results where expires_at <= $1", now)
    return 0
