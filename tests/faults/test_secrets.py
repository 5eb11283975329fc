"""No secret in the log, at any level, in any form, whatever is sent."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.server_process import SECRET, token
from tests.faults.conftest import Serve
from tests.helpers.chat import Answer, Caller, parse_head, within
from tests.helpers.reader import LIMIT

MARK = "canary"  # in every secret of the test's own making


class Canaries:
    """Makes recognisable secrets, and remembers those that the server made."""

    def __init__(self) -> None:
        self.known = {SECRET}

    def new(self) -> str:
        made = f"{MARK}{secrets.token_hex(6)}"
        self.known.add(made)
        return made

    def keep(self, answer: Any) -> None:
        """Remembers all tokens and tickets in an answer."""
        if isinstance(answer, dict):
            for name, value in answer.items():
                if isinstance(value, str) and re.search("(?i)token|ticket", name):
                    self.known.add(value)
                self.keep(value)


async def send(port: int, request: bytes) -> bytes:
    """What comes back until the server hangs up, or for a moment when it does not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(1 << 16), LIMIT)
    except OSError:
        return b""
    finally:
        writer.transport.abort()


def malformed(canaries: Canaries) -> Iterator[bytes]:
    """Requests that Tornado or asyncio complains of, each with a secret where it hurts."""
    new = canaries.new
    host = "Host: localhost\r\n"
    for target in (f"/events?token={new()}", f"/events?ticket={new()}&x=\0", f"/api/rooms?access_token={new()}"):
        yield f"GET {target} HTTP/1.1\r\n\r\n".encode()
        yield f"GET {target} HTTP/9\r\n{host}\r\n".encode()
        yield f"GET {target} x HTTP/1.1\r\n{host}\r\n".encode()
    for header in ("Authorization: Bearer ", "Cookie: chatrooms_token=", "Host: ", "Transfer-Encoding: ", "X\0: "):
        yield f"GET / HTTP/1.1\r\n{host}{header}{new()}\x01\r\n\r\n".encode()
        yield f"GET / HTTP/1.1\r\n{header}{new()}\r\n folded\r\n\r\n".encode()
    yield f"{new()}\r\n\r\n".encode()
    yield f"POST /api/signin HTTP/1.1\r\n{host}Content-Length: {new()}\r\n\r\n".encode()
    yield f"POST /api/signin HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{new()}\r\n".encode()
    form = f"--x\r\nContent-Disposition: {new()}\r\n\r\n{new()}\r\n--x--\r\n"
    kind = "Content-Type: multipart/form-data; boundary=x"
    yield f"POST /api/signin HTTP/1.1\r\n{host}{kind}\r\nContent-Length: {len(form)}\r\n\r\n{form}".encode()
    yield f"GET /?x={new()} HTTP/1.1\r\n{host}X: {'a' * 20_000}\r\n\r\n".encode()


def every_call(canaries: Canaries, document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Each call with a secret in every place that may hold one: method, target, headers, body."""
    for path, operations in document["paths"].items():
        path = re.sub(r"\{\w+\}", "lobby", path)
        for method, operation in operations.items():
            body = b""
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                names = {ref.rpartition("/")[2] for ref in re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema))}
                fields = {field for name in names for field in document["components"]["schemas"][name]["properties"]}
                body = json.dumps({field: canaries.new() for field in fields}).encode()
            for place in ("token", "access_token", "ticket"):
                yield method.upper(), f"{path}?{place}={canaries.new()}", {}, body
            for header in ("Authorization: Bearer ", "Authorization: Basic ", "Cookie: chatrooms_token="):
                named, _, value = header.partition(": ")
                yield method.upper(), path, {named: value + canaries.new()}, body
            signed = token("alice", "admin")
            canaries.known.add(signed)
            yield method.upper(), f"{path}?token={signed}", {}, body
            yield method.upper(), path, {"Authorization": f"Bearer {signed}"}, body


async def whole_life(caller: Caller, canaries: Canaries) -> list[int]:
    """An account's way with all that is secret in it; returns the statuses."""
    password, other = canaries.new(), canaries.new()
    answers: list[Answer] = []

    async def call(method: str, path: str, body: object = None) -> Any:
        answer = await caller.call(method, path, body)
        answers.append(answer)
        body = answer.data if answer.headers.get("Content-Type", "").startswith("application/json") else answer.text
        canaries.keep(body)
        return body

    guest = await call("POST", "/api/auth/guest", {"username": "Ada"})
    await call("POST", "/api/auth/refresh", {"refreshToken": guest["refreshToken"]})
    person = {"username": "Bea", "email": "bea@example.org", "password": password}
    signed_up = await call("POST", "/api/signup", person)
    await call("POST", "/api/signin", {"username": "Bea", "password": password})
    await call("POST", "/api/signin", {"username": "Bea", "password": other})
    bea = {"Authorization": f"Bearer {signed_up['token']}"}
    ticket = await caller.call("POST", "/api/auth/ticket", headers=bea)
    canaries.keep(ticket.data)
    path = f"/events?ticket={quote(ticket.data['ticket'])}&roomId=a&username=Bea&poll=1"
    answers.append(await caller.call("GET", path, headers=bea))
    change = {"currentPassword": password, "newPassword": other}
    answers.append(await caller.call("POST", "/api/auth/password", change, headers=bea))
    canaries.keep(answers[-1].data)
    await call("POST", "/api/rooms/lobby/messages", {"message": canaries.new()})
    await call("POST", "/api/chat/stream", {"message": canaries.new(), "history": [{"role": "user", "content": MARK}]})
    return [answer.status for answer in answers]


@pytest.mark.parametrize("form", ["text", "json"])
@within(90)
async def test_no_secret_is_ever_logged(serve: Serve, form: str) -> None:
    """Every call with recognisable secrets everywhere, well formed and not, at the level debug."""
    server = serve("--log-level=debug", f"--log-format={form}", "--ai-delay=0", "--max-streams-per-user=0")
    canaries = Canaries()
    caller = Caller(server.url, "alice")
    document = (await caller.call("GET", "/api/openapi.json")).data
    statuses = await whole_life(caller, canaries)
    assert statuses.count(401) == 1 and max(statuses) == 401, statuses
    for request in malformed(canaries):
        assert b"Traceback" not in await send(server.port, request)
    for method, target, headers, body in every_call(canaries, document):
        lines = {**headers, "Host": "localhost", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        answer = await send(server.port, f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
        assert parse_head(answer.partition(b"\r\n\r\n")[0])[0] < 500
    caller.close()
    server.terminate()
    written = "\n".join(server.log)
    assert len(server.log) > 200
    assert [secret for secret in canaries.known if secret in written] == []
    assert MARK not in written
    assert "eyJ" not in written
