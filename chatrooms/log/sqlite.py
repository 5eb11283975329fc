"""SQLite: one file in WAL mode, one connection that writes, one that reads.

Several workers may share the file: the write lock is the lock of the log, and whoever waits for it looks again
every millisecond. SQLite itself would wait longer and longer, while others write one group after the other.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import aiosqlite

from chatrooms.errors import ConfigError, StartFailure, Unavailable
from chatrooms.log.database import Row, Transaction, migrations

_Statement = tuple[str, list[Sequence[object]]]
T = TypeVar("T")

BUSY_TIMEOUT = 5.0  # seconds to wait for another program's write lock on an SQLite file
TURN_TIMEOUT = 5.0  # seconds to wait for earlier writes of this process

WORKERS_TIMEOUT = 1  # milliseconds that one attempt to begin waits for another worker
WAL_PATIENCE = 100  # milliseconds that emptying the write-ahead log waits for other workers

WAL_LOOK = 2.0  # seconds between two copies of the write-ahead log into the file
WAL_AGE = 30.0  # seconds for which deleted text may remain in it
WAL_PAGES = 8_000  # beyond which it is restarted
MOST_WAL_PAGES = 25_600  # beyond which a commit copies it, because nothing else could

MOST_ROWS = 128  # in one statement

_PLACE = re.compile(r"\$(\d+)")

log = logging.getLogger(__name__)


class SQLite:
    """An SQLite file in WAL mode: one connection that writes, one that reads.

    Every commit is on disk before it returns (`synchronous=FULL`). Deleted text is overwritten in
    the file (`secure_delete`). `shared` says whether other workers write to it, too.
    """

    now = "cast((julianday('now') - 2440587.5) * 86400000 as integer)"

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.shared = shared
        self._path = path
        self._turn = asyncio.Lock()
        self._closed = False

    async def open(self) -> None:
        """Opens the file, makes or upgrades its schema. Raises ConfigError; StartFailure when it is locked."""
        try:
            self._writer = await self._connect()
            await self._migrate()
            self._reader = await self._connect()
            if self.shared:
                await self._writer.execute(f"pragma busy_timeout={WORKERS_TIMEOUT}")
        except sqlite3.Error as error:
            held = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise (StartFailure if held else ConfigError)(f"cannot open the database {self._path}: {error}") from None
        self._emptying = asyncio.create_task(self._keep_wal_short())
        self._version = -1
        await self.changed_elsewhere()

    async def close(self) -> None:
        self._closed = True
        self._emptying.cancel()
        await asyncio.wait([self._emptying])
        async with self._turn:
            await self._reader.close()
            await self._writer.close()

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """The rows of a query, as of the last commit. Raises Unavailable."""
        try:
            return await _fetch(self._reader, sql, args)
        except sqlite3.OperationalError as error:
            raise _away(error) from error
        except (sqlite3.ProgrammingError, ValueError) as error:
            if not self._closed:
                raise
            raise _away(error) from error  # the database was closed meanwhile

    async def changed_elsewhere(self) -> bool:
        """Whether another program has committed since the last call."""
        # Seen from the writing connection, only other programs change this number.
        ((version,),) = await _fetch(self._writer, "pragma data_version", ())
        before, self._version = self._version, version
        return bool(before != version)

    @asynccontextmanager
    async def transaction(self, durable: bool = True) -> AsyncIterator[Transaction]:
        """One write transaction at a time: committed on leaving, rolled back on an exception.

        Raises Unavailable when the file is locked for too long, the disk is full or fails.
        """
        await self._take_turn()
        tx = _SQLiteTransaction(self._writer, partial(_begin_among_workers, durable) if self.shared else _begin)
        try:
            yield tx
            await tx.commit()
        except sqlite3.OperationalError as error:
            await tx.roll_back()
            raise _away(error) from error
        except BaseException:
            await tx.roll_back()
            raise
        finally:
            self._turn.release()

    def appending(self) -> AbstractAsyncContextManager[Transaction]:
        """The same: there is one writer at a time."""
        return self.transaction()

    async def _keep_wal_short(self) -> None:
        """Copies the write-ahead log into the file, where deleted text is overwritten, alongside the writes."""
        emptied = time.monotonic()
        while True:
            await asyncio.sleep(WAL_LOOK)
            try:
                pages = await asyncio.to_thread(_copy_back, self._path)
                if not pages or time.monotonic() - emptied > WAL_AGE:
                    if not pages or await self._begin_wal("truncate"):
                        emptied = time.monotonic()
                elif pages > WAL_PAGES:
                    await self._begin_wal("passive")  # a log that is not truncated need not grow again
            except Exception as error:  # tried again at the next look
                log.debug("the write-ahead log is not emptied yet: %s", error)

    async def _begin_wal(self, how: str) -> bool:
        """Restarts the log; false if another program is reading or writing. Raises Unavailable."""
        await asyncio.to_thread(_copy_back, self._path)  # what came meanwhile, or the lock is held for it
        await self._take_turn()
        try:
            # By the connection that reads: then neither it nor the other one is at work.
            patience = WAL_PATIENCE if self.shared else 0
            return await self._reader.run(lambda connection: _checkpoint(connection, how, patience))
        finally:
            self._turn.release()

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(TURN_TIMEOUT):
                await self._turn.acquire()
        except TimeoutError as error:
            raise _away(error) from error

    async def _connect(self) -> _Connection:
        connection = _Connection(partial(sqlite3.connect, self._path, BUSY_TIMEOUT, isolation_level=None), 64)
        # Or a server left open would keep its process from ending.
        connection._thread.daemon = True
        await connection
        for pragma in (
            "journal_mode=wal", "synchronous=full", "secure_delete=on", "cache_size=-16384",
            f"wal_autocheckpoint={MOST_WAL_PAGES}",
        ):  # fmt: skip
            await connection.execute(f"pragma {pragma}")
        return connection

    async def _migrate(self) -> None:
        await self._writer.execute(
            "create table if not exists migrations (number integer primary key, applied_at integer not null)"
        )
        done = {number for (number,) in await _fetch(self._writer, "select number from migrations", ())}
        for number, script in migrations("sqlite"):
            if number not in done:
                applied = f"insert into migrations values ({number}, {int(time.time())});"
                await self._writer.executescript(f"begin immediate; {script} {applied} commit;")


class _Connection(aiosqlite.Connection):
    """Runs whole pieces of work in aiosqlite's thread: each round trip costs a turn of the loop."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return result


class _SQLiteTransaction:
    """Holds writes back until a query needs them, or the commit: mostly all go in one piece of work.

    So the file is locked for as short as can be, never while the event loop does something else
    but for transactions that query. A write that fails is raised by the query or the commit after it.
    """

    def __init__(self, connection: _Connection, begin: Callable[[sqlite3.Connection], None]) -> None:
        self._connection = connection
        self._begin = begin
        self._held: list[_Statement] = []
        self._begun = False

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        return await self._run(lambda connection: connection.execute(_numbered(sql), args).fetchall())

    async def execute(self, sql: str, *args: object) -> None:
        self._held.append((_numbered(sql), [args]))

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._held.append((_numbered(sql), [*rows]))

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Many rows to a statement: sqlite3 gives up the interpreter's lock at each, and waits for its turn again."""
        start = 0
        while start < len(rows):
            count = min(MOST_ROWS, 1 << (len(rows) - start).bit_length() - 1)  # few sizes: statements are kept by text
            values = [value for row in rows[start : start + count] for value in row]
            self._held.append((_inserting(table, tuple(columns), count), [values]))
            start += count

    async def commit(self) -> None:
        if self._begun or self._held:
            await self._run(lambda connection: connection.execute("commit"))

    async def roll_back(self) -> None:
        """Rolls back. A failed commit (disk full) may already have done so."""
        if self._begun:
            with suppress(sqlite3.OperationalError):
                await self._connection.run(lambda connection: connection.execute("rollback"))

    async def _run(self, last: Callable[[sqlite3.Connection], T]) -> T:
        held, self._held = self._held, []
        begin, self._begun = None if self._begun else self._begin, True
        # Not a partial: aiosqlite logs what it runs, and a partial shows what it was given.
        return await self._connection.run(lambda connection: _work(held, begin, last, connection))


def _work(
    statements: Sequence[_Statement],
    begin: Callable[[sqlite3.Connection], None] | None,
    last: Callable[[sqlite3.Connection], T],
    connection: sqlite3.Connection,
) -> T:
    """In the connection's thread: begins if need be, runs the statements, then the last."""
    if begin is not None:
        begin(connection)
    for sql, rows in statements:
        connection.executemany(sql, rows)
    return last(connection)


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("begin immediate")


def _begin_among_workers(durable: bool, connection: sqlite3.Connection) -> None:
    """Begins as soon as no other worker writes. A commit that need not be durable does not wait for the disk."""
    connection.execute(f"pragma synchronous={'full' if durable else 'normal'}")
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            return _begin(connection)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise


def _copy_back(path: Path) -> int:
    """Copies the write-ahead log into the file while others write; how many pages it has."""
    if not path.with_name(path.name + "-wal").stat().st_size:
        return 0
    with closing(sqlite3.connect(path, 0)) as connection:
        ((_, pages, _),) = connection.execute("pragma wal_checkpoint(passive)").fetchall()
    return int(pages)


def _checkpoint(connection: sqlite3.Connection, how: str, patience: int) -> bool:
    """Waits for other programs for so many milliseconds: the lock is ours meanwhile."""
    connection.execute(f"pragma busy_timeout={patience}")
    try:
        ((busy, _, _),) = connection.execute(f"pragma wal_checkpoint({how})").fetchall()
    finally:
        connection.execute(f"pragma busy_timeout={int(BUSY_TIMEOUT * 1000)}")
    return not busy


async def _fetch(connection: aiosqlite.Connection, sql: str, args: Sequence[object]) -> list[Row]:
    return list(await connection.execute_fetchall(_numbered(sql), args))  # type: ignore[arg-type]


def _away(error: Exception) -> Exception:
    """Unavailable, for callers to retry; except for a mistake in a statement, which stays what it is."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return error
    log.warning("the database fails: %s", error or "its writes take too long")
    return Unavailable("unavailable", "The database does not answer right now.", retry_after=1)


@lru_cache(100)
def _inserting(table: str, columns: tuple[str, ...], count: int) -> str:
    """The statement that adds that many rows."""
    row = f"({', '.join('?' * len(columns))})"
    return f"insert into {table} ({', '.join(columns)}) values {', '.join([row] * count)}"


@lru_cache(1000)
def _numbered(sql: str) -> str:
    """With `?1` for `$1`, which to SQLite is a name: values by place need no dictionary for each row."""
    return _PLACE.sub(r"?\1", sql)
