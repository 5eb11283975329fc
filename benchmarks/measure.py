"""One measurement: one freshly started server under one load."""

import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load as generator
from benchmarks.load import BIN, Load, Target
from benchmarks.memory import kernel_kib
from benchmarks.process import NotSupported, Server, Usage, free_port
from benchmarks.servers import Peer

START_SECONDS = 30.0
OTHER_FILES = 64  # that the generator has open besides its connections
QUIET_SECONDS = 3.0  # after a cycle, longer than the server's leave-grace of 2 s
KernelKib = float | None


@dataclass(frozen=True)
class Cores:
    """The processor cores for the server and for the load generator."""

    server: tuple[int, ...]
    load: int


def measure(
    peer: Peer, load: Load, program: Path, cores: Cores, options: tuple[str, ...] = (), cycles: int = 1
) -> dict[str, float]:
    """The generator's figures and the server's usage. Raises CouldNotRun when a delivery is missing."""
    with scratch_folder() as folder:
        port = free_port()
        with Server([*peer.command(port, folder), *options], cores.server, folder / "server.log") as server:
            server.wait_until(lambda: answers(port), START_SECONDS)
            check_limit_of_files(load)
            figures = [one_cycle(server, peer.target(port), load, program, cores)]
            for _ in range(1, cycles):
                time.sleep(QUIET_SECONDS)
                figures.append(one_cycle(server, peer.target(port), load, program, cores))
            complaints = server.log_end()
    if complaints:
        print(f"{peer.name} wrote to its log, in the end:\n{complaints}", file=sys.stderr, flush=True)
    return {**figures[0], **drift(figures), "logged": float(bool(complaints))}


def check_limit_of_files(load: Load) -> None:
    """Raises NotSupported when the generator could not open so many streams."""
    needed = load.streams + load.publishers + OTHER_FILES
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < needed:
        raise NotSupported(f"needs `ulimit -n {needed}`")


def one_cycle(server: Server, target: Target, load: Load, program: Path, cores: Cores) -> dict[str, float]:
    """All streams connect, get the messages and leave."""
    used: dict[str, tuple[Usage, KernelKib]] = {}

    def look(phase: str) -> None:
        used[phase] = server.usage(), kernel_kib()

    look("started")
    figures = generator.run(program, cores.load, target, load, on_phase=look)
    kernel = [kib for _, kib in used.values()]
    if kernel[0] is not None and kernel[1] is not None:
        figures["kernel_kib_per_stream"] = (kernel[1] - kernel[0]) / load.streams
    return {**figures, **usage_figures(used["started"][0], used["opened"][0], used["done"][0], figures)}


def drift(cycles: list[dict[str, float]]) -> dict[str, float]:
    """KiB by which memory with all streams open grew from the second cycle to the last, and the slowest connecting."""
    if len(cycles) < 2:
        return {}
    return {
        "drift_kib": cycles[-1]["opened_kib"] - cycles[1]["opened_kib"],
        "slowest_connect_s": max(cycle["connect_s"] for cycle in cycles),
        **{f"connect_s_{n}": cycle["connect_s"] for n, cycle in enumerate(cycles, 1)},
        **{f"connect_cpu_seconds_{n}": cycle["connect_cpu_seconds"] for n, cycle in enumerate(cycles, 1)},
        **{f"opened_kib_{n}": cycle["opened_kib"] for n, cycle in enumerate(cycles, 1)},
    }


def usage_figures(started: Usage, opened: Usage, done: Usage, figures: dict[str, float]) -> dict[str, float]:
    """Memory in KiB before, with all streams open, and at the end; processor seconds for connecting and publishing."""
    cpu = done.cpu_seconds - opened.cpu_seconds
    return {
        "started_kib": started.resident_kib,
        "opened_kib": opened.resident_kib,
        "done_kib": done.resident_kib,
        "peak_kib": done.peak_kib,
        "kib_per_stream": (opened.resident_kib - started.resident_kib) / figures["streams"],
        "grown_kib": done.resident_kib - opened.resident_kib,
        "connect_cpu_seconds": opened.cpu_seconds - started.cpu_seconds,
        "cpu_seconds": cpu,
        "foreign_seconds": max(done.core_busy_seconds - opened.core_busy_seconds - cpu, 0.0),
        "cpu_us_per_delivery": cpu * 1e6 / figures["delivered"],
    }


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder, removed afterwards; beside the project, as /tmp may be in memory, where fsync is free."""
    BIN.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="server-", dir=BIN))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
