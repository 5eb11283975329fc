"""PostgreSQL: a pool for reading and short writes, and one connection that appends to the log.

All write transactions run under an advisory lock, taken before anything is read: one for the log,
one for all else. So what is written here behaves as on SQLite, whatever the number of nodes. Each
lock is taken in a statement of its own: under READ COMMITTED the next one sees all that was
committed by the previous holder of the lock.

Nobody takes both, and each table is written under one of them only: that of the log has the events
and all that the commands of appends write (rooms, tasks, replies, sign-ins, …), the other one what
no append touches (tickets, nodes, presence). So no two transactions of ours ever wait for each
other's rows, and none can be a deadlock.

A node that stops in the middle (a paused machine, a lost network) must not stop the others:
PostgreSQL ends a transaction that is idle for IDLE_TIMEOUT, and nobody waits longer than
LOCK_TIMEOUT for a lock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from asyncpg import exceptions

from chatrooms.errors import ConfigError, StartFailure, Unavailable
from chatrooms.log.database import Row, Transaction, inserting, migrations

POOL_SIZE = 8  # connections per node, besides the one that appends
FEW = 24  # rows inserted one by one; beyond it COPY takes half the time
LOCK_TIMEOUT = 2.0  # seconds
IDLE_TIMEOUT = 2.0  # seconds for which a transaction may be idle
CONNECT_TIMEOUT = 5.0
COMMAND_TIMEOUT = 10.0  # seconds for one statement; detects dead connections, too
TURN_TIMEOUT = 5.0  # seconds to wait for a connection of the pool, or for the append before
ROLLBACK_TIMEOUT = 2.0
UPGRADE_TIMEOUT = 3600.0  # seconds for one migration, or to wait for the node that upgrades: indexes of large tables
IDLE_CONNECTION = 300.0  # seconds until a connection that nobody uses is closed

# Advisory locks of this program in its database.
LOG_LOCK = 0x63686174_00000001
WRITE_LOCK = 0x63686174_00000002
MIGRATION_LOCK = 0x63686174_00000003
RING_LOCK = 0x63686174_00000004  # held while ringing for the outbox, in migration 0005

# Errors of the server, not of the statement: a retry may succeed.
_AWAY = (
    exceptions.PostgresConnectionError,
    exceptions.OperatorInterventionError,
    exceptions.InsufficientResourcesError,
    exceptions.ObjectNotInPrerequisiteStateError,  # lock_timeout
    exceptions.InvalidTransactionStateError,  # idle_in_transaction_session_timeout, a read-only standby
    exceptions.TransactionRollbackError,
    exceptions.PostgresSystemError,
    exceptions.InternalServerError,
    exceptions.InterfaceError,
    exceptions.InternalClientError,
    OSError,
    TimeoutError,
)

log = logging.getLogger(__name__)


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection returned to the pool as it is: nothing here changes its state."""

    def get_reset_query(self) -> str:
        return ""


class PostgreSQL:
    """A database on a PostgreSQL server, which any number of nodes may share."""

    shared = True
    now = "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)"

    def __init__(self, url: str) -> None:
        self._url = url
        self._appender: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Connects, and creates or upgrades the schema. Raises ConfigError; StartFailure when it does not answer."""
        try:
            await self._migrate()
            self._pool = await asyncpg.create_pool(
                self._url, min_size=0, max_size=POOL_SIZE, max_inactive_connection_lifetime=IDLE_CONNECTION,
                connection_class=_Connection, **_settings(),
            )  # fmt: skip
        except (exceptions.PostgresError, *_AWAY, ValueError) as error:
            away = isinstance(error, _AWAY) and not isinstance(error, ValueError)
            kind = StartFailure if away else ConfigError
            raise kind(f"cannot open the database: {error or type(error).__name__}") from None

    async def close(self) -> None:
        """Closes all connections after the transactions in progress."""
        async with self._turn:
            await _end(self._appender)
        try:
            await asyncio.wait_for(self._pool.close(), TURN_TIMEOUT)
        except (*_AWAY, exceptions.PostgresError):
            self._pool.terminate()

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """The rows of a query, as of the last commit. Raises Unavailable."""
        with _mapped():
            async with self._pool.acquire(timeout=TURN_TIMEOUT) as connection:
                return _rows(await connection.fetch(sql, *args))

    @asynccontextmanager
    async def transaction(self, durable: bool = True) -> AsyncIterator[Transaction]:
        """One write transaction at a time, over all nodes, for tables that no append writes. Raises Unavailable."""
        with _mapped():
            async with self._pool.acquire(timeout=TURN_TIMEOUT) as connection, _begun(connection, WRITE_LOCK) as tx:
                if not durable:
                    await tx.execute("set local synchronous_commit = off")
                yield tx

    @asynccontextmanager
    async def appending(self) -> AsyncIterator[Transaction]:
        """One transaction at a time, over all nodes, for the log and what its commands write. Raises Unavailable."""
        with _mapped():
            async with asyncio.timeout(TURN_TIMEOUT):  # not wait_for, which before 3.12 may swallow a cancellation
                await self._turn.acquire()
            try:
                async with _begun(await self._append_connection(), LOG_LOCK) as tx:
                    yield tx
            finally:
                self._turn.release()

    async def changed_elsewhere(self) -> bool:
        """Never: on a shared database, whoever changes what servers remember says so in the log."""
        return False

    async def _append_connection(self) -> asyncpg.Connection:
        if self._appender is None or self._appender.is_closed():
            self._appender = await asyncpg.connect(self._url, **_settings())
        return self._appender

    async def _migrate(self) -> None:
        connection = await asyncpg.connect(self._url, **_settings())
        try:
            # Nodes that start together wait for the one that upgrades.
            await connection.execute("set lock_timeout = 0")
            await connection.execute("begin")
            await connection.execute(f"select pg_advisory_xact_lock({MIGRATION_LOCK})", timeout=UPGRADE_TIMEOUT)
            await connection.execute(
                "create table if not exists migrations (number integer primary key, applied_at bigint not null)"
            )
            done = {number for (number,) in await connection.fetch("select number from migrations")}
            for number, script in migrations("postgres"):
                if number not in done:
                    await connection.execute(script, timeout=UPGRADE_TIMEOUT)
                    await connection.execute("insert into migrations values ($1, $2)", number, int(time.time()))
            await connection.execute("commit", timeout=UPGRADE_TIMEOUT)
        finally:
            await _end(connection)


class _Transaction:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        return _rows(await self._connection.fetch(sql, *args))

    async def execute(self, sql: str, *args: object) -> None:
        await self._connection.execute(sql, *args)

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        await self._connection.executemany(sql, rows)

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if len(rows) < FEW:
            await self.executemany(inserting(table, columns), rows)
        else:
            await self._connection.copy_records_to_table(table, records=rows, columns=columns)


@asynccontextmanager
async def _begun(connection: asyncpg.Connection, lock: int) -> AsyncIterator[Transaction]:
    """A transaction under an advisory lock: committed on leaving, rolled back on an exception."""
    try:
        await connection.execute(f"begin; select pg_advisory_xact_lock({lock})")
        yield _Transaction(connection)
        await connection.execute("commit")
    except BaseException:
        await _roll_back(connection)
        raise


async def _roll_back(connection: asyncpg.Connection) -> None:
    if connection.is_closed():
        return
    try:
        await connection.execute("rollback", timeout=ROLLBACK_TIMEOUT)
    except Exception as error:
        log.debug("a rollback failed: %s", error)
        connection.terminate()


async def _end(connection: asyncpg.Connection | None) -> None:
    if connection is None or connection.is_closed():
        return
    try:
        await connection.close(timeout=ROLLBACK_TIMEOUT)
    except (*_AWAY, exceptions.PostgresError):
        connection.terminate()


@contextmanager
def _mapped() -> Iterator[None]:
    """Raises Unavailable for errors of the server."""
    try:
        yield
    except _AWAY as error:
        if isinstance(error, ValueError):  # asyncpg raises it for an argument of a wrong type
            raise
        log.warning("the database fails: %s", error or type(error).__name__)
        raise Unavailable("unavailable", "The database does not answer right now.", retry_after=1) from error


def _settings() -> dict[str, Any]:
    """The settings of every connection."""
    return {
        "timeout": CONNECT_TIMEOUT,
        "command_timeout": COMMAND_TIMEOUT,
        "server_settings": {
            "application_name": "chatrooms",
            "lock_timeout": str(int(LOCK_TIMEOUT * 1000)),
            "idle_in_transaction_session_timeout": str(int(IDLE_TIMEOUT * 1000)),
            "default_transaction_isolation": "read committed",
        },
    }


def _rows(records: Sequence[Any]) -> list[Row]:
    return [tuple(record) for record in records]
