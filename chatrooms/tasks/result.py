"""What a task made, as compressed chunks in the database: every node can give any part of it.

Each chunk holds CHUNK bytes before compression, but for the last, so that a place in the file names its
chunk. They are written and read one at a time, whatever the size of the file.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from chatrooms.clock import now_ms
from chatrooms.errors import NotFound
from chatrooms.storage import results as queries
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.results import StoredResult
from chatrooms.storage.retention import in_steps

CHUNK = 256 << 10  # bytes
LEVEL = 1  # of zlib: the fastest; text of a chat shrinks to a fifth
KEPT = 86_400_000  # milliseconds that a whole result can be fetched
WRITTEN_WITHIN = 600_000  # milliseconds from one chunk to the next; beyond it, whoever wrote is dead
FORGOTTEN_AT_ONCE = 16  # chunks removed in one transaction


class ResultWriter:
    """Writes one result, piece by piece. Raises Unavailable."""

    def __init__(self, database: Database, task_id: str) -> None:
        self._database = database
        self._task_id = task_id
        self._rest = bytearray()
        self._chunks = 0
        self._size = 0

    async def begin(self, room_id: str, format: str) -> None:
        async with self._database.transaction() as tx:
            await queries.begin(tx, self._task_id, room_id, format, now_ms() + WRITTEN_WITHIN)

    async def write(self, data: bytes) -> None:
        """Takes the next bytes; what makes a whole chunk is durable when this returns."""
        self._rest += data
        while len(self._rest) >= CHUNK:
            await self._store(bytes(self._rest[:CHUNK]))
            del self._rest[:CHUNK]

    async def finish(self) -> None:
        """Makes the result whole: from now on it can be fetched."""
        if self._rest:
            await self._store(bytes(self._rest))
        async with self._database.transaction() as tx:
            await queries.finish(tx, self._task_id, self._size, now_ms() + KEPT)

    async def _store(self, data: bytes) -> None:
        packed = await asyncio.to_thread(zlib.compress, data, LEVEL)
        async with self._database.transaction() as tx:
            await queries.add_chunk(tx, self._task_id, self._chunks, packed, now_ms() + WRITTEN_WITHIN)
        self._chunks += 1
        self._size += len(data)


class Results:
    """Reads results, and removes those that have expired."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def writer(self, task_id: str) -> ResultWriter:
        return ResultWriter(self._database, task_id)

    async def find(self, task_id: str) -> StoredResult:
        """A result that is whole. Raises NotFound for one that is not there, or not any more; Unavailable."""
        result = await queries.find(self._database, task_id, now_ms())
        if result is None:
            raise NotFound("not-found", "This task has no result, or none any more.")
        return result

    async def read(self, task_id: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from start up to stop, a chunk at a time. Raises NotFound when they go meanwhile; Unavailable."""
        while start < stop:
            number, offset = divmod(start, CHUNK)
            packed = await queries.chunk(self._database, task_id, number)
            if packed is None:
                raise NotFound("not-found", "This result is not there any more.")
            data = (await asyncio.to_thread(zlib.decompress, packed))[offset : offset + stop - start]
            start += len(data)
            yield data

    async def forget(self) -> None:
        """Removes what has expired, a few chunks in each transaction."""

        async def step(tx: Transaction, most: int) -> int:
            return await queries.forget_some(tx, now_ms(), min(most, FORGOTTEN_AT_ONCE))

        # Under the lock of the log, as the tasks that take their results along: each may change several rows.
        await in_steps(self._database.appending, step)
