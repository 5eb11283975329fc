"""The OpenAPI document, built from the operations that handler methods declare with `@operation`."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import responses
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from chatrooms.errors import CODES, STATUSES
from chatrooms.http.tornado_internals import NOT_IMPLEMENTED
from chatrooms.options import VERSION

METHODS = ("get", "post", "put", "patch", "delete")  # HEAD is a GET without its body, OPTIONS a preflight
EVENTS = "text/event-stream"
REF = "#/components/schemas/{name}"

_GROUP = re.compile(r"\((?:\?P<\w+>)?[^()]*\)")

Json = dict[str, Any]
Method = TypeVar("Method", bound=Callable[..., Any])


class Problem(msgspec.Struct):
    """Every error: a sentence for people, and a stable code for programs."""

    error: str
    code: str


class Number(NamedTuple):
    """A whole number in the query, its default and bounds: the arguments of `Handler.number`."""

    name: str
    default: int
    least: int
    most: int


class Operation(NamedTuple):
    """What one method of a handler takes and returns.

    answers  by status: the type of the JSON body, a media type, a tuple of several, or None for no body
    body     the type of the request's JSON body
    example  a sample of that body
    query    the query parameters it reads
    errors   the error codes besides those implied by the other fields
    token    whether it needs a token
    """

    answers: Mapping[int, Any]
    body: Any = None
    example: Any = None
    query: Sequence[str | Number] = ()
    errors: Sequence[str] = ()
    token: Literal["needed", "optional", "none"] = "needed"

    @property
    def shapes(self) -> list[Any]:
        """The types of its bodies."""
        told = [kind for status in self.answers for kind in self.kinds(status) if not isinstance(kind, str)]
        return told if self.body is None else [self.body, *told]

    @property
    def streams(self) -> bool:
        """Whether it returns an event stream."""
        return any(EVENTS in self.kinds(status) for status in self.answers)

    def kinds(self, status: int) -> tuple[Any, ...]:
        """The types and media types that the body of an answer may have."""
        kind = self.answers[status]
        return kind if isinstance(kind, tuple) else () if kind is None else (kind,)


class Call(NamedTuple):
    """A method of a route. `path` has the names of its parameters in braces."""

    method: str
    path: str
    names: Sequence[str]
    operation: Operation
    text: str
    tag: str

    @property
    def codes(self) -> set[str]:
        """The codes of all its errors."""
        one = self.operation
        found = {*one.errors, "bad-host", "draining", "unavailable"}
        if one.token != "none":
            found |= {"token-missing", "token-invalid", "token-expired", "token-revoked", "bad-origin"}
        if self.method != "get":
            found |= {"bad-origin", "rate-limited"}
        if self.names or one.query or one.body:
            found |= {"bad-field", "bad-id"}
        if one.body:
            found |= {"bad-json", "too-large", "unsupported-media-type"}
        if one.streams:
            found |= {"ticket-invalid", "too-many-streams", "replaced-too-often", "full", "rate-limited"}
        return found


def operation(answers: Mapping[int, Any], **declared: Any) -> Callable[[Method], Method]:
    """Declares what a handler's method does; its docstring is the description. Takes the fields of `Operation`."""

    def declare(method: Method) -> Method:
        method.operation = Operation(answers, **declared)  # type: ignore[attr-defined]
        return method

    return declare


def calls(routes: Sequence[tuple[Any, ...]]) -> Iterator[Call]:
    """The calls of these routes, each a tuple (pattern, handler, …)."""
    for pattern, handler, *_ in routes:
        for name in METHODS:
            method = getattr(handler, name)
            if method is not NOT_IMPLEMENTED:
                path, names = _path(pattern, method)
                tag = handler.__module__.rpartition(".")[2]
                yield Call(name, path, names, method.operation, inspect.cleandoc(method.__doc__), tag)


def document(routes: Sequence[tuple[Any, ...]]) -> Json:
    """The OpenAPI 3.1 document of these routes."""
    found = list(calls(routes))
    shapes = list(dict.fromkeys([Problem, *(shape for call in found for shape in call.operation.shapes)]))
    references, schemas = msgspec.json.schema_components(shapes, ref_template=REF)
    schemas["Problem"]["properties"]["code"]["enum"] = sorted(CODES)
    writer = _Writer(dict(zip(shapes, references, strict=True)), schemas)
    paths: Json = {}
    for call in found:
        paths.setdefault(call.path, {})[call.method] = writer.operation(call)
    _describe(schemas, paths)
    components = {"schemas": schemas, "responses": writer.problems, "securitySchemes": _SCHEMES}
    info = {"title": "chatrooms", "version": VERSION}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


def _describe(schemas: Json, paths: Json) -> None:
    """Adds the descriptions of fields.toml. Raises KeyError for a field or parameter that is not there."""
    meanings = tomllib.loads(Path(__file__).with_name("fields.toml").read_text())
    for name, schema in schemas.items():
        own = meanings.get(name.partition("_")[0], {})  # before the parameter of a generic type
        for field, described in schema.get("properties", {}).items():
            described["description"] = own.get(field) or meanings[field]
    for methods in paths.values():
        for parameter in (one for call in methods.values() for one in call["parameters"]):
            name = parameter["name"]
            parameter["description"] = meanings["parameters"].get(name) or meanings[name]


class _Writer:
    """Turns calls into JSON; `problems` collects the error responses that they share."""

    def __init__(self, by_shape: Mapping[Any, Json], schemas: Mapping[str, Json]) -> None:
        self._by_shape = by_shape
        self._schemas = schemas
        self.problems: Json = {"Problem": _problem("What is wrong; 429 and 503 have Retry-After.", {})}

    def operation(self, call: Call) -> Json:
        one = call.operation
        summary, _, more = call.text.partition("\n")
        told: Json = {
            "operationId": call.method + re.sub(r"\W+", "-", call.path), "summary": summary,
            "description": more.strip(), "tags": [call.tag], "parameters": _parameters(call),
        }  # fmt: skip
        if one.body is not None:
            content = {"schema": self._by_shape[one.body], "example": one.example}
            needed = isinstance(one.body, type) and any(field.required for field in msgspec.structs.fields(one.body))
            told["requestBody"] = {"required": needed, "content": {"application/json": content}}
        told["responses"] = {str(status): self._answer(status, one) for status in one.answers}
        for status, codes in STATUSES.items():
            if ours := sorted(call.codes & set(codes)):
                told["responses"][str(status)] = self._problem(status, ours)
        told["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
        if one.token != "none":
            schemes = [name for name in _SCHEMES if name != "ticket" or one.streams]
            told["security"] = [{name: []} for name in schemes] + ([{}] if one.token == "optional" else [])
        return told

    def _answer(self, status: int, one: Operation) -> Json:
        content: Json = {kind: {} for kind in one.kinds(status) if isinstance(kind, str)}
        for kind in one.kinds(status):
            if not isinstance(kind, str):
                content["application/json"] = self._json(kind)
        return {"description": responses[status], **({"content": content} if content else {})}

    def _json(self, kind: Any) -> Json:
        return {"schema": self._by_shape[kind], "example": self._sample(self._by_shape[kind])}

    def _sample(self, schema: Json, name: str = "") -> Any:
        """An example for a schema: its required fields, with the values of _SAMPLES."""
        if "$ref" in schema:
            return self._sample(self._schemas[schema["$ref"].rpartition("/")[2]])
        if schema.get("type") == "object" and "properties" in schema:
            return {field: self._sample(schema["properties"][field], field) for field in schema["required"]}
        if schema.get("type") == "array":
            return [self._sample(schema["items"], name)]
        if "enum" in schema:
            return schema["enum"][0]
        return _TIME if name.endswith("At") and schema["type"] == "integer" else _SAMPLES[name]

    def _problem(self, status: int, codes: Sequence[str]) -> Json:
        """A reference to the response of this status with one of these codes."""
        name = f"{status}.{'.'.join(codes)}"
        if name not in self.problems:
            self.problems[name] = _problem(f"{responses[status]}: {', '.join(codes)}.", {"enum": codes})
        return {"$ref": f"#/components/responses/{name}"}


def _problem(description: str, code: Json) -> Json:
    schema: Json = {"$ref": REF.format(name="Problem"), **({"properties": {"code": code}} if code else {})}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _path(pattern: str, method: Any) -> tuple[str, list[str]]:
    """A route's path with its parameter names in braces, and those names."""
    rest = iter(method.__code__.co_varnames[1 : method.__code__.co_argcount])
    shown: list[str] = []

    def place(group: re.Match[str]) -> str:
        name = re.sub(r"_(\w)", lambda match: match[1].upper(), next(rest))
        if group[0].endswith(">)"):  # matches only the empty string
            return ""
        shown.append(name)
        return "{" + name + "}"

    return _GROUP.sub(place, pattern), shown


def _parameters(call: Call) -> list[Json]:
    found = [_parameter("path", name, {"type": "string"}, _SAMPLES.get(name)) for name in call.names]
    for one in call.operation.query:
        if isinstance(one, Number):
            bounds = {"type": "integer", "default": one.default, "minimum": one.least, "maximum": one.most}
            found.append(_parameter("query", one.name, bounds))
        else:
            found.append(_parameter("query", one, {"type": "string"}))
    if call.operation.streams and call.method == "get":
        found.append(_parameter("header", "Last-Event-ID", {"type": "string"}))
    return found


def _parameter(place: str, name: str, schema: Json, example: Any = None) -> Json:
    shown = {} if example is None else {"example": example}
    return {"name": name, "in": place, "required": place == "path", "schema": schema, **shown}


_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "token": {"type": "apiKey", "in": "query", "name": "token"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "chatrooms_token"},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
}
_TIME, _LATER, _ISO = 1_767_225_600_000, 1_767_226_500_000, "2026-01-01T00:00:00.000Z"
_ID, _SECRET = "k3v9-42", "q5Zc1vJ8"
# Values in examples, by field or parameter name.
_SAMPLES: Json = {
    "roomId": "lobby", "userId": "ada", "username": "Ada", "clientId": "tab-1", "title": "Lobby", "role": "user",
    "private": False, "slowMode": 0, "onlineCount": 1, "hasMore": False, "more": False, "recovered": True,
    "id": _ID, "messageId": _ID, "lastEventId": _ID, "message": "Hello", "content": "Hello", "timestamp": _TIME,
    "createdAt": _ISO, "expiresAt": _LATER, "until": _LATER, "updated_at": _ISO, "expiresIn": 900,
    "token": "eyJhbGciOi…", "access_token": "eyJhbGciOi…", "refreshToken": _SECRET, "refresh_token": _SECRET,
    "ticket": _SECRET, "invite": _SECRET, "inviteId": "i7", "uses": 1, "createdBy": "ada", "actorId": "ada",
    "action": "banned", "event": "room-message", "data": {"color": "red"}, "streamId": _SECRET, "key": "a", "keys": "a",
    "replyId": "r8", "conversationId": "c1", "sessionId": "42", "robotId": None, "intent": None, "isHuman": True,
    "isFromBot": False, "totalConnections": 1, "channels": {"room:lobby": 1}, "status": "ok", "path": "index.html",
    "taskId": "import-7", "task_id": "import-7", "state": "running", "progress": 40, "estimated_time": 30,
}  # fmt: skip
