"""A real server process that can be killed, stopped and starved."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import jwt

ROOT = Path(__file__).resolve().parent.parent
SECRET = "a secret of servers under test, long enough"
START_LIMIT = 30.0  # seconds
STOP_LIMIT = 30.0

_SERVING = re.compile(r"serving https?://[^ ]*:([0-9]+)/")


class ServerProcess:
    """`python run.py` on 127.0.0.1 with its own data folder; use it as a context manager.

    `port` and `url` stay the same over restarts. `log` holds the lines of all runs, `status` is
    the last exit status.
    """

    script = "run.py"

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.options = options
        self.log: list[str] = []
        self.port = 0
        self.status: int | None = None
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._heard = threading.Event()
        self._serves = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"{'https' if '--ssl-cert' in self.options else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Starts the process and returns once it serves. Raises RuntimeError, with its log, if it does not."""
        self._heard.clear()
        self._serves = False
        command = [sys.executable, self.script, "--address", "127.0.0.1", "--port", str(self.port)]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CHATROOMS_")}
        self._process = subprocess.Popen(
            [*command, "--data-dir", str(self.data_dir), *self.options],
            cwd=ROOT,
            env={**environ, "CHATROOMS_SECRET": SECRET},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), daemon=True)
        self._reader.start()
        self._heard.wait(START_LIMIT)
        if not self._serves:
            if self._heard.is_set():
                self.wait()
            self.kill()
            raise RuntimeError("the server did not start:\n" + "\n".join(self.log))

    def kill(self) -> None:
        """SIGKILL, as the kernel or a lost machine would; does nothing if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Waits for the process to end by itself; returns the exit status."""
        assert self._process is not None
        status = self._process.wait(STOP_LIMIT)
        self._end()
        return status

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def memory(self, field: str = "VmRSS") -> int:
        """Memory in bytes, from /proc: VmRSS is the current value, VmHWM the peak."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise LookupError(field)

    def tracebacks(self) -> list[str]:
        """The log from the first traceback on; empty if there was none."""
        for number, line in enumerate(self.log):
            if "Traceback" in line:
                return self.log[max(0, number - 1) : number + 40]
        return []

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line.rstrip("\n"))
            if served := _SERVING.search(line):
                self.port = int(served[1])
                self._serves = True
                self._heard.set()
        self._heard.set()  # the process has ended: stop waiting

    def _end(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        self.status = process.wait(STOP_LIMIT)
        if self._reader is not None:
            self._reader.join(STOP_LIMIT)
        if process.stderr is not None:
            process.stderr.close()


def token(user_id: str, role: str = "user", username: str = "", ttl: float = 3600) -> str:
    """A token for that user, valid for `ttl` seconds."""
    claims = {"userId": user_id, "username": username or user_id, "role": role, "exp": int(time.time() + ttl)}
    return jwt.encode(claims, SECRET, algorithm="HS256")
