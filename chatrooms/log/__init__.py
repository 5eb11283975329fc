"""Durable state: the database adapter, its migrations, the log, and one file of queries per noun."""

from __future__ import annotations

from pathlib import Path

from chatrooms.errors import ConfigError
from chatrooms.log.database import Database
from chatrooms.log.sqlite import SQLite

FILE = "chatrooms.db"


def database_of(url: str | None, data_dir: Path, shared: bool = False) -> Database:
    """That of a URL (`postgresql://…`), else the SQLite file in the data folder, which workers may share.

    Raises ConfigError when what it needs is not installed.
    """
    if not url:
        return SQLite(data_dir / FILE, shared)
    try:
        from chatrooms.log.postgres import PostgreSQL
    except ImportError:
        raise ConfigError("--database-url: PostgreSQL needs asyncpg: pip install 'chatrooms[postgres]'") from None
    return PostgreSQL(url)
