"""One measurement: one freshly started server under one load."""

import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load as generator
from benchmarks.load import BIN, Load
from benchmarks.process import Server, Usage, free_port
from benchmarks.servers import Peer

START_SECONDS = 30.0


@dataclass(frozen=True)
class Cores:
    """The processor cores for the server and for the load generator."""

    server: int
    load: int


def measure(peer: Peer, load: Load, program: Path, cores: Cores) -> dict[str, float]:
    """The generator's figures and the server's usage. Raises CouldNotRun when a delivery is missing."""
    with scratch_folder() as folder:
        port = free_port()
        with Server(peer.command(port, folder), cores.server, folder / "server.log") as server:
            server.wait_until(lambda: answers(port), START_SECONDS)
            used = {"started": server.usage()}
            figures = generator.run(
                program,
                cores.load,
                peer.target(port),
                load,
                on_phase=lambda phase: used.update({phase: server.usage()}),
            )
            complaints = server.log_end()
    if complaints:
        print(f"{peer.name} wrote to its log, in the end:\n{complaints}", file=sys.stderr, flush=True)
    used_figures = usage_figures(used["started"], used["opened"], used["done"], figures)
    return {**figures, **used_figures, "logged": float(bool(complaints))}


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
