"""Fixtures for all tests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from benchmarks.nats_server import Nats
from benchmarks.postgres import Postgres
from benchmarks.process import CouldNotRun

ENGINES = ("sqlite", "postgres")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("CHATROOMS_") and not name.startswith("CHATROOMS_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """What a test sets of logging, as a command does that it runs in this process, ends with it."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, for all tests of a session."""
    try:
        server = Postgres()
    except CouldNotRun as reason:
        pytest.skip(str(reason))
    yield server
    server.close()


@pytest.fixture(scope="session")
def nats() -> Iterator[Nats]:
    """A real NATS server, for all tests of a session."""
    try:
        server = Nats()
    except CouldNotRun as reason:
        pytest.skip(str(reason))
    yield server
    server.kill()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database on it."""
    yield postgres.url(postgres.emptied("test"))


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str | None:
    """The option of that name: None, but for the turns on PostgreSQL of a test that runs on every engine."""
    engine = getattr(request, "param", "sqlite")
    url: str | None = request.getfixturevalue("postgres_url") if engine == "postgres" else None
    return url


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_engine: runs once on each database engine, by `database_url`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("every_engine") and "database_url" in metafunc.fixturenames:
        metafunc.parametrize("database_url", ENGINES, indirect=True)
