"""A real server and a real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright
from tornado.ioloop import IOLoop
from tornado.web import Application

from chatrooms.app import make_app

CHROMIUM = os.environ.get("CHATROOMS_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]

Chromium = Callable[[], AbstractAsyncContextManager[Browser]]


@pytest.fixture
def app(io_loop: IOLoop, tmp_path: Path) -> Any:
    """A server with its data in a folder of its own."""
    application: Application = make_app(data_dir=str(tmp_path / "data"))
    yield application
    io_loop.run_sync(application.settings["server"].stop)


@pytest.fixture
def chromium() -> Chromium:
    """Starts Chromium; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")

    @asynccontextmanager
    async def started() -> AsyncIterator[Browser]:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            try:
                yield browser
            finally:
                await browser.close()

    return started
