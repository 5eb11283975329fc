"""A whole server for each test."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application

from benchmarks.server_process import SECRET
from chatrooms.app import make_app
from tests.helpers.chat import Chat

Sql = Callable[[str], Awaitable[list[tuple[Any, ...]]]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "options(**options): the options of the server under test")


@pytest.fixture
def app(
    request: pytest.FixtureRequest, io_loop: IOLoop, tmp_path: Path, database_url: str | None
) -> Iterator[Application]:
    """The application under test, closed after it."""
    options: dict[str, Any] = {"data_dir": tmp_path, "secret": SECRET, "ai_delay": 0.001}
    options["database_url"] = database_url
    for mark in request.node.iter_markers("options"):
        options.update(mark.kwargs)
    made = make_app(**options)
    yield made
    io_loop.run_sync(made.settings["server"].stop)


@pytest.fixture
def chat(
    http_server: HTTPServer, http_port: int, app: Application, io_loop: IOLoop, caplog: pytest.LogCaptureFixture
) -> Iterator[Chat]:
    """Calls to the application under test, which has started.

    A test fails when anything was raised in the event loop, or logged as an error, meanwhile.
    """
    io_loop.run_sync(app.settings["server"].start)
    faults: list[object] = []

    async def made() -> Chat:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        return Chat(http_port, app.settings["server"])

    calls: Chat = io_loop.run_sync(made)
    yield calls
    calls.close()
    assert faults == []
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest.fixture
def sql(tmp_path: Path, database_url: str | None) -> Sql:
    """Runs a statement of another program, in a connection of its own, and commits it."""

    async def on_postgres(statement: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    def on_sqlite(statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(tmp_path / "chatrooms.db")) as connection, connection:
            return connection.execute(statement).fetchall()

    async def in_a_thread(statement: str) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(on_sqlite, statement)

    return on_postgres if database_url else in_a_thread
