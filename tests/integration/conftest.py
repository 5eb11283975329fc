"""A whole server for each test."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application

from chatrooms.app import make_app
from tests.helpers.chat import SECRET, Chat


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "options(**options): the options of the server under test")


@pytest.fixture
def app(request: pytest.FixtureRequest, io_loop: IOLoop, tmp_path: Path) -> Iterator[Application]:
    """The application under test, closed after it."""
    options: dict[str, Any] = {"data_dir": tmp_path, "secret": SECRET, "ai_delay": 0.001}
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
