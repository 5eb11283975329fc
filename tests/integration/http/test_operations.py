"""Operations (section 9): health, metrics, hosts, origins, logs."""

from __future__ import annotations

import logging
import re

import pytest

from tests.helpers.chat import Chat

pytestmark = pytest.mark.gen_test(timeout=30)

ALLOWED = "Authorization, Content-Type, Last-Event-ID, X-Client-Version"


async def test_health_and_readiness(chat: Chat) -> None:
    """Both answer without a token; readiness ends with the drain, health does not."""
    assert (await chat.get("/healthz", None)).data == {"status": "ok"}
    assert (await chat.get("/readyz", None)).data == {"status": "ready"}
    chat.server.draining = True
    refused = await chat.get("/readyz", None)
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "draining", "5")
    assert (await chat.get("/healthz", None)).status == 200


async def test_readiness_needs_the_database(chat: Chat) -> None:
    """A server without it takes no new work."""
    await chat.server.database._reader.close()  # type: ignore[attr-defined]
    refused = await chat.get("/readyz", None)
    assert (refused.status, refused.code) == (503, "unavailable")


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For:", "Forwarded: for=x", "X-Real-IP: 127.0.0.1", "Via: 1.1 x"]
)
async def test_metrics_are_for_this_machine_only(chat: Chat, header: str) -> None:
    """What came through a proxy is not from here, whatever it says."""
    name, _, value = header.partition(":")
    headers = {name: value.strip()}
    assert (await chat.get("/metrics", None)).status == 200
    assert (await chat.get("/metrics", None, headers=headers)).status == 401
    assert (await chat.get("/metrics", "bob", headers=headers)).status == 403
    assert (await chat.get("/metrics", "bob", role="service", headers=headers)).status == 403
    assert (await chat.get("/metrics", "bob", role="admin", headers=headers)).status == 200


async def test_metrics_count(chat: Chat) -> None:
    """In the Prometheus text format."""
    await chat.call("PUT", "/api/rooms/lobby/membership")  # an event, which the stream else brings some time later
    await chat.join()
    await chat.say_all("lobby", ["a", "b", "c"])
    answer = await chat.get("/metrics", None)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    values = dict(re.findall(r"^(chatrooms_\w+(?:\{[^}]*\})?) (\S+)$", answer.body.decode(), re.MULTILINE))
    assert values["chatrooms_streams"] == "1.0"
    assert values["chatrooms_events_total"] == values["chatrooms_log_head"] == "4.0"
    assert values['chatrooms_requests_total{method="POST",status="201"}'] == "1.0"


@pytest.mark.parametrize(
    ("host", "served"),
    [("localhost", True), ("LOCALHOST:4000", True), ("127.0.0.1:1", True), ("[::1]:4000", True), ("localhost.", True),
     ("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example:4000", False),
     ("[::2]", False),
     ("evil.example#localhost", False)],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/healthz", "/", "/events", "/api/rooms", "/nothing", "/metrics"])
async def test_only_own_hosts_are_served(chat: Chat, host: str, served: bool, path: str) -> None:
    """A page that rebinds its name to this machine sends its own name (DNS rebinding)."""
    answer = await chat.raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    if served:
        assert answer.status != 403 or answer.code != "bad-host"
    else:
        # Tornado itself refuses a Host of impossible characters.
        assert (answer.status == 403 and answer.code == "bad-host") or answer.status == 400


@pytest.mark.options(allowed_hosts="chat.example")
async def test_served_hosts_may_be_named(chat: Chat) -> None:
    """Then loopback names are none of them."""
    for host, status in (("chat.example:443", 200), ("localhost", 403)):
        answer = await chat.raw(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert answer.status == status


async def cors(chat: Chat, origin: str, method: str = "OPTIONS", path: str = "/api/rooms") -> dict[str, str]:
    """The CORS headers of an answer."""
    answer = await chat.call(method, path, None, None, headers={"Origin": origin})
    assert answer.status == 204 if method == "OPTIONS" else answer.status
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://localhost", "http://127.0.0.1:1", "http://[::1]:8080"]
)
@pytest.mark.parametrize("path", ["/api/rooms", "/events", "/nothing", "/api/rooms/a/messages", "/healthz"])
async def test_preflight_of_a_local_page_is_allowed(chat: Chat, origin: str, path: str) -> None:
    """204 with the methods and headers that may be used, never with credentials."""
    headers = await cors(chat, origin, "OPTIONS", path)
    assert headers["Access-Control-Allow-Origin"] == origin
    assert headers["Access-Control-Allow-Headers"] == ALLOWED
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(headers["Access-Control-Allow-Methods"].split(", "))
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost.evil.example", "http://evil.example:4000", "file://", "",
     "http://localhost:4000@evil.example", "http://evil.example/http://localhost", "ftp://localhost", "http://localhost/",
     "http://user@localhost", "http://localhost:4000, https://evil.example", "http://[::1", "*"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_foreign_origin_gets_no_cors_headers(chat: Chat, origin: str, method: str) -> None:
    """Neither the preflight nor the answer."""
    assert await cors(chat, origin, method) == {}


@pytest.mark.options(allowed_origins="https://a.example")
async def test_origins_are_compared_exactly(chat: Chat) -> None:
    """Scheme, name and port; and answers differ by origin."""
    for origin in ("http://a.example", "https://a.example:444", "https://b.a.example", "http://localhost"):
        assert await cors(chat, origin) == {}
    headers = await cors(chat, "https://a.example", "GET")
    assert headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert headers["Access-Control-Expose-Headers"] == "X-Message-Id, Retry-After"
    answer = await chat.get("/api/rooms", headers={"Origin": "https://a.example"})
    assert answer.headers["Vary"] == "Origin"


async def test_streams_and_errors_have_cors_headers_too(chat: Chat) -> None:
    """Or the page could not read why."""
    origin = "http://localhost:3000"
    reader = await chat.read(headers={"Origin": origin})
    assert f"Access-Control-Allow-Origin: {origin}\r\n".encode() in reader.head
    refused = await chat.get("/api/rooms", None, headers={"Origin": origin})
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, origin)


async def test_no_token_appears_in_the_log(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """At no level: not in the query of a stream, a refusal, a body, nor when something breaks."""
    caplog.set_level(logging.DEBUG)
    tokens = (await chat.post("/api/auth/guest", {"username": "Ann"}, None)).data
    await chat.post("/api/auth/refresh", {"refreshToken": tokens["refreshToken"]}, None)
    reader = await chat.join(user="alice")
    await chat.post("/api/chat/stream", {"message": "a private prompt"})
    token = chat.token("alice")
    for path in ("/events", "/api/rooms", "/nothing", "/static/x", "/api/rooms/%00", "/api/rooms/%ff", "/healthz"):
        for value in (token, token[:-2], "%ff" + token):
            await chat.call("GET", f"{path}?token={value}", None, None)
            await chat.call("FOO", f"{path}?token={value}", None, None)
    reader.close()
    assert caplog.text
    for secret in (token[-30:-4], tokens["token"][-30:], tokens["refreshToken"], "private prompt", chat.server._secret):
        assert secret not in caplog.text


async def test_control_characters_of_a_path_do_not_reach_the_log(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """Or a request could forge a line, or move the cursor of who reads it."""
    caplog.set_level(logging.INFO)
    await chat.raw(b"GET /\x1b[2J\xc2\x9bx\x0bforged HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await chat.get("/%0aforged")
    assert all(record.getMessage().isprintable() for record in caplog.records if record.name == "chatrooms.access")
