"""Nothing a client sends breaks the server (DESIGN of the contract, section 1).

The suite sends a share of the requests; CHATROOMS_TEST_FUZZ=100000 sends them all, and
CHATROOMS_TEST_SEED chooses others.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from urllib.request import urlopen

from benchmarks.server_process import ServerProcess
from tests.fuzz.attack import Attack
from tests.fuzz.generator import Generator

COUNT = int(os.environ.get("CHATROOMS_TEST_FUZZ", "6000"))
SEED = int(os.environ.get("CHATROOMS_TEST_SEED", "20250101"))
LONGEST_HOLD = 0.05  # seconds of the event loop's time

# So that each request reaches what it aims at.
UNLIMITED = [
    f"--{name}=0" for name in ("message-rate", "stream-rate", "room-rate", "reply-rate", "guest-rate", "signin-rate")
]  # fmt: skip
OPTIONS = (*UNLIMITED, "--max-streams=0", "--max-streams-per-user=0", "--log-level=debug", "--ai-delay=0")


class WatchedProcess(ServerProcess):
    """A server that tells at its end for how long its event loop was held."""

    script = "tests/fuzz/serve.py"

    def held(self) -> tuple[float, float]:
        """Seconds by the clock, and of processor time."""
        found = re.search(r"held: clock ([0-9.]+) processor ([0-9.]+)", "\n".join(self.log[-5:]))
        assert found is not None, self.log[-5:]
        return float(found[1]), float(found[2])


def test_no_request_breaks_the_server(tmp_path: Path) -> None:
    """No 5xx, no page of HTML, no traceback, an answer to each whole request, and nobody waits for another."""
    with WatchedProcess(tmp_path, *OPTIONS) as server:
        with urlopen(f"{server.url}/api/openapi.json") as answer:
            document = json.load(answer)
        attack = Attack(server.port, Generator(SEED, document))
        asyncio.run(attack.run(COUNT))
        server.terminate()
        clock, processor = server.held()
    print(f"{attack.sent} requests, seed {SEED}; longest hold {clock * 1000:.0f} ms by the clock,", end=" ")
    print(f"{processor * 1000:.0f} ms of processor time; answers {dict(sorted(attack.statuses.items()))}")
    assert attack.odd == []
    assert server.tracebacks() == []
    assert server.status == 0
    assert attack.sent == COUNT
    assert len(attack.statuses) > 10
    assert processor <= LONGEST_HOLD
