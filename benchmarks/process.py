"""Child processes: pinned to a core, measured through /proc, and always ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

STOP_SECONDS = 3.0  # between SIGTERM and SIGKILL; the data is thrown away in any case
POLL_SECONDS = 0.02
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class CouldNotRun(Exception):
    """Something that a measurement or a test needs is missing, did not start, or ended too early."""


@dataclass(frozen=True)
class Usage:
    """What all processes of a server used: resident memory in KiB, processor time in seconds."""

    resident_kib: int
    peak_kib: int
    cpu_seconds: float
    core_busy_seconds: float  # of its cores, by any process


class NotSupported(CouldNotRun):
    """The server does not know an option that a measurement is about, or the machine does not allow it; says why."""


class Server:
    """A context manager: the process runs inside the block; afterwards it and its children are gone."""

    def __init__(
        self, command: Sequence[str], cores: Sequence[int], log: Path, environment: dict[str, str] | None = None
    ):
        self._command = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]
        self._cores = cores
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._child = start(self._command, log, self._environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            stop(self._child)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready()` is true. Raises CouldNotRun, with the log's end, if it ends first or time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.child.poll() is not None:
                if "unrecognized arguments" in self.log_end():
                    raise NotSupported("not supported")
                raise CouldNotRun(f"{self._command} ended with {self.child.returncode}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                raise CouldNotRun(f"{self._command} was not ready after {seconds} s:\n{self.log_end()}")
            time.sleep(POLL_SECONDS)

    @property
    def child(self) -> subprocess.Popen[bytes]:
        assert self._child is not None, "used outside of its `with` block"
        return self._child

    def usage(self) -> Usage:
        """The sum of the process and its current children, without those that have ended."""
        pids = family(self.child.pid)
        return Usage(
            resident_kib=sum(status_kib(pid, "VmRSS") for pid in pids),
            peak_kib=sum(status_kib(pid, "VmHWM") for pid in pids),
            cpu_seconds=sum(cpu_seconds(pid) for pid in pids),
            core_busy_seconds=sum(core_busy_seconds(core) for core in self._cores),
        )

    def log_end(self, characters: int = 2000) -> str:
        """The last lines that the process wrote."""
        return self._log.read_text(errors="replace")[-characters:]


def start(command: Sequence[str], log: IO[bytes], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A child whose output goes to `log`."""
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    except OSError as error:
        raise CouldNotRun(f"could not start {command[0]}: {error}") from error


def stop(child: subprocess.Popen[Any]) -> None:
    """End the process and its children, politely first; do nothing if it has ended by itself."""
    if child.poll() is not None:
        return  # its id may belong to someone else by now
    pids = family(child.pid)  # before the parent goes: its orphans cannot be found afterwards
    send(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(STOP_SECONDS)
    for pid in pids:
        if pid != child.pid or child.returncode is None:
            send(pid, signal.SIGKILL)
    child.wait()


def send(pid: int, number: signal.Signals) -> None:
    """Signal one process, which may already be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def family(pid: int) -> list[int]:
    """The process and all its running descendants."""
    pids = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in tasks.read_text().split():
                pids += family(int(child))
    return pids


def status_kib(pid: int, field: str) -> int:
    """One memory field of /proc/<pid>/status in KiB; 0 when the process is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
    return 0


def core_busy_seconds(core: int) -> float:
    """Seconds that all programs, the kernel included, have used of a core (proc(5), /proc/stat)."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, *others = (int(field) for field in line.split()[1:9])
            return (user + nice + system + sum(others)) / TICKS_PER_SECOND
    return 0.0


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far (proc(5), fields 14 and 15 of stat)."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
    return 0.0


def free_port() -> int:
    """An unused TCP port, a new one each time, so that connections to an earlier server do not count."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
