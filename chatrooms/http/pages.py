"""Pages and what operators ask for: health, metrics, the API's description, the demo (section 9)."""

from __future__ import annotations

import asyncio
import html
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tornado.web import HTTPError, StaticFileHandler

from chatrooms.errors import Forbidden, Unavailable
from chatrooms.http import openapi
from chatrooms.http.base import Handler
from chatrooms.server.metrics import CONTENT_TYPE

POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


VENDOR = "vendor/"  # third-party libraries, in folders that name the version


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


class Health(Handler):
    """The process answers."""

    async def prepare(self) -> None:
        self.access.check_host(self.request)

    async def get(self) -> None:
        self.answer({"status": "ok"})


class Ready(Handler):
    """Whether new work should be sent here."""

    async def get(self) -> None:
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
        self.answer({"status": "ready"})


class MetricsText(Handler):
    """For scrapers on this machine, and admins."""

    async def get(self) -> None:
        if not self.access.local(self.request) and self.identity().role != "admin":
            raise Forbidden("forbidden", "Metrics are for this machine and for admins.")
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.server.metrics.text())


STYLE = "/static/css/reference.css"


class Reference:
    """The document of an application's routes; made once, when it is first asked for."""

    def __init__(self, routes: Sequence[tuple[Any, ...]]) -> None:
        self._routes = routes
        self._made: asyncio.Task[tuple[bytes, bytes]] | None = None

    async def json(self) -> bytes:
        return (await self._both())[0]

    async def page(self) -> bytes:
        return (await self._both())[1]

    async def _both(self) -> tuple[bytes, bytes]:
        if self._made is None:
            # In a thread: it reads all handlers' code, which takes longer than the event loop may be held.
            self._made = asyncio.create_task(asyncio.to_thread(self._make))
        return await asyncio.shield(self._made)

    def _make(self) -> tuple[bytes, bytes]:
        document = openapi.document(self._routes)
        return msgspec.json.encode(document), "".join(_page(document)).encode()


class _ReferenceHandler(Handler):
    async def prepare(self) -> None:
        self.access.check_host(self.request)

    @property
    def reference(self) -> Reference:
        reference: Reference = self.settings["reference"]
        return reference


class Document(_ReferenceHandler):
    """The OpenAPI document."""

    async def get(self) -> None:
        self.answer(await self.reference.json())


class Docs(_ReferenceHandler):
    """The same, to be read."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Content-Security-Policy", POLICY)

    async def get(self) -> None:
        page = await self.reference.page()
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(page)


def _page(document: dict[str, Any]) -> Iterator[str]:
    yield f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>chatrooms: the calls</title>
<link rel="stylesheet" href="{STYLE}">
<main>
<h1>The calls</h1>
<p>Version {html.escape(document["info"]["version"])}. For programs: <a href="/api/openapi.json">openapi.json</a>.</p>
"""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(path, method, operation, document["components"]["schemas"])
    yield "</main>\n</html>\n"


def _operation(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    yield f"<section>\n<h2><code>{method.upper()} {html.escape(path)}</code></h2>\n"
    token = " Needs a token." if "security" in operation else ""
    yield f"<p>{html.escape(operation['summary'])}{token}</p>\n"
    rows = [(p["name"], p["in"], p["schema"], p["required"]) for p in operation["parameters"]]
    if "requestBody" in operation:
        name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        required = schemas[name].get("required", [])
        rows += [(field, "body", shape, field in required) for field, shape in schemas[name]["properties"].items()]
    if rows:
        yield "<table>\n<tr><th>name<th>in<th>kind<th>required</tr>\n"
        for field, place, shape, required in rows:
            yield f"<tr><td><code>{html.escape(field)}</code><td>{place}<td>{html.escape(_kind(shape))}"
            yield f"<td>{'yes' if required else ''}</tr>\n"
        yield "</table>\n"
    answers = ", ".join(status for status in operation["responses"] if status != "default")
    yield f"<p>Answers {answers}.</p>\n</section>\n"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(_kind(inner) for inner in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    words = [f"list of {_kind(schema['items'])}" if "items" in schema else str(schema.get("type", "any"))]
    words += [f"{text} {schema[key]}" for key, text in _BOUNDS.items() if key in schema]
    return ", ".join(words)


_BOUNDS = {"minimum": "from", "maximum": "to", "maxLength": "at most", "default": "default"}


ROUTES = [
    (r"/healthz", Health),
    (r"/readyz", Ready),
    (r"/metrics", MetricsText),
    (r"/api/openapi.json", Document),
    (r"/docs", Docs),
]
