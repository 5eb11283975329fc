"""Several nodes on one PostgreSQL database that flushes to disk, compared with one node and with SQLite.

    python benchmarks/nodes.py                  # everything, some minutes
    python benchmarks/nodes.py order fan-out    # only these
    python benchmarks/nodes.py order --rate 300 --seconds 60 --bus nats

Nodes, database, bus and load generator share the machine, so the figures are lower bounds for nodes
on separate machines. Prints one JSON line per measurement.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.load import HERE, build
from benchmarks.nats_server import Nats
from benchmarks.postgres import Postgres
from benchmarks.server_process import ServerProcess, token

STREAMS = 2000
UNLIMITED = ("--message-rate", "0", "--max-streams-per-user", "0", "--stream-rate", "0")
TIMEOUT = 300  # seconds for opening, and for publishing

Nodes = list[ServerProcess]


@contextmanager
def cluster(count: int, bus: str = "postgres", database: str = "postgres") -> Iterator[Nodes]:
    """That many nodes on an empty database; one node with `sqlite`."""
    with ExitStack() as stack:
        # Beside this file, as /tmp may be in memory, where flushing costs nothing.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=HERE)))
        options = list(UNLIMITED)
        if database == "postgres":
            postgres = Postgres(durable=True)
            stack.callback(postgres.close)
            options += ["--database-url", postgres.url(postgres.new_database())]
        if bus == "nats":
            nats = Nats()
            stack.callback(nats.kill)
            options += ["--bus-url", nats.url]
        servers = [ServerProcess(folder / str(n), *options) for n in range(count)]
        yield [stack.enter_context(server) for server in servers]


def load(nodes: Nodes, **options: object) -> dict[str, Any]:
    """The generator's figures."""
    bearer = token("load", "service")
    given = {
        "port": ",".join(str(node.port) for node in nodes),
        "get": f"/events?access_token={bearer}&roomId=r%r&username=load&clientId=c%i",
        "post": "/api/rooms/r%r/messages",
        "post-header": f"Authorization: Bearer {bearer}",
        "timeout": TIMEOUT,
        **options,
    }
    command = [str(build(HERE / "load.c")), "--order", *(f"--{name}={value}" for name, value in given.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def order(arguments: argparse.Namespace) -> None:
    """Two nodes at a fixed rate: does every reader see the same sequence?"""
    with cluster(2, arguments.bus) as nodes:
        messages = int(arguments.rate * arguments.seconds)
        tell("order", load(nodes, streams=arguments.streams, messages=messages, publishers=64, rate=arguments.rate))


def fan_out(arguments: argparse.Namespace) -> None:
    """64 publishers at full speed: one node, and two nodes with half of the streams each."""
    for count in (1, 2):
        with cluster(count, arguments.bus) as nodes:
            figures = load(nodes, streams=arguments.streams, messages=20_000, publishers=64)
            tell(f"fan-out, {count} of them", figures)


def publish(arguments: argparse.Namespace) -> None:
    """Durable posts per second with one reader: SQLite, one node on PostgreSQL, two nodes."""
    for count, database in ((1, "sqlite"), (1, "postgres"), (2, "postgres")):
        for publishers in (1, 64):
            with cluster(count, arguments.bus if database == "postgres" else "postgres", database) as nodes:
                figures = load(nodes, streams=count, messages=2000 * min(publishers, 8), publishers=publishers)
                rate = figures["acknowledged"] / figures["elapsed_s"]
                tell(f"publish, {database}, nodes: {count}, publishers: {publishers}: {rate:.0f} posts/s", figures)


def tell(what: str, figures: dict[str, Any]) -> None:
    print(f"{what}\n  {json.dumps(figures)}", flush=True)


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "order": order, "fan-out": fan_out, "publish": publish,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], *MEASUREMENTS], default=[])
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--bus", choices=["postgres", "nats"], default="postgres")
    arguments = parser.parse_args()
    for name in arguments.what or MEASUREMENTS:
        MEASUREMENTS[name](arguments)


if __name__ == "__main__":
    main()
