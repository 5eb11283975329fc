"""Chromium, by Playwright or by its own protocol."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from benchmarks.server_process import ServerProcess
from tests.helpers.devtools import DevTools, devtools

CHROMIUM = os.environ.get("CHATROOMS_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A Chromium that Playwright drives."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


def tabs(folder: Path, flags: Sequence[str] = ()) -> AbstractAsyncContextManager[DevTools]:
    """A Chromium whose tabs can be hidden, frozen and crashed; its profile is in the folder."""
    return devtools(str(CHROMIUM), [*FLAGS, *flags], folder / "profile")


@asynccontextmanager
async def server_and_tabs(
    folder: Path, *options: str, flags: Sequence[str] = ()
) -> AsyncIterator[tuple[ServerProcess, DevTools]]:
    """A server in a process of its own, and such a Chromium; the server may log no traceback."""
    with ServerProcess(folder / "data", *options) as server:
        async with tabs(folder, flags) as tools:
            yield server, tools
        assert not server.tracebacks(), server.tracebacks()
