"""The OpenAPI document, read off the routes and their handlers, so that it cannot drift.

What a method takes is what its code asks for: `self.body(Shape)`, `self.query("name")`,
`self.number("name", …)`, `self.identity()`, in itself or in the helpers that it calls.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from tornado.web import RequestHandler

from chatrooms.errors import CODES
from chatrooms.http.tornado_internals import NOT_IMPLEMENTED
from chatrooms.options import VERSION

METHODS = ("get", "post", "put", "patch", "delete")
STREAMED = frozenset({"take_socket", "write_reply"})  # who calls these answers with an event stream
SIGNED_IN = frozenset({"identity", "stream_identity"})
REF = "#/components/schemas/{name}"

_GROUP = re.compile(r"\((?:\?P<\w+>)?[^()]*\)")

Json = dict[str, Any]


class Problem(msgspec.Struct):
    """Every error: a sentence for a person, and a stable code for programs."""

    error: str
    code: str


class Asked(NamedTuple):
    """One call in a handler's code: its name, its arguments, and the function it stands in."""

    name: str
    arguments: Sequence[ast.expr]
    function: Any

    def value(self, index: int) -> Any:
        """An argument, when it is a constant or a name of the module; else None."""
        node = self.arguments[index] if index < len(self.arguments) else None
        if isinstance(node, ast.Constant):
            return node.value
        return self.function.__globals__.get(node.id) if isinstance(node, ast.Name) else None


def document(routes: Sequence[tuple[Any, ...]]) -> Json:
    """The OpenAPI 3.1 document of these routes: (pattern, handler, …) each."""
    found = [
        (pattern, handler, method, list(_calls(handler, getattr(handler, method), set())))
        for pattern, handler, *_ in routes for method in METHODS if implements(handler, method)
    ]  # fmt: skip
    shapes = list(dict.fromkeys([Problem, *(body for *_, calls in found for body in _bodies(calls))]))
    references, schemas = msgspec.json.schema_components(shapes, ref_template=REF)
    schemas["Problem"]["properties"]["code"]["enum"] = sorted(CODES)
    by_shape = dict(zip(shapes, references, strict=True))
    paths: Json = {}
    for pattern, handler, method, calls in found:
        path, names = _path(pattern, _parameter_names(getattr(handler, method)))
        operation = _operation(handler, method, names, calls, by_shape)
        paths.setdefault(path, {})[method] = {"operationId": method + re.sub(r"\W+", "-", path), **operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "chatrooms", "version": VERSION},
        "paths": paths,
        "components": {"schemas": schemas, "responses": _RESPONSES, "securitySchemes": _SCHEMES},
    }


def implements(handler: type[RequestHandler], method: str) -> bool:
    """Whether a handler has that method, and not only Tornado's 405."""
    return getattr(handler, method) is not NOT_IMPLEMENTED


def _operation(
    handler: type[RequestHandler], method: str, names: Sequence[str], calls: Sequence[Asked], by_shape: dict[type, Json]
) -> Json:
    operation: Json = {
        "summary": _summary(handler, method),
        "tags": [handler.__module__.rpartition(".")[2]],
        "parameters": [_parameter("path", name, {"type": "string"}, True) for name in names] + _asked(calls),
        "responses": {**_answers(calls), "default": {"$ref": "#/components/responses/Problem"}},
    }
    for body in _bodies(calls):
        operation["requestBody"] = {"content": {"application/json": {"schema": by_shape[body]}}}
    if any(call.name in SIGNED_IN for call in calls):
        operation["security"] = [{scheme: []} for scheme in _SCHEMES]
    return operation


def _summary(handler: type[RequestHandler], method: str) -> str:
    """The first line of the method's docstring, else of the handler's own, else the handler's name."""
    text = getattr(handler, method).__doc__ or handler.__dict__.get("__doc__")
    return text.splitlines()[0] if text else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", handler.__name__)


def _path(pattern: str, names: Sequence[str]) -> tuple[str, list[str]]:
    """A route's path with the names of its groups in braces, and these names."""
    rest, shown = iter(names), []

    def place(group: re.Match[str]) -> str:
        name = next(rest)
        if group[0].endswith(">)"):  # it matches nothing
            return ""
        shown.append(name)
        return "{" + name + "}"

    return _GROUP.sub(place, pattern), shown


def _parameter_names(method: Any) -> list[str]:
    """The arguments of a method that come from the path, as the contract writes them."""
    named = [
        name for name, parameter in inspect.signature(method).parameters.items()
        if name not in ("self", "include_body") and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]  # fmt: skip
    return [re.sub(r"_(\w)", lambda match: match[1].upper(), name) for name in named]


def _calls(handler: type[RequestHandler], function: Any, seen: set[str]) -> Iterator[Asked]:
    """All calls in a function of a handler, and in what it calls of the handler."""
    if not function.__module__.startswith("chatrooms"):
        return
    for node in ast.walk(_source(function)):
        if not isinstance(node, ast.Call):
            continue
        own = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "self"
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        yield Asked(name, node.args, function)
        helper = getattr(handler, name, None) if own else None
        if inspect.isfunction(helper) and name not in seen and name not in SIGNED_IN:
            seen.add(name)
            yield from _calls(handler, helper, seen)


def _source(function: Any) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def _bodies(calls: Sequence[Asked]) -> list[type]:
    return [call.value(0) for call in calls if call.name == "body" and isinstance(call.value(0), type)]


def _asked(calls: Sequence[Asked]) -> list[Json]:
    """The parameters that are read from the query, and the one header that says where to go on."""
    found: dict[str, Json] = {}
    for call in calls:
        name = call.value(0)
        if call.name == "number" and isinstance(name, str):
            bounds = {"default": call.value(1), "minimum": call.value(2), "maximum": call.value(3)}
            known = {key: bound for key, bound in bounds.items() if bound is not None}
            found[name] = _parameter("query", name, {"type": "integer", **known}, False)
        elif call.name == "query" and isinstance(name, str):
            found.setdefault(name, _parameter("query", name, {"type": "string"}, False))
        elif call.name == "get" and name == "Last-Event-ID":
            found[name] = _parameter("header", name, {"type": "string"}, False)
    return list(found.values())


def _parameter(place: str, name: str, schema: Json, required: bool) -> Json:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _answers(calls: Sequence[Asked]) -> Json:
    """The statuses that a method answers with when nothing is wrong."""
    if any(call.name in STREAMED for call in calls):
        return {"200": {"description": "An event stream.", "content": {"text/event-stream": {}}}}
    given = [
        (node, call.function) for call in calls if call.name in _STATUS_PLACES
        for node in call.arguments[_STATUS_PLACES[call.name] :][:1]
    ]  # fmt: skip
    statuses = sorted({status for node, function in given for status in _successes(node, function)}) or [200]
    return {str(status): {"description": "Done."} for status in statuses}


def _successes(node: ast.expr, function: Any) -> Iterator[int]:
    """The constants from 200 to 299 in an expression, or in the function that it calls."""
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    called = function.__globals__.get(node.func.id) if named else None  # type: ignore[attr-defined]
    for inner in ast.walk(_source(called) if inspect.isfunction(called) else node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, int) and 200 <= inner.value < 300:
            yield inner.value


_STATUS_PLACES = {"answer": 1, "give": 1, "set_status": 0}  # which argument is the status
_RESPONSES: Json = {
    "Problem": {
        "description": "What is wrong; 429 and 503 have Retry-After.",
        "content": {"application/json": {"schema": {"$ref": REF.format(name="Problem")}}},
    }
}
_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "token": {"type": "apiKey", "in": "query", "name": "token"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "chatrooms_token"},
}
