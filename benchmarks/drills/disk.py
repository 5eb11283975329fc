"""A disk that can be full."""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.server_process import ServerProcess

DISK_BYTES = 64 << 20
DISK_LEFT = 1 << 20  # bytes that are left on the disk when it is about to be full
GROWTH_LEFT = 100_000  # bytes that a file may grow by where files are limited instead


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A tmpfs of some MiB, or None where it cannot be mounted."""
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "chatrooms-drill", folder]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> Callable[[], None]:
    """Leaves little space on the disk; the function returned gives it back."""
    ballast = disk / "ballast"
    used = sum(path.stat().st_size for path in disk.rglob("*") if path.is_file())
    with ballast.open("wb") as file, suppress(OSError):
        file.write(bytes(max(0, DISK_BYTES - used - DISK_LEFT)))
    return ballast.unlink


def limit_files(server: ServerProcess) -> Callable[[], None]:
    """Lets the server's files grow by little; the function returned lets them grow again."""
    largest = max(path.stat().st_size for path in server.data_dir.glob("chatrooms.db*"))
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + GROWTH_LEFT, resource.RLIM_INFINITY))

    def lift() -> None:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    return lift
