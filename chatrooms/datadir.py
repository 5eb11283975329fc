"""The data folder, held by one process at a time; it keeps the secret."""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from chatrooms.errors import ConfigError

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
