"""Pages and operators' endpoints: health, metrics, the API's description, the demo (section 9)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from tornado.web import HTTPError, StaticFileHandler

from chatrooms.errors import Forbidden, Unavailable
from chatrooms.http.base import Handler
from chatrooms.http.openapi import Json, document, operation
from chatrooms.server.metrics import CONTENT_TYPE

POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_CODE = re.compile(r"`([^`]+)`")
_BOUNDS = {"minimum": "from", "maximum": "to", "maxLength": "at most", "default": "default"}


VENDOR = "vendor/"  # third-party libraries, in folders that name the version


class Page(Handler, StaticFileHandler):
    """A file of the demo, revalidated on each use: no build step puts versions into file names."""

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

    @operation({200: "*/*", 206: "*/*", 304: None}, errors=("not-found", "bad-range"), token="none")
    async def get(self, path: str, include_body: bool = True) -> None:
        """A file of the demo."""
        await super().get(path, include_body)


def static_folder() -> Path:
    """Where the demo is: beside the package in a checkout, inside it when installed."""
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
    """`status` is `ok` or `ready`."""

    status: str


class Health(Handler):
    async def prepare(self) -> None:
        self.access.check_host(self.request)

    @operation({200: Condition}, token="none")
    async def get(self) -> None:
        """Answers as long as the process is up."""
        self.answer(Condition("ok"))


class Ready(Handler):
    @operation({200: Condition}, token="none")
    async def get(self) -> None:
        """Says whether new requests should be sent to this node."""
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
        """Metrics in Prometheus' text format, for scrapers on this machine and for admins."""
        if not self.access.local(self.request) and self.identity().role != "admin":
            raise Forbidden("forbidden", "Metrics are for this machine and for admins.")
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.server.metrics.text())


class Reference:
    """The OpenAPI document of an application and its page, each built when first requested."""

    def __init__(self, routes: Sequence[tuple[Any, ...]]) -> None:
        self._routes = routes

    @cached_property
    def document(self) -> Json:
        return document(self._routes)

    @cached_property
    def json(self) -> bytes:
        return msgspec.json.encode(self.document)

    @cached_property
    def page(self) -> str:
        return "".join(_page(self.document))


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
        self.answer(await asyncio.to_thread(lambda: self.reference.json))  # 15 ms the first time


class Docs(_ReferenceHandler):
    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Content-Security-Policy", POLICY)

    @operation({200: "text/html"}, token="none")
    async def get(self) -> None:
        """This document as a page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(await asyncio.to_thread(lambda: self.reference.page))


def _page(told: Json) -> Iterator[str]:
    """The parts of the document's page: plain HTML without a script."""
    calls = [(path, *one) for path, methods in told["paths"].items() for one in methods.items()]
    groups = {tag: list(some) for tag, some in groupby(calls, lambda one: one[2]["tags"][0])}
    yield f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>chatrooms: API reference</title>
<link rel="stylesheet" href="/static/css/reference.css">
<main>
<h1>API reference</h1>
<p>Version {escape(told["info"]["version"])}. For programs: <a href="/api/openapi.json">openapi.json</a>.</p>
<nav>{" ".join(f'<a href="#{tag}">{tag}</a>' for tag in (*groups, "types"))}</nav>
"""
    for tag, some in groups.items():
        yield f'<h2 id="{tag}">{tag}</h2>\n'
        for path, method, call in some:
            yield from _operation(f"{method.upper()} {path}", call, told["components"])
    yield '<h2 id="types">types</h2>\n'
    for name, schema in told["components"]["schemas"].items():
        yield f'<section>\n<h3 id="{name}"><code>{name}</code></h3>\n<p>{_text(schema.get("description", ""))}</p>\n'
        yield from _table(("field", "type", "required", "meaning"), list(_fields(schema)))
        yield "</section>\n"
    yield "</main>\n</html>\n"


def _operation(name: str, call: Json, components: Json) -> Iterator[str]:
    yield f"<section>\n<h3><code>{escape(name)}</code></h3>\n"
    yield f"<p>{_text(call['summary'])} {_text(call['description'])}"
    yield "</p>\n" if {} in call.get("security", [{}]) else " Needs a token.</p>\n"
    rows = [
        (
            f"<code>{escape(one['name'])}</code>", one["in"], _kind(one["schema"]), _yes(one["required"]),
            _text(one["description"]),
        ) for one in call["parameters"]
    ]  # fmt: skip
    if "requestBody" in call:
        body = call["requestBody"]["content"]["application/json"]
        kinds = body["schema"].get("anyOf", [body["schema"]])
        named = next(one["$ref"].rpartition("/")[2] for one in kinds if "$ref" in one)
        rows += [(row[0], "body", *row[1:]) for row in _fields(components["schemas"][named])]
    yield from _table(("name", "in", "type", "required", "meaning"), rows)
    if "requestBody" in call:
        yield from _example("Example of the body", body)
    problems = []
    for status, told in call["responses"].items():
        if "$ref" not in told:
            yield from _answer(status, told)
        elif status != "default":
            found = components["responses"][told["$ref"].rpartition("/")[2]]["content"]["application/json"]["schema"]
            problems.append((status, f"<code>{', '.join(found['properties']['code']['enum'])}</code>"))
    yield from ("<details><summary>Errors</summary>\n", *_table(("error", "code"), problems), "</details>\n")
    yield "</section>\n"


def _answer(status: str, told: Json) -> Iterator[str]:
    kinds = told.get("content", {})
    shown = [_kind(content["schema"]) if "schema" in content else escape(kind) for kind, content in kinds.items()]
    yield f"<p>Answers {status}: {' or '.join(shown) or escape(told['description'])}</p>\n"
    for content in kinds.values():
        yield from _example(f"Example of a {status}", content)


def _fields(schema: Json) -> Iterator[tuple[str, str, str, str]]:
    """The name and kind of each field of an object, whether it is required, and what it means."""
    for name, kind in schema.get("properties", {}).items():
        needed = _yes(name in schema.get("required", ()))
        yield f"<code>{escape(name)}</code>", _kind(kind), needed, _text(kind["description"])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield "<table>\n<tr>" + "".join(f"<th>{head}" for head in heads) + "</tr>\n"
        yield from ("<tr>" + "".join(f"<td>{cell}" for cell in row) + "</tr>\n" for row in rows)
        yield "</table>\n"


def _example(title: str, content: Json) -> Iterator[str]:
    if "example" in content:
        shown = msgspec.json.format(msgspec.json.encode(content["example"])).decode()
        yield f"<details><summary>{title}</summary><pre>{escape(shown)}</pre></details>\n"


def _kind(schema: Json) -> str:
    """A schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(_kind(inner) for inner in schema["anyOf"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    words = [str(schema.get("type", "any"))]
    words += [f"{text} {msgspec.json.encode(schema[key]).decode()}" for key, text in _BOUNDS.items() if key in schema]
    return escape(", ".join(words))


def _text(text: str) -> str:
    """A sentence as HTML, with code between backticks."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _yes(holds: bool) -> str:
    return "yes" if holds else ""


ROUTES = [
    (r"/healthz", Health),
    (r"/readyz", Ready),
    (r"/metrics", MetricsText),
    (r"/api/openapi.json", Document),
    (r"/docs", Docs),
]
