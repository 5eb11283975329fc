"""The data folder, held by one process at a time: its secret, and copies of its database.

A copy is made while the server runs, and put back under a new epoch.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

from chatrooms.errors import ConfigError
from chatrooms.log.retention import new_epoch

SECRET_FILE = "secret"
LOCK_FILE = "lock"


class Folder:
    """The data folder of a server: locked, temporary, or none when all data is in a shared database.

    Raises ConfigError when another process holds it.
    """

    def __init__(self, path: Path | None, needed: bool) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="chatrooms-") if path is None and needed else None
        self.path = Path(self._temporary.name) if self._temporary else path or Path()
        self._lock = lock(self.path) if needed else None

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
        if self._temporary is not None:
            self._temporary.cleanup()


def lock(data_dir: Path) -> IO[str]:
    """Locks a data folder for this process, until the returned file is closed.

    Raises ConfigError when another process holds it, or when it cannot be made.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open(data_dir / LOCK_FILE, "a")  # noqa: SIM115 - held open on purpose
    except OSError as error:
        raise ConfigError(f"--data-dir: {data_dir}: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ConfigError(f"--data-dir: {data_dir} is in use by another process") from None
    return file


def stored_secret(data_dir: Path) -> str:
    """The secret of a data folder, made on first use: 256 random bits, mode 0600.

    Raises ConfigError when it cannot be read or made.
    """
    path = data_dir / SECRET_FILE
    try:
        if not path.exists():
            _make_secret(path)
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--data-dir: {path}: {error}") from None
    if not secret:  # a crash after creating it and before writing it
        raise ConfigError(f"--data-dir: {path} is empty: remove it, and a new one will be generated")
    return secret


def _make_secret(path: Path) -> None:
    with suppress(FileExistsError), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())


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
