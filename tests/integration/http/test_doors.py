"""What stands on every answer, whose Host is served, and what lies behind /static/."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatrooms.http.pages import POLICY, static_folder
from tests.helpers.chat import Chat

EVERYWHERE = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/"),
    ("GET", "/static/index.html"),
    ("GET", "/static/nothing"),
    ("GET", "/docs"),
    ("GET", "/api/openapi.json"),
    ("GET", "/nowhere"),
    ("POST", "/api/auth/guest"),
    ("GET", "/api/rooms"),
    ("GET", "/events"),
    ("PUT", "/api/rooms"),
    ("OPTIONS", "/api/rooms"),
    ("OPTIONS", "/nowhere"),
    ("OPTIONS", "/"),
    ("OPTIONS", "/static/index.html"),
]
PAGES = ("/", "/static/index.html", "/static/nothing", "/docs")
OUTSIDE = [
    "/static/../setup.cfg",
    "/static/%2e%2e/setup.cfg",
    "/static/..%2fsetup.cfg",
    "/static/%2e%2e%2f%2e%2e%2fetc/passwd",
    "/static/..%5csetup.cfg",
    "/static/..\\setup.cfg",
    "/static//etc/passwd",
    "/static/%2fetc/passwd",
    "/static/index.html%00.png",
    "/static/%00",
    "/static/js/../../setup.cfg",
    "/static/%c0%ae%c0%ae/setup.cfg",
    "/static/%ff",
    "/static/js",
    "/static/js/",
    "/static/",
    "/static/" + "a" * 5000,
    "/static/" + "a/" * 2500,
    "/static/__init__.py",
]


@pytest.mark.gen_test
@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
async def test_security_headers_stand_on_every_answer(chat: Chat, method: str, path: str) -> None:
    """Errors and pages that are not there included."""
    answer = await chat.call(method, path, b"{}" if method in ("POST", "PUT") else None, None)
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == ("no-cache" if path in PAGES[:3] else "no-store")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert (headers["Content-Security-Policy"] == POLICY) is (path in PAGES)
    assert "Server" not in headers
    if answer.status >= 400:
        assert set(answer.data) == {"error", "code"}


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4000", "localhost.evil.example", "127.0.0.1.nip.io", "0"]
)
async def test_foreign_hosts_are_refused_everywhere(chat: Chat, host: str) -> None:
    """A page that rebinds its DNS name to this machine sends its own name."""
    for method, path in EVERYWHERE:
        body = b"{}" if method in ("POST", "PUT") else None
        answer = await chat.call(method, path, body, None, headers={"Host": host})
        assert (answer.status, answer.code) in ((403, "bad-host"), (405, "method-not-allowed")), (method, path)


@pytest.mark.gen_test
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:4000", "localhost."])
async def test_own_hosts_are_served(chat: Chat, host: str) -> None:
    """However they are written."""
    assert (await chat.get("/healthz", None, headers={"Host": host})).status == 200


@pytest.mark.gen_test
@pytest.mark.options(allowed_hosts=["Chat.Example"])
async def test_named_hosts_are_served_and_no_other(chat: Chat) -> None:
    """Behind a proxy that passes the name on."""
    assert (await chat.get("/healthz", None, headers={"Host": "chat.example"})).status == 200
    assert (await chat.get("/healthz", None)).status == 403


@pytest.mark.gen_test
@pytest.mark.options(trusted_proxies="127.0.0.1", allowed_hosts="chat.example")
async def test_development_defaults_do_not_hold_behind_a_proxy(chat: Chat) -> None:
    """On loopback the server then serves everybody, by way of the proxy."""
    headers = {"Host": "chat.example", "X-Forwarded-For": "1.2.3.4"}
    page = await chat.get("/api/rooms", headers={**headers, "Origin": "http://localhost:3000"})
    assert "Access-Control-Allow-Origin" not in page.headers
    guest = await chat.post("/api/auth/guest", {"username": "Ann"}, None, headers=headers)
    assert (guest.status, guest.code) == (403, "guests-off")
    said = await chat.post("/api/messages", {"sessionId": "1", "content": "a"}, None, headers=headers)
    assert said.status == 401
    body = {"username": "Ada", "password": "wrong one"}
    tries = [await chat.post("/api/signin", body, None, headers=headers) for _ in range(30)]
    assert 429 in {answer.status for answer in tries}


@pytest.fixture
def link_out(tmp_path: Path) -> Iterator[str]:
    """A symbolic link in the static folder that leads out of it."""
    secret = tmp_path / "outside.txt"
    secret.write_text("a secret")
    link = static_folder() / f"link-of-a-test-{os.getpid()}.txt"
    link.symlink_to(secret)
    yield f"/static/{link.name}"
    link.unlink()


@pytest.mark.gen_test
async def test_a_link_out_of_the_static_folder_is_not_followed(chat: Chat, link_out: str) -> None:
    """Whoever put it there."""
    answer = await chat.get(link_out, None)
    assert answer.status == 404
    assert b"secret" not in answer.body


@pytest.mark.gen_test
@pytest.mark.parametrize("path", OUTSIDE)
async def test_nothing_outside_the_static_folder_is_served(chat: Chat, path: str) -> None:
    """Nor anything about it: the answer is that of a file that is not there."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await chat.raw(request.encode("latin-1"))
    assert answer.status in (400, 403, 404)
    if answer.body:
        assert set(answer.data) == {"error", "code"}


@pytest.mark.gen_test
async def test_405_says_what_is_allowed(chat: Chat) -> None:
    """RFC 9110, 15.5.6."""
    answer = await chat.call("PUT", "/api/rooms", b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, OPTIONS")


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://a@localhost"]
)
async def test_foreign_origins_get_no_cors_headers(chat: Chat, origin: str) -> None:
    """Not even a Vary that tells that others do."""
    for method in ("GET", "OPTIONS"):
        answer = await chat.call(method, "/api/rooms", None, headers={"Origin": origin})
        assert [name for name in answer.headers if name.startswith("Access-Control")] == []


@pytest.mark.gen_test
async def test_own_origins_may_call(chat: Chat) -> None:
    """By exact name, without credentials, and with the headers of the contract."""
    origin = "http://localhost:5173"
    answer = await chat.call("OPTIONS", "/api/rooms", None, None, headers={"Origin": origin})
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Headers"] == (
        "Authorization, Content-Type, Last-Event-ID, X-Client-Version"
    )
    assert answer.headers["Access-Control-Expose-Headers"] == "X-Message-Id, Retry-After"
    assert "Access-Control-Allow-Credentials" not in answer.headers
