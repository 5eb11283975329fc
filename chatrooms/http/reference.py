"""The OpenAPI document as a page of HTML, without a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

import msgspec

from chatrooms.http.openapi import Json

STYLE = "/static/css/reference.css"

_BOUNDS = {"minimum": "from", "maximum": "to", "maxLength": "at most", "default": "default"}


def page(document: Json) -> Iterator[str]:
    """The page, in pieces."""
    yield f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>chatrooms: the calls</title>
<link rel="stylesheet" href="{STYLE}">
<main>
<h1>The calls</h1>
<p>Version {escape(document["info"]["version"])}. For programs: <a href="/api/openapi.json">openapi.json</a>.</p>
"""
    calls = [(path, *one) for path, methods in document["paths"].items() for one in methods.items()]
    groups = [(tag, list(some)) for tag, some in groupby(calls, lambda call: call[2]["tags"][0])]
    yield "<nav>" + " ".join(f'<a href="#{tag}">{tag}</a>' for tag, _ in groups) + "</nav>\n"
    for tag, some in groups:
        yield f'<h2 id="{tag}">{tag}</h2>\n'
        for path, method, operation in some:
            yield from _operation(path, method, operation, document["components"])
    yield "</main>\n</html>\n"


def _operation(path: str, method: str, operation: Json, components: Json) -> Iterator[str]:
    yield f"<section>\n<h3><code>{method.upper()} {escape(path)}</code></h3>\n"
    security = operation.get("security", [{}])
    token = "" if {} in security else " Needs a token."
    yield f"<p>{escape(operation['summary'])}{token}</p>\n"
    if operation["description"]:
        yield f"<p>{escape(operation['description'])}</p>\n"
    rows = [(p["name"], p["in"], p["schema"], p["required"]) for p in operation["parameters"]]
    body = operation.get("requestBody", {"content": {}})["content"].get("application/json", {})
    rows += [(name, "body", schema, needed) for name, schema, needed in _fields(body.get("schema", {}), components)]
    yield from _table(("name", "in", "kind", "required"), [
        (f"<code>{escape(name)}</code>", place, escape(_kind(schema)), "yes" if needed else "")
        for name, place, schema, needed in rows
    ])  # fmt: skip
    yield from _example("An example", body)
    yield from _answers(operation["responses"], components)
    yield "</section>\n"


def _answers(responses: Json, components: Json) -> Iterator[str]:
    """What a call answers: when it is well with an example, then the codes of its errors."""
    problems = []
    for status, told in responses.items():
        if "$ref" in told:
            if status != "default":
                name = told["$ref"].rpartition("/")[2]
                codes = name.partition(".")[2].replace(".", ", ")
                problems.append((status, f"<code>{codes}</code>"))
            continue
        kinds = told.get("content", {})
        yield f"<p>{status} {escape(told['description'])}{escape(': ' + ' or '.join(kinds) if kinds else '')}</p>\n"
        for content in kinds.values():
            rows = list(_fields(content.get("schema", {}), components))
            yield from _table(("field", "kind"), [
                (f"<code>{escape(name)}</code>", escape(_kind(schema) + ("" if needed else ", or absent")))
                for name, schema, needed in rows
            ])  # fmt: skip
            yield from _example(f"An answer {status}", content)
    yield from _table(("error", "codes"), problems)


def _fields(schema: Json, components: Json) -> Iterator[tuple[str, Json, bool]]:
    """The name and schema of each field of an object, and whether it is always there."""
    named = [one["$ref"].rpartition("/")[2] for one in schema.get("anyOf", [schema]) if "$ref" in one]
    found = components["schemas"][named[0]] if named else {}
    for name, kind in found.get("properties", {}).items():
        yield name, kind, name in found.get("required", ())


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield "<table>\n<tr>" + "".join(f"<th>{head}" for head in heads) + "</tr>\n"
        for row in rows:
            yield "<tr>" + "".join(f"<td>{cell}" for cell in row) + "</tr>\n"
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
        return str(schema["$ref"]).rpartition("/")[2]
    words = [f"list of {_kind(schema['items'])}" if "items" in schema else str(schema.get("type", "any"))]
    words += [f"{text} {schema[key]}" for key, text in _BOUNDS.items() if key in schema]
    return ", ".join(words)
