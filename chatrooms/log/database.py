"""The database behind a small surface: `fetch`, and `transaction` with `fetch`, `execute`, `executemany`,
`insert`.

Queries are written once for all engines, with `$1, $2`, `returning` and `on conflict`; what differs
between engines (schema, triggers) stands in numbered migration files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import resources
from typing import Any, Protocol

Row = tuple[Any, ...]


class Source(Protocol):
    """What can be queried: the database, or a transaction in it."""

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """The rows of a query."""


class Transaction(Source, Protocol):
    """What may be done inside one transaction."""

    async def execute(self, sql: str, *args: object) -> None:
        """Runs one statement."""

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Runs one statement for each row."""

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Adds rows to a table in the engine's fastest way for so many."""


class Database(Source, Protocol):
    """One engine. Commits are on disk when they return; what fails on its side raises Unavailable.

    `shared` says whether other nodes may append to the same log. `now` is the SQL for the present time by the
    clock that all nodes share, in milliseconds since 1970.
    """

    shared: bool
    now: str

    async def open(self) -> None:
        """Connects, and creates or upgrades the schema. Raises ConfigError; StartFailure when it does not answer."""

    async def close(self) -> None:
        """Closes it after the transaction in progress."""

    def transaction(self, durable: bool = True) -> AbstractAsyncContextManager[Transaction]:
        """A write transaction: committed on leaving, rolled back on an exception.

        For tables that no append writes: row by row they would wait for each other, in any order. Unless it is
        `durable`, its commit need not be on disk when it returns.
        """

    def appending(self) -> AbstractAsyncContextManager[Transaction]:
        """The transaction in which the log appends: nobody else appends until it ends.

        Also for whatever else changes a table that commands of appends write; in short steps. A command
        of `Log.append` shares its commit with others, where there is a log.
        """

    async def changed_elsewhere(self) -> bool:
        """Whether another program may have committed since the last call."""


def migrations(engine: str) -> list[tuple[int, str]]:
    """The numbered SQL scripts of an engine, in order."""
    folder = resources.files("chatrooms.log") / "migrations" / engine
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted((int(script.name[:4]), script.read_text()) for script in scripts)


def inserting(table: str, columns: Sequence[str]) -> str:
    """The statement that adds one row."""
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    return f"insert into {table} ({', '.join(columns)}) values ({places})"
