"""Who is asking (section 2): guests, refreshing, where a token may stand."""

from __future__ import annotations

import json

import pytest

from tests.helpers.chat import Chat, gather
from tests.unit.users.test_tokens import FORGED

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]


async def guest(chat: Chat, username: str = "Ann") -> dict[str, object]:
    answer = await chat.post("/api/auth/guest", {"username": username}, None)
    assert answer.status == 201, answer
    tokens: dict[str, object] = answer.data
    return tokens


async def test_guest_gets_tokens_that_work(chat: Chat) -> None:
    """A user of its own with the name it chose."""
    tokens = await guest(chat, "  Jose\u0301 ")
    assert tokens.keys() == {"token", "refreshToken", "expiresIn", "user"}
    assert tokens["expiresIn"] == 900
    user = tokens["user"]
    assert isinstance(user, dict) and (user["username"], user["role"]) == ("José", "user")
    headers = {"Authorization": f"Bearer {tokens['token']}"}
    posted = await chat.post("/api/rooms/lobby/messages", {"message": "a"}, None, headers=headers)
    assert (posted.data["userId"], posted.data["username"]) == (user["userId"], "José")
    assert (await guest(chat))["user"] != user


@pytest.mark.options(allow_guests=False)
async def test_guests_may_be_off(chat: Chat) -> None:
    """Then the name does not matter."""
    answer = await chat.post("/api/auth/guest", {"username": "Ann"}, None)
    assert (answer.status, answer.code) == (403, "guests-off")


@pytest.mark.options(guest_rate=3)
async def test_guests_of_an_address_are_limited(chat: Chat) -> None:
    """And nobody makes himself another address by a header."""
    for _ in range(3):
        await guest(chat)
    for headers in ({}, {"X-Forwarded-For": "10.1.2.3"}):
        answer = await chat.post("/api/auth/guest", {"username": "Ann"}, None, headers=headers)
        assert (answer.status, answer.code) == (429, "rate-limited")
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.options(allow_guests=True, guest_rate=1, trusted_proxies="127.0.0.1, 10.0.0.0/8")
@pytest.mark.parametrize(
    ("one", "two", "same"),
    [("1.2.3.4", "1.2.3.5", False), ("1.2.3.4", "9.9.9.9, 1.2.3.4", True), ("1.2.3.4", "1.2.3.4, 10.0.0.7", True),
     ("nonsense", "other nonsense", True), ("", ",,", True),
     ("1.2.3.4:1000", "1.2.3.5:1000", False), ("1.2.3.4:1000", "1.2.3.4:2000", True), ("1.2.3.4:1000", "1.2.3.4", True),
     ("1.2.3.4, 10.0.0.7:80", "1.2.3.5, 10.0.0.7:80", False), ("1.2.3.4:x", "1.2.3.5:x", True),
     ("2001:db8::1", "2001:db8::2", True), ("2001:db8::1", "2001:db8:0:1::1", False),
     ("[2001:db8::1]:80", "2001:db8::ffff:0:0:2", True), ("[2001:db8::1]", "[2001:db8:0:1::1]:80", False),
     ("::ffff:1.2.3.4", "1.2.3.4", True), ("::ffff:1.2.3.4", "::ffff:1.2.3.5", False),
     ("1.2.3.4, ::ffff:10.0.0.7", "1.2.3.5, [::ffff:10.0.0.7]:80", False),
     ("1.2.3.4, nonsense", "1.2.3.5, nonsense", True), ("nonsense, 1.2.3.4", "nonsense, 1.2.3.5", False)],
)  # fmt: skip
async def test_trusted_proxies_say_who_asks(chat: Chat, one: str, two: str, same: bool) -> None:
    """The last hop that is no proxy of ours counts; what stands before it anyone may have written."""
    body = {"username": "Ann"}
    first = await chat.post("/api/auth/guest", body, None, headers={"X-Forwarded-For": one})
    second = await chat.post("/api/auth/guest", body, None, headers={"X-Forwarded-For": two})
    assert (first.status, second.status) == (201, 429 if same else 201)


@pytest.mark.parametrize("name", ["", "  ", "x" * 33, "\u202e", "a\nb", None, 7, [], {}])
async def test_guest_with_a_bad_name_is_refused(chat: Chat, name: object) -> None:
    """As in a stream."""
    assert (await chat.post("/api/auth/guest", {"username": name}, None)).status == 400


async def refresh(chat: Chat, token: object) -> tuple[int, dict[str, object]]:
    answer = await chat.post("/api/auth/refresh", {"refreshToken": token}, None)
    return answer.status, answer.data


async def test_refresh_renews_and_gives_the_same_successor_each_time(chat: Chat) -> None:
    """Twenty tabs at once do no harm."""
    first = (await guest(chat))["refreshToken"]
    answers = await gather(*(chat.post("/api/auth/refresh", {"refreshToken": first}, None) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data["refreshToken"] for answer in answers}) == 1
    token = answers[0].data["token"]
    assert (await chat.get("/api/rooms", None, headers={"Authorization": f"Bearer {token}"})).status == 200


async def test_refresh_token_used_after_its_successor_ends_the_family(chat: Chat) -> None:
    """One of the two was stolen."""
    first = (await guest(chat))["refreshToken"]
    _, second = await refresh(chat, first)
    _, third = await refresh(chat, second["refreshToken"])
    status, problem = await refresh(chat, first)
    assert (status, problem["code"]) == (401, "refresh-invalid")
    assert (await refresh(chat, third["refreshToken"]))[0] == 401


async def test_kinds_of_tokens_are_not_confused(chat: Chat) -> None:
    """A refresh token opens nothing, an access token renews nothing."""
    tokens = await guest(chat)
    headers = {"Authorization": f"Bearer {tokens['refreshToken']}"}
    assert (await chat.get("/api/rooms", None, headers=headers)).status == 401
    assert (await refresh(chat, tokens["token"]))[0] == 401


@pytest.mark.parametrize(
    "change",
    [lambda t: t[:-1], lambda t: t + "0", lambda t: t.upper(), lambda t: t.replace(".0.", ".1."),
     lambda t: t.replace(".0.", ".00."), lambda t: "", lambda t: "..", lambda t: "a.b.c",
     lambda t: t.replace(".0.", ".²."), lambda t: t + "é", lambda t: "x" * 10_000],
)  # fmt: skip
async def test_changed_refresh_token_renews_nothing(chat: Chat, change: object) -> None:
    """Or means the same."""
    assert callable(change)
    token = (await guest(chat))["refreshToken"]
    status, _ = await refresh(chat, change(token))
    assert status == 401 or (status == 200 and ".00." in change(token))


async def test_token_may_stand_in_header_query_and_cookie(chat: Chat) -> None:
    """In this order; the first that is there decides."""
    alice, bob, carl = (chat.token(user) for user in ("alice", "bob", "carl"))

    async def asked(query: str, headers: dict[str, str]) -> object:
        reader = await chat.read(token=query, headers=headers) if query else None
        if reader is not None:
            return (await reader.event("system"))["userId"] if reader.status == 200 else reader.status
        answer = await chat.get("/events?roomId=lobby&username=x&poll=1", None, headers=headers)
        return answer.data["events"][0]["data"]["userId"] if answer.status == 200 else answer.status

    everywhere = {"Authorization": f"Bearer {alice}", "Cookie": f"chatrooms_token={carl}"}
    assert await asked(bob, everywhere) == "alice"
    assert await asked(bob, {"Cookie": everywhere["Cookie"]}) == "bob"
    assert await asked("", {"Cookie": everywhere["Cookie"]}) == "carl"
    assert await asked(bob, {"Authorization": "Bearer x"}) == 401
    assert await asked("x", {"Cookie": everywhere["Cookie"]}) == 401
    assert await asked("", {}) == 401
    answer = await chat.get(f"/api/rooms?access_token={bob}", None)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), (None, 403), ("null", 403), ("http://localhost:1", 403), ("own", 201)],
)
async def test_write_by_cookie_needs_a_page_of_ours(chat: Chat, origin: str | None, status: int) -> None:
    """A foreign page's request has the cookie, too."""
    host = f"127.0.0.1:{chat.port}"
    headers = {"Cookie": f"chatrooms_token={chat.token('alice')}"}
    if origin is not None:
        headers["Origin"] = f"http://{host}" if origin == "own" else origin
    answer = await chat.post("/api/rooms/lobby/messages", {"message": "a"}, None, headers=headers)
    assert answer.status == status
    if status == 403:
        assert answer.code == "bad-origin"


PAGES_OF_OTHERS = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", PAGES_OF_OTHERS)
@pytest.mark.parametrize("path", ["/api/signin", "/api/signup", "/api/auth/guest", "/api/auth/refresh"])
async def test_foreign_page_signs_nobody_in(chat: Chat, path: str, headers: dict[str, str]) -> None:
    """A form of text/plain needs no preflight, and its visitor would talk as somebody else."""
    account = {"username": "Ada", "email": "ada@example.org", "password": "correct horse"}
    known = (await chat.post("/api/signup", account, None)).data
    eve = {"username": "Eve", "email": "eve@example.org"}
    body = json.dumps(
        {**account, **({} if path == "/api/signin" else eve), "refreshToken": known["refreshToken"], "x": "="}
    ).encode()
    sent = {"Content-Type": "text/plain", "Cookie": f"chatrooms_token={known['token']}", **headers}
    answer = await chat.post(path, body, None, headers=sent)
    assert (answer.status, answer.code) == (403, "bad-origin")
    assert "Set-Cookie" not in answer.headers
    assert (await chat.post(path, body, None, headers={"Content-Type": "text/plain"})).status in (200, 201)


@pytest.mark.options(allowed_origins="https://app.example")
@pytest.mark.parametrize(
    ("headers", "cookie"),
    [({}, True), ({"Origin": "own"}, True), ({"Origin": "own", "Sec-Fetch-Site": "same-origin"}, True),
     ({"Origin": "https://tls.in.front", "Sec-Fetch-Site": "same-origin"}, True),
     ({"Origin": "https://app.example"}, False),
     ({"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}, False)],
)  # fmt: skip
async def test_own_pages_programs_and_allowed_pages_sign_in(chat: Chat, headers: dict[str, str], cookie: bool) -> None:
    """Only our own pages keep the cookie; others call without credentials."""
    account = {"username": "Ada", "email": "ada@example.org", "password": "correct horse"}
    assert (await chat.post("/api/signup", account, None)).status == 201
    own = f"http://127.0.0.1:{chat.port}"
    sent = {name: own if value == "own" else value for name, value in headers.items()}
    answer = await chat.post("/api/signin", account, None, headers=sent)
    assert (answer.status, "Set-Cookie" in answer.headers) == (200, cookie)


@pytest.mark.parametrize("path", ["/events?roomId=den&username=alice", "/events?roomId=den&username=alice&poll=1",
                                  "/events", "/api/sse/messages?sessionId=42", "/api/rooms"])  # fmt: skip
async def test_foreign_link_changes_nothing_by_the_cookie(chat: Chat, path: str) -> None:
    """Following it neither joins a room nor claims a session; the user's own way does both."""
    cookie = {"Cookie": f"chatrooms_token={chat.token('alice')}"}
    for headers in ({"Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Mode": "no-cors"}):
        answer = await chat.get(path, None, headers={**cookie, **headers, "Sec-Fetch-Site": "cross-site"})
        assert (answer.status, answer.code) == (403, "bad-origin")
    assert (await chat.get("/api/rooms/den", "bob")).status == 404
    posted = await chat.post("/api/messages", {"sessionId": "42", "content": "mine"}, "bob")
    assert posted.status == 201  # nobody has the session


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", None])
async def test_own_pages_read_by_the_cookie(chat: Chat, site: str | None) -> None:
    """Also from a page of the same site, and where the browser does not say."""
    headers = {"Cookie": f"chatrooms_token={chat.token('alice')}"} | ({"Sec-Fetch-Site": site} if site else {})
    assert (await chat.get("/events?roomId=den&username=alice&poll=1", None, headers=headers)).status == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/static/index.html"])
async def test_foreign_link_to_a_page_opens_it(chat: Chat, path: str) -> None:
    """The page asks for itself then."""
    headers = {"Cookie": f"chatrooms_token={chat.token('alice')}", "Sec-Fetch-Site": "cross-site"}
    assert (await chat.get(path, None, headers=headers)).status == 200


async def test_bad_cookie_from_a_foreign_page_is_401(chat: Chat) -> None:
    """401 comes before 403."""
    headers = {"Cookie": "chatrooms_token=x", "Origin": "https://evil.example"}
    assert (await chat.post("/api/rooms/lobby/messages", {"message": "a"}, None, headers=headers)).status == 401


@pytest.mark.parametrize(
    "header", ["x", "Bearer", "Bearer ", "Basic YTpi", "Bearer x", "Bearer a.b.c", "Bearer \xe9", "bearer  x y", ","]
)
async def test_malformed_authorization_is_401(chat: Chat, header: str) -> None:
    """With the header that names the scheme."""
    answer = await chat.get("/api/rooms", None, headers={"Authorization": header})
    assert (answer.status, answer.code) == (401, "token-invalid")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_two_authorizations_are_none(chat: Chat) -> None:
    """Neither is picked."""
    lines = f"Authorization: Bearer {chat.token('a')}\r\n" * 2
    answer = await chat.raw(f"GET /api/rooms HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
    assert answer.status == 401


async def test_token_of_bad_bytes_in_the_query_is_401(chat: Chat) -> None:
    """It is a bad token before it is bad UTF-8."""
    for query in ("token=%ff", "access_token=%ff", "token=%00", "token=+", "token=x&token=%ff"):
        assert (await chat.get(f"/api/rooms?{query}", None)).status == 401
    for query in ("token=%ff", "ticket=%ff", "ticket=%00", "ticket=x"):
        assert (await chat.get(f"/events?roomId=lobby&username=a&{query}", None)).status == 401


async def test_no_forged_token_passes_over_http(chat: Chat) -> None:
    """Each gives 401 with a JSON body, and none a 500."""
    for name, token in FORGED.items():
        if len(token) > 60_000 or not token.isascii() or not token.isprintable():
            continue  # such a header does not reach us
        answer = await chat.get("/api/rooms", None, headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 401, name
        assert json.loads(answer.body).keys() == {"error", "code"}


async def test_expired_token_is_told_apart(chat: Chat) -> None:
    """A client renews it instead of signing in."""
    headers = {"Authorization": f"Bearer {chat.token('alice', ttl=-1)}"}
    assert (await chat.get("/api/rooms", None, headers=headers)).code == "token-expired"
