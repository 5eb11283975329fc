"""Server processes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.server_process import ServerProcess

Serve = Callable[..., ServerProcess]

# What would limit a single test machine that plays all users.
UNLIMITED = ("--message-rate", "0", "--max-streams-per-user", "0")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers, each with a data folder of its own, and ends them after the test.

    Every one must have met only what it foresaw: a traceback in its log fails the test.
    """
    started: list[ServerProcess] = []
    with ExitStack() as stack:

        def start(*options: str) -> ServerProcess:
            server = ServerProcess(tmp_path / f"data-{len(started)}", *UNLIMITED, *options)
            started.append(server)
            return stack.enter_context(server)

        yield start
    for server in started:
        assert not server.tracebacks(), "\n".join(server.tracebacks())
