"""What a task made, as compressed chunks in the database: every node can give any part of it.

Each chunk holds CHUNK bytes before compression, but for the last, so that a place in the file names its
chunk. They are written and read one at a time, whatever the size of the file.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatrooms.clock import now_ms
from chatrooms.errors import NotFound, TooLarge, Unavailable
from chatrooms.options import Options
from chatrooms.storage import results as queries
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.results import StoredResult
from chatrooms.storage.retention import in_steps
from chatrooms.tasks.task import Task

CHUNK = 256 << 10  # bytes
LEVEL = 1  # of zlib: the fastest; text of a chat shrinks to a fifth
KEPT = 86_400_000  # milliseconds that a whole result can be fetched
WRITTEN_WITHIN = 600_000  # milliseconds from one chunk to the next; beyond it, whoever wrote is dead
FILES = 20  # of one user, that are kept
RETRY_AFTER = 3600.0  # seconds, when there is no room for more
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
        """Takes the next bytes; what makes a whole chunk is durable when this returns."""
        self._rest += data
        if self._most and self.size + len(self._rest) > self._most:
            raise TooLarge("too-large", f"The file would be larger than {self._most} bytes.")
        while len(self._rest) >= CHUNK:
            await self._store(bytes(self._rest[:CHUNK]))
            del self._rest[:CHUNK]

    async def flush(self) -> None:
        """Stores what makes no whole chunk: there is no more."""
        if self._rest:
            await self._store(bytes(self._rest))

    async def _store(self, data: bytes) -> None:
        packed = await asyncio.to_thread(zlib.compress, data, LEVEL)
        async with self._database.appending() as tx:
            there = await queries.add_chunk(tx, self._task_id, self._chunks, packed, now_ms() + WRITTEN_WITHIN)
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
        """Raises Unavailable `full` when no more is kept."""
        if self._most and await queries.chunks(self._database) * CHUNK >= self._most:
            sentence = f"The files of exports take all the {self._most} bytes that they may: try again later."
            raise Unavailable("full", sentence, RETRY_AFTER)

    @asynccontextmanager
    async def written(self, task: Task, room_id: str, format: str) -> AsyncIterator[ResultWriter]:
        """Around the writing of what a task makes: from its end on it can be fetched; if it fails nothing stays.

        Raises TooLarge, Unavailable.
        """
        async with self._database.appending() as tx:
            await queries.begin(tx, task.task_id, room_id, format, now_ms() + WRITTEN_WITHIN)
        writer = ResultWriter(self._database, task.task_id, self._most_per_user)
        try:
            yield writer
            await writer.flush()
            async with self._database.appending() as tx:
                _check(await queries.finish(tx, task.task_id, writer.size, now_ms() + KEPT))
                await self._make_room(tx, task.user_id)
        except BaseException:
            async with self._database.appending() as tx:
                await queries.expire(tx, task.task_id)
            raise

    async def _make_room(self, tx: Transaction, user_id: str) -> None:
        kept = 0
        for number, (task_id, size) in enumerate(await queries.of_user(tx, user_id, now_ms())):
            kept += size
            if number >= FILES or (self._most_per_user and kept > self._most_per_user):
                await queries.expire(tx, task_id)

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
                raise _gone()
            data = (await asyncio.to_thread(zlib.decompress, packed))[offset : offset + stop - start]
            start += len(data)
            yield data

    async def forget(self) -> None:
        """Removes what has expired, a few chunks in each transaction."""

        async def step(tx: Transaction, most: int) -> int:
            return await queries.forget_some(tx, now_ms(), min(most, FORGOTTEN_AT_ONCE))

        # Under the lock of the log, as the tasks that take their results along: each may change several rows.
        await in_steps(self._database, step)


def _check(there: bool) -> None:
    if not there:
        raise _gone()


def _gone() -> NotFound:
    return NotFound("not-found", "This result is not there any more.")
