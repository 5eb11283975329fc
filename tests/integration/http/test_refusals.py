"""How the server says no (section 1): one shape of errors, in one order, never a 500."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from chatrooms.errors import CODES
from tests.helpers.chat import Answer, Chat, eventually
from tests.helpers.reader import data

pytestmark = pytest.mark.gen_test(timeout=60)

ROOM = "/api/rooms/lobby"


def check(answer: Answer, *statuses: int) -> None:
    """An error in the one shape that errors have."""
    assert answer.status in statuses, answer
    problem = json.loads(answer.body)
    assert problem.keys() == {"error", "code"}
    assert problem["code"] in CODES - {"internal"}
    assert problem["error"].isprintable() and "Traceback" not in problem["error"]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert ("WWW-Authenticate" in answer.headers) is (answer.status == 401)
    assert ("Retry-After" in answer.headers) is (answer.status in (429, 503))


PROTECTED = [
    ("GET", "/events?roomId=&username=%00&userId=bob&history=x"), ("GET", "/api/rooms?limit=x"),
    ("GET", "/api/rooms/a%2Fb"), ("GET", f"{ROOM}/members?after=x"), ("GET", f"{ROOM}/messages?limit=x"),
    ("POST", f"{ROOM}/messages"), ("POST", f"{ROOM}/messages/batch"), ("PATCH", f"{ROOM}/messages/x"),
    ("DELETE", f"{ROOM}/messages/x"), ("POST", f"{ROOM}/typing"), ("POST", f"{ROOM}/leave"),
    ("POST", "/api/auth/extend"), ("POST", "/api/chat/stream"), ("GET", "/api/chat/stream/x"),
    ("DELETE", "/api/chat/stream/x"), ("GET", "/api/rooms/%ff/messages"), ("POST", "/api/rooms/%00/messages"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_a_token_it_is_401_whatever_else_is_wrong(chat: Chat, method: str, path: str) -> None:
    """What a stranger sends is not even looked at."""
    for content_type in ("application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
        answer = await chat.call(method, path, b"{not json", None, headers={"Content-Type": content_type})
        check(answer, 401)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("userId=bob", 403, "user-mismatch"),
        ("username=Bob", 403, "username-mismatch"),
        ("userId=bob&roomId=%00&history=x", 403, "user-mismatch"),
        ("username=Bob&roomId=a/b", 403, "username-mismatch"),
        ("username=Ann", 400, "bad-id"), ("roomId=lobby", 400, "bad-field"),
        ("roomId=&username=Ann", 400, "bad-id"), ("roomId=lobby&username=", 400, "bad-field"),
        ("roomId=a/b&username=Ann", 400, "bad-id"), ("roomId=%ff&username=Ann", 400, "bad-field"),
        ("roomId=lobby&username=Ann&clientId=a/b", 400, "bad-id"),
        ("roomId=lobby&username=Ann&clientId=%00", 400, "bad-id"),
        ("roomId=lobby&username=Ann&history=201", 400, "bad-field"),
        ("roomId=lobby&username=Ann&history=-1", 400, "bad-field"),
        ("roomId=lobby&username=Ann&history=%d9%a3", 400, "bad-field"),
        ("roomId=lobby&username=Ann&lastEventId=%ff", 400, "bad-field"),
        ("roomId=lobby&username=Ann&userId=%ff", 400, "bad-field"),
    ],
)  # fmt: skip
async def test_stream_is_refused_in_order(chat: Chat, query: str, status: int, code: str) -> None:
    """403 before 400, each with its code; nothing is opened."""
    headers = {"Authorization": f"Bearer {chat.token('alice', 'Ann')}"}
    answer = await chat.get(f"/events?{query}", None, headers=headers)
    check(answer, status)
    assert answer.code == code
    assert not chat.server.hub.streams


WRONG: list[Any] = [None, 1, True, 1.5, [], {}, "", "\0", [1], [[]]]
BODIES: list[Any] = [
    b"", b"{", b"null", b"[]", b'"x"', b"\xff", b'\xef\xbb\xbf{"message":"a","clientId":"c","messages":[]}', {},
    *({"message": bad, "clientId": bad, "messages": bad} for bad in WRONG),
    {"messages": [{"message": 1}]}, {"messages": [{"message": "a", "clientMessageId": 7}]},
    {"message": "a", "clientMessageId": 7}, {"message": "a", "clientMessageId": ""}, {"message": "a", "username": 7},
    {"message": "a", "clientId": 7, "messages": [{"message": "a"}]}, {"message": "a", "username": "\u202e"},
    {"message": "a", "clientMessageId": "x" * 256}, b'{"message":"\\ud800","clientId":"\\ud800"}',
    b'{"message":"a","clientId":"c","x":NaN}', b'{"message":"a","clientId":"c","x":' + b"[" * 40 + b"]" * 40 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("path", ["messages", "messages/batch", "leave", "typing"])
async def test_malformed_body_is_400(chat: Chat, path: str) -> None:
    """Each wrong type of each field; what a call does not read, it ignores."""
    for body in BODIES:
        answer = await chat.post(f"{ROOM}/{path}", body)
        ignored = path in ("leave", "typing") and isinstance(body, dict)
        if answer.status >= 300 or (not ignored and not (path == "typing" and body == b"")):
            check(answer, 400)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "application/json", "x", "text/html; charset=x"],
)  # fmt: skip
async def test_json_is_taken_whatever_content_type_says(chat: Chat, content_type: str) -> None:
    """Also a text that would be a malformed form of many fields."""
    text = "&=%ff%" * 1500
    answer = await chat.post(f"{ROOM}/messages", {"message": text}, headers={"Content-Type": content_type})
    assert (answer.status, answer.data["message"]) == (201, text)


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data; boundary=x", "multipart/form-data", "multipart/form-data; boundary=", "Multipart/Mixed",
     "multipart/form-dataxyz"],
)  # fmt: skip
@pytest.mark.parametrize("body", [b'{"message":"a"}', b"--x\r\nnonsense", b"--x--", b""])
async def test_multipart_is_415(chat: Chat, content_type: str, body: bytes) -> None:
    """Malformed or not."""
    check(await chat.post(f"{ROOM}/messages", body, headers={"Content-Type": content_type}), 415)


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/api", "/api/rooms/", "/api/rooms/a/b/c", "/events/", "/%ff", "/%00", "/static/nothing", "/static/",
     "/static", "//", "/api/rooms//messages", "/api/chat/stream/", "/..", "/%2e%2e/%2e%2e/etc/passwd"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_path_is_404_in_json(chat: Chat, path: str, method: str) -> None:
    """With or without a token, by any method that could be served."""
    check(await chat.call(method, path, b"" if method == "POST" else None), 404, 405)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "FOO", "get", "CONNECT", "X" * 200])
@pytest.mark.parametrize("path", ["/events", "/api/rooms", "/healthz", "/api/auth/guest"])
async def test_unsupported_method_is_405_in_json(chat: Chat, method: str, path: str) -> None:
    """Invented ones, too."""
    check(await chat.raw(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()), 405)


async def test_invented_methods_do_not_grow_the_metrics(chat: Chat) -> None:
    """Each would be a series forever."""
    for n in range(50):
        await chat.raw(f"X{n} /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    text = (await chat.get("/metrics", None)).body.decode()
    assert 'method="other",status="405"} 50.0' in text
    assert "X1" not in text


async def test_head_of_a_call_is_405_without_a_body(chat: Chat) -> None:
    """There is no body to a HEAD (RFC 9110, 9.3.2)."""
    answer = await chat.call("HEAD", "/api/rooms")
    assert (answer.status, answer.body) == (405, b"")


@pytest.mark.parametrize(
    "room", ["a%2Fb", "%2e%2e%2f", "%00", "%0a", "%ff", "%ed%a0%80", "%20", "x" * 65, "%F0%9F%92%AC", "%2525"]
)
async def test_room_id_of_bad_characters_is_400(chat: Chat, room: str) -> None:
    """A slash that was encoded is a slash."""
    for method, path in (
        ("GET", ""),
        ("GET", "/messages"),
        ("POST", "/messages"),
        ("POST", "/leave"),
        ("GET", "/members"),
    ):
        check(await chat.call(method, f"/api/rooms/{room}{path}", {"message": "a", "clientId": "c"}), 400)


async def test_room_id_is_the_same_however_it_is_encoded(chat: Chat) -> None:
    """Composed or not, with spaces inside."""
    reader = await chat.join("café au lait")
    await chat.say("cafe\u0301 au lait", "hello")
    await reader.message("hello")
    assert (await chat.get(f"/api/rooms/{quote('café au lait')}/messages")).data["messages"]


@pytest.mark.parametrize(
    "lines",
    [
        "Last-Event-ID: \xff\xfe", "Last-Event-ID: a\r\nLast-Event-ID: b", "Cookie: \xff; x", "Cookie: =;=",
        "Origin: \xff", "Origin: http://[", "Origin: http://localhost:x\r\nOrigin: b", "Accept: \xff",
        "X-Forwarded-For: \xff", "Content-Type: \xff", "User-Agent: " + "x" * 8000, "Expect: 100-continue",
        "If-None-Match: \xff", "Range: bytes=9-1", "Authorization: Bearer \xff", "Content-Encoding: gzip",
        "Upgrade: websocket\r\nConnection: Upgrade", "Host: localhost:x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/events?roomId=lobby&username=a&poll=1", "/api/rooms", "/", "/healthz"])
async def test_strange_headers_never_make_a_500(chat: Chat, lines: str, path: str) -> None:
    """Whatever bytes they hold."""
    host = "" if lines.startswith("Host") else "Host: localhost\r\n"
    auth = "" if "Authorization" in lines else f"Authorization: Bearer {chat.token('a')}\r\n"
    request = f"GET {path} HTTP/1.1\r\n{host}{auth}{lines}\r\n\r\n".encode("latin-1")
    answer = await chat.raw(request)
    assert answer.status < 500, answer
    if answer.status >= 400 and answer.body:
        check(answer, answer.status)


@pytest.mark.options(max_streams=2)
async def test_full_server_refuses_and_says_when_to_come_back(chat: Chat) -> None:
    """503 for a first request; who replaces a stream of its own needs no place."""
    for user in ("a", "b"):
        await chat.join(user=user, clientId="c")
    answer = await chat.get("/events?roomId=lobby&username=x")
    check(answer, 503)
    assert answer.code == "full"
    await chat.join(user="b", clientId="c")


@pytest.mark.options(max_streams_per_user=2)
async def test_user_with_too_many_streams_is_refused(chat: Chat) -> None:
    """429; another user is not concerned, and a place is free when one ends."""
    first = await chat.join()
    await chat.join()
    answer = await chat.get("/events?roomId=lobby&username=x")
    check(answer, 429)
    assert answer.code == "too-many-streams"
    await chat.join(user="bob")
    first.close()
    await eventually(lambda: len(chat.server.hub.streams) == 2)
    await chat.join()


@pytest.mark.options(max_streams_per_user=1)
@pytest.mark.parametrize("position", ["real", "nonsense"])
async def test_resuming_reader_is_refused_softly(chat: Chat, position: str) -> None:
    """A native EventSource gives up for good on a 429: 200, `retry`, `closing`, with an id, and the end."""
    open_one = await chat.join()
    asked = open_one.last_event_id if position == "real" else position
    refused = await chat.read(lastEventId=asked)
    assert refused.status == 200
    (closing,) = await refused.rest()
    assert (closing.type, data(closing)) == ("closing", {"reason": "too-many-streams", "reconnect": True})
    assert closing.last_event_id == open_one.last_event_id
    assert refused.retry is not None and 5000 <= refused.retry <= 15000
    assert chat.server.rooms.online("lobby") == 1


@pytest.mark.options(max_streams_per_user=1)
async def test_soft_refusal_comes_after_the_hard_ones(chat: Chat) -> None:
    """401, 403 and 400 stay what they are; a poll, which no EventSource makes, gets its 429."""
    await chat.join()
    alice = {"Authorization": f"Bearer {chat.token('alice')}"}
    for query, headers, status in (
        ("roomId=lobby&username=a", {}, 401), ("roomId=lobby&username=a&userId=b", alice, 403),
        ("roomId=&username=a", alice, 400), ("roomId=lobby&username=a&poll=1", alice, 429),
    ):  # fmt: skip
        check(await chat.get(f"/events?{query}&lastEventId=x", None, headers=headers), status)


async def test_draining_server_refuses_softly(chat: Chat) -> None:
    """Who was here is told to come back, who was not is told 503."""
    reader = await chat.join()
    chat.server.draining = chat.server.hub.draining = True
    again = await chat.read(lastEventId=reader.last_event_id)
    (closing,) = await again.rest()
    assert data(closing) == {"reason": "draining", "reconnect": True}
    check(await chat.get("/events?roomId=lobby&username=a"), 503)
