"""The reference of the calls: it cannot drift from the code."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tornado.web import Application

from chatrooms.http import openapi, pages
from chatrooms.http.pages import Reference
from tests.helpers.chat import Chat

HANDLERS = Path(openapi.__file__).parent


@pytest.fixture
def described(app: Application) -> dict[str, Any]:
    """The document of the application under test."""
    reference: Reference = app.settings["reference"]
    document: dict[str, Any] = json.loads(reference._make()[0])
    return document


def test_every_route_and_method_is_in_the_document(app: Application, described: dict[str, Any]) -> None:
    """And nothing else is."""
    reference: Reference = app.settings["reference"]
    expected = [
        (pattern.replace("(?P<path>)", ""), method) for pattern, handler, *_ in reference._routes
        for method in openapi.METHODS if openapi.implements(handler, method)
    ]  # fmt: skip
    told = [(path, method) for path, operations in described["paths"].items() for method in operations]
    assert len(told) == len(expected) > 20
    for pattern, method in expected:
        assert [path for path, each in told if each == method and re.fullmatch(pattern, path)], (pattern, method)
    ids = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids)


def test_every_parameter_that_a_handler_reads_is_in_the_document(described: dict[str, Any]) -> None:
    """Tokens aside: these are security schemes, and a ticket is one's stand-in."""
    read = {
        node.args[0].value for path in HANDLERS.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("query", "number")
        and node.args and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    told = {
        parameter["name"] for path in described["paths"].values() for operation in path.values()
        for parameter in operation["parameters"]
    }  # fmt: skip
    assert read - {"token", "access_token", "ticket"} <= told


def test_bodies_are_those_of_the_code(described: dict[str, Any]) -> None:
    """With their fields, kinds and bounds."""
    posted = described["paths"]["/api/chat/stream"]["post"]
    name = posted["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = described["components"]["schemas"][name]
    assert "message" in schema["properties"]
    assert {"type": "number", "minimum": 0, "maximum": 2} in schema["properties"]["temperature"]["anyOf"]


def test_references_lead_somewhere(described: dict[str, Any]) -> None:
    """No `$ref` dangles."""
    text = json.dumps(described)
    for part in text.split('"$ref": "#/')[1:]:
        place: Any = described
        for step in part.partition('"')[0].split("/"):
            place = place[step]


def test_success_statuses_are_those_of_the_code(described: dict[str, Any]) -> None:
    """201 for what is made, 204 for nothing to say, both where both are possible."""
    paths = described["paths"]
    assert list(paths["/api/auth/guest"]["post"]["responses"]) == ["201", "default"]
    assert list(paths["/api/rooms/{roomId}/messages"]["post"]["responses"]) == ["200", "201", "default"]
    assert list(paths["/api/auth/signout"]["post"]["responses"]) == ["204", "default"]


@pytest.mark.gen_test
async def test_docs_are_plain_and_strict(chat: Chat) -> None:
    """No script, nothing from elsewhere, every call with its fields."""
    page = await chat.get("/docs", None)
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"] == pages.POLICY
    text = page.body.decode()
    assert "<script" not in text and "http://" not in text and "https://" not in text and "style=" not in text
    assert "POST /api/rooms/{roomId}/messages" in text and "clientMessageId" in text
    assert (await chat.get("/static/css/reference.css", None)).status == 200


@pytest.mark.gen_test
async def test_document_is_json_for_anyone(chat: Chat) -> None:
    """It says nothing that docs/api.md does not."""
    answer = await chat.get("/api/openapi.json", None)
    assert answer.status == 200
    assert answer.data["openapi"] == "3.1.0"
