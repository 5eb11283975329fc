"""Copies of the database: made while the server runs, and put back under a new epoch."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from chatrooms.errors import ConfigError
from chatrooms.log.retention import new_epoch

REQUIRED_TABLES = {"meta", "events", "event_topics"}
BUSY_TIMEOUT = 30.0  # seconds


def copy(database: Path, target: Path) -> int:
    """Copies a database, running or not, as of its last commit; returns the size in bytes.

    The file appears whole or not at all. Raises ConfigError when there is no database or the
    target exists.
    """
    if not database.is_file():
        raise ConfigError(f"there is no database at {database}")
    if target.exists():
        raise ConfigError(f"{target} exists already")
    part = target.with_name(target.name + ".part")
    try:
        part.unlink(missing_ok=True)
        _copy(database, part)
        part.rename(target)
        _sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"the backup failed: {error}") from None
    return target.stat().st_size


def put_back(source: Path, database: Path) -> str:
    """Replaces a database, whose server must not run, by a copy; returns its new epoch.

    What the old one held is gone. Positions from before name another epoch, so no reader mistakes
    them. Raises ConfigError, and changes nothing, when the source is no sound copy of ours.
    """
    part = database.with_name(database.name + ".part")
    try:
        _check(source)
        part.unlink(missing_ok=True)
        _copy(source, part)
        epoch = new_epoch()
        with closing(sqlite3.connect(part)) as connection, connection:
            connection.execute("update meta set value = ? where name = 'epoch'", (epoch,))
        _sync_file(part)
        for leftover in ("-wal", "-shm"):
            database.with_name(database.name + leftover).unlink(missing_ok=True)
        part.rename(database)
        _sync_folder(database.parent)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"the restore failed: {error}") from None
    return epoch


def _copy(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(descriptor)
    with closing(sqlite3.connect(source, timeout=BUSY_TIMEOUT)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        # A copy of a WAL database is one too; a backup must be a single file.
        new.execute("pragma journal_mode=delete")
    _sync_file(target)


def _check(source: Path) -> None:
    if not source.is_file():
        raise ConfigError(f"there is no file {source}")
    with closing(sqlite3.connect(f"file:{source.resolve().as_posix()}?mode=ro", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        if not tables >= REQUIRED_TABLES:
            raise ConfigError(f"{source} is not a backup of chatrooms")
        problem = connection.execute("pragma integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise ConfigError(f"{source} is damaged: {problem}")


def _sync_file(path: Path) -> None:
    _sync(path, os.O_RDWR)


def _sync_folder(path: Path) -> None:
    _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
