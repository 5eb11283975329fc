"""What the kernel holds for connections, read from the control group of this process; nothing is changed there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")


def kernel_kib() -> float | None:
    """Kernel memory of all processes of the group, servers and clients alike, in KiB; None where it cannot be read.

    It holds both ends of each connection over the loopback. Version 1 of control groups does not count socket buffers
    unless they are limited, so there they are the whole machine's.
    """
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found = None
        if controllers == "memory":  # version 1
            found = _version_1(GROUPS / "memory" / path.lstrip("/"))
        elif not controllers:
            found = _version_2(GROUPS / path.lstrip("/"))
        if found is not None:
            return found / 1024
    return None


def _version_1(group: Path) -> int | None:
    with suppress(OSError):
        used = int((group / "memory.kmem.usage_in_bytes").read_text())
        for line in Path("/proc/net/sockstat").read_text().splitlines():
            if line.startswith("TCP:"):
                return used + int(line.split()[-1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _version_2(group: Path) -> int | None:
    with suppress(OSError):
        fields = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        if "kernel" in fields:  # since Linux 5.18
            return int(fields["kernel"]) + int(fields["sock"])
    return None
