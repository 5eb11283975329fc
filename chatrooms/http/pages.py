"""Pages and what operators ask for: health, metrics, the API's description, the demo (section 9)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from tornado.web import HTTPError, StaticFileHandler

from chatrooms.errors import Forbidden, Unavailable
from chatrooms.http.base import Handler
from chatrooms.http.openapi import Json, document, operation
from chatrooms.http.reference import page
from chatrooms.metrics import CONTENT_TYPE

POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page(Handler, StaticFileHandler):
    """A file of the demo, revalidated on each use: there is no build step that would name versions."""

    async def prepare(self) -> None:
        self.access.check_host(self.request)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Security-Policy", POLICY)

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        if "\0" in absolute_path or not os.path.realpath(absolute_path).startswith(os.path.realpath(root) + os.sep):
            raise HTTPError(404)
        if not os.path.isfile(absolute_path):
            raise HTTPError(404)
        return absolute_path

    @operation({200: "*/*", 206: "*/*", 304: None}, errors=("not-found", "bad-range"), token="none")
    async def get(self, path: str, include_body: bool = True) -> None:
        """A file of the demo."""
        await super().get(path, include_body)


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
    @operation({200: "text/html", 206: "text/html", 304: None}, token="none")
    async def get(self, path: str, include_body: bool = True) -> None:
        """The page of the demo."""
        await super().get("index.html", include_body)

    async def head(self, path: str) -> None:
        await self.get(path, include_body=False)


class Condition(msgspec.Struct):
    """`ok` or `ready`."""

    status: str


class Health(Handler):
    async def prepare(self) -> None:
        self.access.check_host(self.request)

    @operation({200: Condition}, token="none")
    async def get(self) -> None:
        """Whether the process answers."""
        self.answer(Condition("ok"))


class Ready(Handler):
    @operation({200: Condition}, token="none")
    async def get(self) -> None:
        """Whether new work should be sent here."""
        if self.server.draining:
            raise Unavailable("draining", "The server is stopping.", 5)
        try:
            await self.server.database.fetch("select 1")
        except Exception:
            healthy = False
        else:
            healthy = self.server.healthy
        if not healthy:
            raise Unavailable("unavailable", "The database does not answer.", 5)
        self.answer(Condition("ready"))


class MetricsText(Handler):
    @operation({200: CONTENT_TYPE}, errors=("forbidden",), token="optional")
    async def get(self) -> None:
        """Metrics as Prometheus reads them, for scrapers on this machine, and admins."""
        if not self.access.local(self.request) and self.identity().role != "admin":
            raise Forbidden("forbidden", "Metrics are for this machine and for admins.")
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.server.metrics.text())


class Reference:
    """The document of an application's routes and the page made of it, when they are first asked for."""

    def __init__(self, routes: Sequence[tuple[Any, ...]]) -> None:
        self.routes = routes

    @cached_property
    def document(self) -> Json:
        return document(self.routes)

    @cached_property
    def json(self) -> bytes:
        return msgspec.json.encode(self.document)

    @cached_property
    def page(self) -> str:
        return "".join(page(self.document))


class _ReferenceHandler(Handler):
    async def prepare(self) -> None:
        self.access.check_host(self.request)

    @property
    def reference(self) -> Reference:
        reference: Reference = self.settings["reference"]
        return reference


class Document(_ReferenceHandler):
    @operation({200: "application/json"}, token="none")
    async def get(self) -> None:
        """This document."""
        self.answer(await asyncio.to_thread(lambda: self.reference.json))  # the first time it takes 15 ms


class Docs(_ReferenceHandler):
    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Content-Security-Policy", POLICY)

    @operation({200: "text/html"}, token="none")
    async def get(self) -> None:
        """The same, to be read."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(await asyncio.to_thread(lambda: self.reference.page))


ROUTES = [
    (r"/healthz", Health),
    (r"/readyz", Ready),
    (r"/metrics", MetricsText),
    (r"/api/openapi.json", Document),
    (r"/docs", Docs),
]
