"""A server that also has the examples, a page that mounts hooks, and React as modules."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page
from tornado.ioloop import IOLoop
from tornado.web import Application, StaticFileHandler

from chatrooms.app import make_app
from tests.browser.pages import LIMIT, Site, complaints_of

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODULES = ROOT / "tests" / "clients" / "node_modules"

needs_react = pytest.mark.skipif(
    not shutil.which("node") or not (MODULES / "react-dom").is_dir(),
    reason="npm install --prefix tests/clients is needed",
)


class StrictPage(StaticFileHandler):
    """A file under a strict policy: own scripts and styles only, an import map by its hash, no HTML from text."""

    def set_extra_headers(self, path: str) -> None:
        content = Path(self.absolute_path or "").read_bytes()
        maps = re.findall(rb'<script type="importmap">(.*?)</script>', content, re.S)
        hashes = "".join(f" 'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in maps)
        own = f"default-src 'none'; script-src 'self'{hashes}; style-src 'self'"
        policy = f"{own}; connect-src 'self' http://127.0.0.1:*"
        self.set_header("Content-Security-Policy", f"{policy}; require-trusted-types-for 'script'")
        self.set_header("Cache-Control", "no-store")


def serve_parts(app: Application, folder: Path) -> None:
    """Adds the pages to a server; `folder` is for what is made of React's packages."""
    folders = {"examples": ROOT / "examples", "probe": HERE / "probe", "vendor": folder}
    if (MODULES / "react-dom").is_dir():
        make_react(folder)
    app.add_handlers(".*", [(rf"/{name}/(.*)", StrictPage, {"path": str(path)}) for name, path in folders.items()])


def make_react(folder: Path) -> None:
    """React's packages as modules for a page without a bundler."""
    subprocess.run(["node", ROOT / "examples" / "react" / "vendor.mjs", MODULES, folder], check=True)


@asynccontextmanager
async def clean_page(site: Site, path: str) -> AsyncIterator[Page]:
    """A page of a profile of its own, on which nothing may be complained of: no policy, no warning of React's."""
    page = await site.page("about:blank")
    complaints = complaints_of(page, "warning")
    await page.goto(path)
    try:
        yield page
        told = [text for text in complaints if "Failed to load resource" not in text]
        assert told == [], told
    finally:
        await page.context.close()


def app_with(prepare: Callable[[Application, Path], None] | None = None, **options: Any) -> Any:
    """The fixture `app` of a module: a server with these options; `prepare` gets a folder of the test's, too."""

    @pytest.fixture
    def app(io_loop: IOLoop, tmp_path: Path) -> Any:
        application: Application = make_app(data_dir=str(tmp_path / "data"), **options)
        if prepare:
            prepare(application, tmp_path / "vendor")
        yield application
        io_loop.run_sync(application.settings["server"].stop)

    return app


def app_with_parts(**options: Any) -> Any:
    """The fixture `app` of a module: a server with these options, the examples and the probe."""
    return app_with(serve_parts, **options)


def cut(app: Application, username: str = "") -> None:
    """Ends the open streams, or those of a name, as a broken connection would."""
    streams = app.settings["server"].hub.streams
    broken = [stream for stream in streams if not username or (stream.member and stream.member.key[1] == username)]
    assert broken, "there is a stream to cut"
    for stream in broken:
        stream.abandon()


async def until(page: Page, condition: str, *values: Any) -> Any:
    """Waits until an expression over `v`, the values, is truthy on the page; returns it."""
    handle = await page.wait_for_function(f"(v) => {condition}", arg=list(values), timeout=LIMIT)
    return await handle.json_value()
