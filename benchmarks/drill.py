"""Failure drills on this machine, in one command: `python benchmarks/drill.py [--quick] [--only storm]`.

Prints one table. The exit status is 0 when every promise was kept, 1 when one was broken or could not be tried.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tornado

from benchmarks.drills import nodes, one_node
from benchmarks.drills.load import Refusal
from benchmarks.drills.one_node import Finding, Size
from benchmarks.process import CouldNotRun
from benchmarks.report import row
from benchmarks.suite import processor, say

Drill = Callable[[Size], Awaitable[list[Finding]]]

LONGEST = 300.0  # seconds for one drill
DRILLS: dict[str, Drill] = {
    "kill": one_node.kill,
    "storm": one_node.storm,
    "stalled": one_node.stalled,
    "full-disk": one_node.full_disk,
    "sigterm": one_node.sigterm,
    "node": nodes.kill_node,
    "database": nodes.kill_database,
    "bus": nodes.kill_bus,
}


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*DRILLS])
    parser.add_argument("--quick", action="store_true", help="fewer kills, streams and readers")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that each `finally` runs
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    began, findings = time.monotonic(), []
    for name in arguments.only or DRILLS:
        say(f"drill: {name}")
        findings += tried(name, Size.quick() if arguments.quick else Size())
    print(f"# Failure drills\n\n{machine()}\n\n{table(findings)}\n\n- took {time.monotonic() - began:.0f} s")
    return 0 if all(finding.kept for finding in findings) else 1


def tried(name: str, size: Size) -> list[Finding]:
    """What a drill found; that it could not be tried, or did not end in time, is a finding, too."""

    async def limited() -> list[Finding]:
        async with asyncio.timeout(LONGEST):
            return await DRILLS[name](size)

    try:
        return asyncio.run(limited())
    except (CouldNotRun, Refusal, TimeoutError, OSError, RuntimeError) as error:
        say(str(error))
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        return [Finding(name, "the drill ends", f"it did not: {reason[0]}", False)]


def machine() -> str:
    """What the figures depend on."""
    versions = f"Python {platform.python_version()}, Tornado {tornado.version}"
    return (
        f"{time.strftime('%Y-%m-%d')}, {processor()}, Linux {platform.release()}; {versions}; "
        "servers, databases and load share the machine's cores, loopback."
    )


def table(findings: list[Finding]) -> str:
    """One Markdown table."""
    lines = [row(["drill", "asked", "measured", "verdict"]), row(["---"] * 4)]
    for finding in findings:
        lines.append(row([finding.drill, finding.asked, finding.measured, "kept" if finding.kept else "**BROKEN**"]))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
