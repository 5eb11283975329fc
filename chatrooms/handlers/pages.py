"""The demo: GET / and /static/."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tornado.web import HTTPError, StaticFileHandler

from chatrooms.handlers.base import Handler

POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


VENDOR = "vendor/"  # what others wrote, in folders that name the version


class Page(Handler, StaticFileHandler):
    """A file of the demo, revalidated on each use: there is no build step that would name versions."""

    async def prepare(self) -> None:
        self.access.check_host(self.request)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Security-Policy", POLICY)

    def set_extra_headers(self, path: str) -> None:
        if path.startswith(VENDOR):
            self.set_header("Cache-Control", "public, max-age=31536000, immutable")

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        if "\0" in absolute_path or not os.path.realpath(absolute_path).startswith(os.path.realpath(root) + os.sep):
            raise HTTPError(404)
        if not os.path.isfile(absolute_path):
            raise HTTPError(404)
        return absolute_path


def static_folder() -> Path:
    """Where the demo lies: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    beside = package.parent / "static"
    return beside if (beside / "index.html").is_file() else package / "static"


def routes() -> list[tuple[Any, ...]]:
    settings = {"path": str(static_folder())}
    return [
        (r"/(?P<path>)", Index, settings),
        (r"/static/(.*)", Page, settings),
    ]


class Index(Page):
    """The page itself."""

    async def get(self, path: str, include_body: bool = True) -> None:
        await super().get("index.html", include_body)

    async def head(self, path: str) -> None:
        await self.get(path, include_body=False)
