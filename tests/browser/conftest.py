"""A real server and a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

import pytest
from playwright.async_api import Browser, Page
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from tests.browser.chromium import CHROMIUM, launched
from tests.browser.pages import Site
from tests.browser.parts import app_with, clean_page, until

T = TypeVar("T")
LIMIT = 60.0  # seconds for a browser to start or to end

app = app_with()


@pytest.fixture
def browser(io_loop: IOLoop) -> Iterator[Browser]:
    """Skips where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with _entered(io_loop, launched()) as browser:
        yield browser


@pytest.fixture
def site(http_server: HTTPServer, base_url: str, browser: Browser) -> Site:
    """The server of `app`, as Chromium sees it."""
    return Site(browser, base_url)


@pytest.fixture
def probe(io_loop: IOLoop, site: Site) -> Iterator[Page]:
    """The page that mounts hooks, when it is ready; the server must have its parts."""
    with _entered(io_loop, clean_page(site, "/probe/index.html")) as page:
        io_loop.run_sync(lambda: until(page, "window.ready"), LIMIT)
        yield page


@contextmanager
def _entered(io_loop: IOLoop, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enters it before a test, on the test's loop, and leaves it afterwards."""
    entered = io_loop.run_sync(manager.__aenter__, LIMIT)
    try:
        yield entered
    finally:
        io_loop.run_sync(lambda: manager.__aexit__(None, None, None), LIMIT)
