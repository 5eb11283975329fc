"""Posts while retention removes what is old; `python -m tests.faults.retention` measures it with a million events."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.postgres import Postgres
from tests.faults import retention


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_every_post_is_taken_while_retention_removes(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """And all that is old is gone in the end; the measurement fails at a post that is refused."""
    events, kept = 3000, 100
    if engine == "sqlite":
        file = tmp_path / "chatrooms.db"
        outcome = retention.measure(
            tmp_path, lambda: retention.fill_sqlite(file, events, kept), before=0.5, events=events
        )
    else:
        server: Postgres = request.getfixturevalue("postgres")
        database = server.new_database()
        url = f"--database-url={server.url(database)}"
        outcome = retention.measure(
            tmp_path, lambda: retention.fill_postgres(server, database, events, kept), url, before=0.5, events=events
        )
    assert outcome.before and outcome.during
