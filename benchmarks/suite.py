"""Runs all measurements in turn: prints Markdown, writes results.json beside this file."""

import argparse
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import TypeVar

import tornado

from benchmarks.goals import verdicts
from benchmarks.load import HERE, build
from benchmarks.measure import Cores, measure
from benchmarks.process import CouldNotRun, NotSupported
from benchmarks.report import Figures, Results, contention, details, summary
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import PEERS, Peer

T = TypeVar("T")

RESULTS = HERE / "results.json"
DEFAULT_SERVERS = "chatrooms,nchan,tornado,express,limit"
FAILED = "could not run"
METHOD = """\
Medians of up to {runs} runs, in which the servers take turns; in parentheses: chatrooms ÷ that server, taken within
each run first. Each measurement starts a new server on one core, and counts only when every stream got every message
exactly once. chatrooms verifies a JWT per request and commits each message to SQLite with fsync; the peers keep
messages in memory and verify nothing."""


def main() -> int:
    """Returns 0 if everything was measured, goals reached or not; 1 if something could not run."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that each `finally` runs
    try:
        return measure_all(arguments)
    except CouldNotRun as error:
        print(f"could not run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parse_arguments() -> argparse.Namespace:
    """The command line, with servers and scenarios looked up."""
    parser = argparse.ArgumentParser(description="Compares chatrooms with its peers on this machine.")
    parser.add_argument("--runs", type=int, default=3, help="how often each measurement is made; medians are shown")
    parser.add_argument("--only", action="append", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--servers", default=DEFAULT_SERVERS, help=f"of {','.join(p.name for p in PEERS)}")
    parser.add_argument("--details", action="store_true", help="also a table of all figures for each load")
    parser.add_argument("--quick", action="store_true", help="one run, a quarter of the messages")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.runs = 1
    names = arguments.servers.split(",")
    if unknown := set(names) - {peer.name for peer in PEERS}:
        parser.error(f"unknown server: {', '.join(sorted(unknown))}")
    arguments.peers = [peer for peer in PEERS if peer.name in names]
    arguments.scenarios = [s for s in SCENARIOS if not arguments.only or s.name in arguments.only]
    return arguments


def measure_all(arguments: argparse.Namespace) -> int:
    """Measures one scenario after another, then prints the report; returns 1 if one failed."""
    program = build(HERE / "load.c")
    for peer in arguments.peers:
        if any(peer.name in scenario.servers for scenario in arguments.scenarios):
            peer.prepare()
    cores = choose_cores()
    machine = describe_machine(cores, arguments.peers)
    began = time.monotonic()
    everything: list[Results] = []
    for scenario in arguments.scenarios:
        everything.append(measure_scenario(scenario, arguments, program, cores))
        write(everything, machine)
    print(
        f"# Benchmarks\n\n{machine}\n\n{METHOD.format(runs=arguments.runs)}\n\n{summary(everything, arguments.peers)}\n"
    )
    judged = [f"{line} ({results.scenario.name})" for results in everything for line in verdicts(results)]
    print("\n".join([*judged, *contention(everything), f"- took {time.monotonic() - began:.0f} s"]))
    for results in everything if arguments.details else []:
        print(f"\n{details(results, arguments.peers)}")
    return int(any(FAILED in results.missing.values() for results in everything))


def measure_scenario(scenario: Scenario, arguments: argparse.Namespace, program: Path, cores: Cores) -> Results:
    """All runs of one scenario; the servers take turns, so that a slow minute of the machine hits all alike."""
    results = Results(scenario)
    peers = [peer for peer in arguments.peers if peer.name in scenario.servers]
    for number in range(min(arguments.runs, scenario.runs)):
        for peer in rotated(peers, number):
            for variant in rotated(list(scenario.variants), number):
                if peer.name in results.missing:
                    continue
                say(f"{scenario.name}, run {number + 1}: {peer.name} {variant}")
                try:
                    figures = measure_one(scenario, peer, variant, arguments.quick, program, cores)
                except NotSupported as reason:
                    results.missing[peer.name] = str(reason)
                except CouldNotRun as error:
                    say(f"could not run: {error}")
                    results.missing[peer.name] = FAILED
                else:
                    results.runs.setdefault((peer.name, variant), []).append(figures)
    return results


def rotated(things: list[T], number: int) -> list[T]:
    """The same things, starting with a different one each run: who comes first must not matter."""
    start = number % len(things)
    return things[start:] + things[:start]


def measure_one(scenario: Scenario, peer: Peer, variant: str, quick: bool, program: Path, cores: Cores) -> Figures:
    """One measurement. Raises CouldNotRun."""
    if scenario.all_cores:
        cores = Cores(tuple(sorted(os.sched_getaffinity(0))), cores.load)
    options = scenario.options if peer.name == "chatrooms" else ()
    return measure(peer, scenario.load_for(peer.name, variant, quick), program, cores, options, scenario.cycles)


def choose_cores() -> Cores:
    """The first core for the server, the last for the load generator."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        say("only one core: server and load generator share it, the figures mean little")
    return Cores(server=(available[0],), load=available[-1])


def describe_machine(cores: Cores, peers: list[Peer]) -> str:
    """What the figures depend on."""
    versions = [
        f"Python {platform.python_version()}",
        f"Tornado {tornado.version}",
        *(peer.version() for peer in peers),
    ]
    return (
        f"{time.strftime('%Y-%m-%d')}, {processor()}, Linux {platform.release()}; {', '.join(filter(None, versions))}; "
        f"server on core {cores.server[0]}, load generator on core {cores.load}, loopback."
    )


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write(everything: list[Results], machine: str) -> None:
    """Writes all figures of all runs, for a closer look."""
    content = {
        "machine": machine,
        "scenarios": {
            results.scenario.name: {"/".join(filter(None, key)): runs for key, runs in results.runs.items()}
            for results in everything
        },
    }
    RESULTS.write_text(json.dumps(content, indent=1))


def say(text: str) -> None:
    """Prints progress to stderr; stdout is the report."""
    print(text, file=sys.stderr, flush=True)
