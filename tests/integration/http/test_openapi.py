"""The OpenAPI document is valid and complete, and a real server behaves as it says."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from openapi_spec_validator import validate
from tornado.web import RequestHandler

from chatrooms.app import routes
from chatrooms.errors import CODES, STATUSES
from chatrooms.http import openapi
from chatrooms.http.auth import PASSWORD
from chatrooms.http.openapi import Call, Number
from chatrooms.http.pages import Reference
from chatrooms.http.tornado_internals import NOT_IMPLEMENTED
from tests.helpers.channel import Subscribed, wanted
from tests.helpers.chat import Chat

ROUTES = routes()
DOCUMENT: dict[str, Any] = json.loads(Reference(ROUTES).json)
CALLS: list[Call] = list(openapi.calls(ROUTES))
HANDLERS = Path(openapi.__file__).parent


def name_of(call: Call) -> str:
    return f"{call.method.upper()} {call.path}"


BY_NAME = {name_of(call): call for call in CALLS}


def test_the_document_is_valid() -> None:
    """By the schema of OpenAPI 3.1, and every reference leads somewhere."""
    validate(DOCUMENT)
    for part in json.dumps(DOCUMENT).split('"$ref": "#/')[1:]:
        place: Any = DOCUMENT
        for step in part.partition('"')[0].split("/"):
            place = place[step]


def test_every_route_and_method_is_in_the_document() -> None:
    """And nothing else; HEAD is a GET without its body, OPTIONS a preflight."""
    verbs = {verb.lower() for verb in RequestHandler.SUPPORTED_METHODS} - {"head", "options"}
    assert verbs == set(openapi.METHODS)
    expected = [
        (pattern, verb) for pattern, handler, *_ in ROUTES for verb in verbs
        if getattr(handler, verb) is not NOT_IMPLEMENTED
    ]  # fmt: skip
    told = [(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations]
    assert len(told) == len(expected) == len(CALLS) > 60
    for pattern, method in expected:
        assert [path for path, each in told if each == method and re.fullmatch(pattern, path)], (pattern, method)
    ids = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids)


def test_every_operation_has_a_route() -> None:
    """Every method that declares an operation is reached by a route."""
    declared = [
        (path.stem, handler.name, method.name) for path in HANDLERS.glob("*.py")
        for handler in ast.parse(path.read_text()).body if isinstance(handler, ast.ClassDef)
        for method in handler.body if isinstance(method, ast.AsyncFunctionDef)
        if any(ast.unparse(one).startswith("operation(") for one in method.decorator_list)
    ]  # fmt: skip
    routed = {
        (handler.__module__.rpartition(".")[2], *getattr(handler, verb).__qualname__.split("."))
        for _, handler, *_ in ROUTES for verb in openapi.METHODS
    }  # fmt: skip
    assert len(declared) > 60 and set(declared) <= routed


def test_every_parameter_that_a_handler_reads_is_in_the_document() -> None:
    """Tokens aside: these are security schemes, and a ticket is one's stand-in."""
    read = {
        node.args[0].value for path in HANDLERS.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("query", "number")
        and node.args and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    told = {one.name if isinstance(one, Number) else one for call in CALLS for one in call.operation.query}
    assert len(read) > 10 and read - {"token", "access_token", "ticket"} <= told


def test_every_type_field_and_parameter_is_described() -> None:
    """In a sentence; and no description is left of a field that has gone."""
    schemas = DOCUMENT["components"]["schemas"]
    missing = [
        (name, field) for name, schema in schemas.items()
        for field, one in {"": schema, **schema.get("properties", {})}.items()
        if not one.get("description", "").endswith(".")
    ]  # fmt: skip
    assert missing == []
    parameters = [p for path in DOCUMENT["paths"].values() for call in path.values() for p in call["parameters"]]
    assert len(parameters) > 50 and all(parameter["description"].endswith(".") for parameter in parameters)
    meanings = tomllib.loads((HANDLERS / "fields.toml").read_text())
    fields = {name.partition("_")[0]: set(schema.get("properties", {})) for name, schema in schemas.items()}
    fields["parameters"] = {parameter["name"] for parameter in parameters}
    assert {name for name, one in meanings.items() if isinstance(one, str)} <= set().union(*fields.values())
    assert all(set(one) <= fields[name] for name, one in meanings.items() if isinstance(one, dict))


def test_bodies_are_those_of_the_code() -> None:
    """With their fields, kinds and bounds."""
    posted = DOCUMENT["paths"]["/api/chat/stream"]["post"]
    name = posted["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = DOCUMENT["components"]["schemas"][name]
    assert "message" in schema["properties"]
    assert {"type": "number", "minimum": 0, "maximum": 2} in schema["properties"]["temperature"]["anyOf"]


@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_examples_are_of_their_types(call: Call) -> None:
    """With no unknown field and none missing."""
    told = DOCUMENT["paths"][call.path][call.method]
    one = call.operation
    assert call.text and set(one.errors) <= CODES
    if one.body is not None:
        holds(msgspec.to_builtins(msgspec.convert(one.example, one.body)), one.example)
    for status in one.answers:
        for kind in one.kinds(status):
            if not isinstance(kind, str):
                fits(told["responses"][str(status)]["content"]["application/json"]["example"], kind)


def holds(data: Any, part: Any) -> None:
    """Fails unless some data contain all of a part."""
    if isinstance(part, dict):
        for name, value in part.items():
            holds(data[name], value)
    elif isinstance(part, list):
        for one, value in zip(data, part, strict=True):
            holds(one, value)
    else:
        assert data == part


def fits(data: Any, kind: Any) -> None:
    """Fails for data that is not of this type or has fields that the type does not declare."""
    assert msgspec.to_builtins(msgspec.convert(data, kind)) == data


def test_an_undeclared_field_is_noticed() -> None:
    """Or the tests that use it would prove nothing."""
    declared = BY_NAME["POST /api/auth/ticket"].operation.answers[201]
    fits({"ticket": "x", "expiresIn": 30}, declared)
    with pytest.raises(AssertionError):
        fits({"ticket": "x", "expiresIn": 30, "more": 1}, declared)


class World:
    """Creates what a call needs to succeed."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.token = chat.token("ada", role="admin")

    async def value(self, call: Call, name: str) -> str:
        """The value of a path's parameter."""
        make: Callable[[Call], Awaitable[str]] | None = getattr(self, f"_{name}", None)
        return await make(call) if make else FIXED[name]

    async def body(self, call: Call) -> Any:
        """The declared example, with the secrets that only the server knows."""
        body = call.operation.example
        if "refreshToken" in body:
            return {"refreshToken": (await self._sign_up())["refreshToken"]}
        if "invite" in body:
            return {"invite": (await self._made("/api/rooms/lobby/invites", {}))["invite"]}
        return body

    async def prepare(self, call: Call) -> None:
        """Creates what a call needs beside its path and body, and what it lists."""
        if call.path.startswith("/api/rooms/") or call.path in ("/api/rooms", "/api/invites/accept"):
            for user, method, path, body in LOBBY:
                assert (await self.chat.call(method, path, body, user, "admin")).status < 300
            await self.chat.join("lobby", "ada")
        elif call.path in ("/api/messages", "/api/v1/tasks"):
            await self._made("/api/messages", {"sessionId": "42", "content": "Hi"})
            await self._made("/api/v1/tasks", {"title": "Import"})
        if call.path in ("/api/signin", "/api/auth/password") or name_of(call) == "DELETE /api/auth/me":
            self.token = (await self._sign_up())["token"]
        elif call.path == "/api/auth/extend":
            await self.chat.join("lobby", "ada", clientId="tab-1")

    async def _sign_up(self) -> Any:
        return await self._made("/api/signup", {"username": "Ada", "email": "ada@example.org", "password": PASSWORD})

    async def _made(self, path: str, body: object) -> Any:
        answer = await self.chat.post(path, body, "ada", role="admin")
        assert answer.status in (200, 201, 202), answer
        return answer.data

    async def _messageId(self, call: Call) -> str:
        return str((await self.chat.say("lobby", "Hi", "ada"))["id"])

    async def _inviteId(self, call: Call) -> str:
        return str((await self._made("/api/rooms/lobby/invites", {}))["inviteId"])

    async def _streamId(self, call: Call) -> str:
        return (await Subscribed.open(self.chat, [wanted(self.chat, "a", user="ada")])).stream_id

    async def _replyId(self, call: Call) -> str:
        return str((await self.chat.post("/api/chat/stream", {"message": "Hi"}, "ada")).headers["X-Message-Id"])

    async def _taskId(self, call: Call) -> str:
        if not call.path.endswith("result"):
            task_id = str((await self._made("/api/v1/tasks", {"title": "Import"}))["task_id"])
            if call.path.endswith("progress"):  # so that its stream ends
                await self.chat.call("PATCH", f"/api/v1/tasks/{task_id}", {"state": "cancelled"}, "ada", "admin")
            return task_id
        await self.chat.say("lobby", "Hi", "ada")
        task_id = str((await self._made("/api/rooms/lobby/export", {}))["task_id"])
        await self.chat.get(f"/api/v1/sse/tasks/{task_id}/progress", "ada", role="admin")  # until it has ended
        return task_id


FIXED = {
    "roomId": "lobby", "userId": "bob", "sessionId": "42", "conversationId": "c1", "key": "a",
    "path": "css/reference.css",
}  # fmt: skip


LOBBY: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("dora", "PUT", "/api/rooms/lobby", {"title": "Lobby"}),
    ("ada", "POST", "/api/rooms/lobby/messages", {"message": "Hi", "clientMessageId": "0"}),
    ("ada", "POST", "/api/rooms/lobby/invites", {}),
    ("ada", "PUT", "/api/rooms/lobby/bans/carol", {"seconds": 60}),
    ("ada", "PUT", "/api/rooms/lobby/mutes/carol", {}),
)


@pytest.mark.gen_test
@pytest.mark.parametrize("call", CALLS, ids=name_of)
async def test_calls_answer_as_they_declare(chat: Chat, call: Call) -> None:
    """The declared example gets a declared status, and exactly the body declared for it."""
    world = World(chat)
    await world.prepare(call)
    path = call.path
    for name in call.names:
        path = path.replace(f"{{{name}}}", await world.value(call, name))
    sent = None if call.operation.body is None else await world.body(call)
    await check(chat, call, path, sent, world.token)


@pytest.mark.gen_test
@pytest.mark.parametrize("name", [name for name, call in BY_NAME.items() if "poll" in call.operation.query])
async def test_polls_answer_as_they_declare(chat: Chat, name: str) -> None:
    """A page of events, for each family that can be polled."""
    call = BY_NAME[name]
    room = "roomId=lobby&username=ada&" if call.path == "/events" else ""
    path = call.path
    for part in call.names:
        path = path.replace(f"{{{part}}}", await World(chat).value(call, part))
    path += f"?{room}poll=1"
    await check(chat, call, path, None if call.method == "get" else {}, chat.token("ada", role="admin"))


async def check(chat: Chat, call: Call, path: str, sent: object, token: str) -> None:
    """Makes a call and checks its response; of a stream only the head is read."""
    headers = {"Authorization": f"Bearer {token}"}
    if name_of(call) == "GET /events" and "?" not in path:
        path += "?roomId=lobby&username=ada"
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{chat.port}", timeout=10, verify=False) as client,
        client.stream(call.method, path, json=sent, headers=headers) as answer,
    ):
        media = answer.headers.get("Content-Type", "").partition(";")[0]
        body = b"" if media == openapi.EVENTS else await answer.aread()
        assert answer.status_code in call.operation.answers, body
        kinds = call.operation.kinds(answer.status_code)
        plain = [kind.partition(";")[0] for kind in kinds if isinstance(kind, str)]
        if not kinds:
            assert body == b""
        elif media == "application/json" and media not in plain:
            (kind,) = [kind for kind in kinds if not isinstance(kind, str)]
            fits(json.loads(body), kind)
        else:
            assert media in plain or "*/*" in plain


BAD: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "no token": lambda token: {},
    "a bad token": lambda token: {"headers": {"Authorization": "Bearer x"}},
    "no JSON": lambda token: {"headers": token, "content": b"{"},
    "a form": lambda token: {"headers": {**token, "Content-Type": "multipart/form-data; boundary=x"}},
    "a foreign host": lambda token: {"headers": {**token, "Host": "evil.example"}},
    "a foreign page": lambda token: {"headers": {**token, "Origin": "https://evil.example"}},
    "a bad id": lambda token: {"headers": token},
}


@pytest.mark.gen_test(timeout=60)
@pytest.mark.options(signin_rate=0, guest_rate=0, room_rate=0)
@pytest.mark.parametrize("kind", BAD)
async def test_refusals_are_declared(chat: Chat, kind: str) -> None:
    """By status and code, whatever is wrong with a call."""
    token = {"Authorization": f"Bearer {chat.token('ada', role='admin')}"}
    refused = 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{chat.port}", timeout=10, verify=False) as client:
        for call in CALLS:
            path = re.sub(r"{\w+}", "x%20%00", call.path)
            async with client.stream(call.method, path, **BAD[kind](token)) as answer:
                if answer.status_code < 400:
                    continue
                problem = json.loads(await answer.aread())
            refused += 1
            assert problem["code"] in call.codes, (name_of(call), problem)
            assert problem["code"] in STATUSES[answer.status_code]
            assert str(answer.status_code) in DOCUMENT["paths"][call.path][call.method]["responses"]
    assert refused > 10
