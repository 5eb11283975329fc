"""The reference of the calls: /api/openapi.json for programs, /docs for people."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from chatrooms.handlers import openapi
from chatrooms.handlers.base import Handler
from chatrooms.handlers.pages import POLICY

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
    (r"/api/openapi.json", Document),
    (r"/docs", Docs),
]
