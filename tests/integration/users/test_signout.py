"""Signing out, and the right of a live stream to live (section 2)."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from typing import cast

import pytest

from chatrooms.errors import Unauthorized
from chatrooms.log.database import Database, Row
from chatrooms.log.event import CONTROL
from chatrooms.users.authenticator import Authenticator
from tests.helpers.channel import Subscribed, wanted
from tests.helpers.chat import Chat
from tests.helpers.personal import mine
from tests.integration.users.test_accounts import ADA, bearer, me, sign_in, sign_up

pytestmark = pytest.mark.every_engine


@pytest.mark.gen_test
async def test_sign_out_ends_tokens_and_streams_of_that_sign_in(chat: Chat) -> None:
    """And of no other."""
    phone, desk = await sign_up(chat), (await sign_in(chat)).data
    on_phone = await chat.read(token=phone["token"], username="Ada", clientId="phone")
    on_desk = await chat.read(token=desk["token"], username="Ada", clientId="desk")
    await on_phone.event("system")
    await on_desk.event("system")
    answer = await chat.post("/api/auth/signout", None, None, headers=bearer(phone["token"]))
    assert answer.status == 204
    assert await on_phone.event("closing") == {"reason": "revoked", "reconnect": False}
    assert (await me(chat, phone["token"])).code == "token-revoked"
    assert (await chat.post("/api/auth/refresh", {"refreshToken": phone["refreshToken"]}, None)).status == 401
    await chat.say("lobby", "still here")
    await on_desk.message("still here")
    assert (await me(chat, desk["token"])).status == 200


@pytest.mark.gen_test(timeout=30)
@pytest.mark.options(ai_delay=0.5)
async def test_sign_out_ends_streams_of_every_family(chat: Chat) -> None:
    """Rooms, alone or shared, personal, notifications, sessions, tasks and replies; those of others go on."""
    guest = (await chat.post("/api/auth/guest", {"username": "Guest"}, None)).data
    token, user_id = guest["token"], guest["user"]["userId"]
    task = (await chat.post("/api/v1/tasks", {"title": "Import"}, None, headers=bearer(token))).data
    begun = {"message": "Hi", "access_token": token}
    many = await Subscribed.open(chat, [wanted(chat, "a", "den", "Guest", token=token), wanted(chat, "other")])
    readers = [
        await chat.read("lobby", "Guest", token=token),
        await mine(chat, token=token),
        await chat.stream(f"/api/clients/{user_id}/sse", {"token": token}),
        await chat.stream("/api/sse/messages", {"token": token, "sessionId": "1"}),
        await chat.stream(f"/api/v1/sse/tasks/{task['task_id']}/progress", {"token": token}),
    ]
    reply = await chat.stream("/api/chat/stream", {"token": token}, body=begun)
    assert all(reader.status == 200 for reader in (*readers, reply))
    assert len(list(chat.server.hub.streams_of(user_id))) == 7
    await chat.post("/api/auth/signout", None, None, headers=bearer(token))
    for reader in readers:
        assert "revoked" in (await reader.rest())[-1].data
    assert (await many.event("a", "closing"))["reason"] == "revoked"
    await reply.until(lambda event: "token-revoked" in event.data)
    assert [stream.user_id for stream in chat.server.hub.streams] == ["other"]


@pytest.mark.gen_test
async def test_token_made_elsewhere_can_be_signed_out(chat: Chat) -> None:
    """It is a sign-in of its own."""
    one, other = chat.token("carl"), chat.token("carl", "Carl")
    assert (await chat.post("/api/auth/signout", None, None, headers=bearer(one))).status == 204
    assert (await me(chat, one)).code == "token-revoked"
    assert (await me(chat, other)).status == 200


@pytest.mark.gen_test
async def test_sign_out_outlives_a_restart(chat: Chat) -> None:
    """Who is shut out stands in the database."""
    token = (await sign_up(chat))["token"]
    await chat.post("/api/auth/signout", None, None, headers=bearer(token))
    await chat.server.authenticator.reload()
    assert (await me(chat, token)).code == "token-revoked"


class Held:
    """A database whose answers about a table are held back: what they say may be old when they come."""

    def __init__(self, database: Database, table: str) -> None:
        self._database = database
        self._table = table
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        rows = await self._database.fetch(sql, *args)
        if self._table in sql:
            self.asked.set()
            await self.let_go.wait()
        return rows


@pytest.mark.gen_test
@pytest.mark.parametrize("user", ["alice", "Ada"])
async def test_reload_does_not_forget_who_is_shut_out_meanwhile(chat: Chat, user: str) -> None:
    """What was read is older than the order that came by an event: a sign-out, or the end of an account."""
    account = await sign_up(chat)
    token = account["token"] if user == "Ada" else chat.token(user)
    held = Held(chat.server.database, "accounts" if user == "Ada" else "revocations")
    gate = Authenticator(cast(Database, held), chat.server.log, chat.server.hub, chat.server.tokens)
    chat.server.hub.listen(CONTROL, gate.apply)
    reload = asyncio.create_task(gate.reload())
    await held.asked.wait()
    if user == "Ada":
        body = {"password": ADA["password"]}
        assert (await chat.call("DELETE", "/api/auth/me", body, None, headers=bearer(token))).status == 204
    else:
        assert (await chat.post("/api/auth/signout", None, None, headers=bearer(token))).status == 204
    held.let_go.set()
    await reload
    with pytest.raises(Unauthorized):
        gate.verify(token)


@pytest.mark.gen_test
async def test_who_was_shut_out_is_forgotten_when_the_tokens_have_expired(chat: Chat) -> None:
    """In memory and in the database; not before."""
    late = [time.time()]
    gate = Authenticator(chat.server.database, chat.server.log, chat.server.hub, chat.server.tokens, lambda: late[0])
    chat.server.hub.listen(CONTROL, gate.apply)
    short, long = chat.token("alice", ttl=900), chat.token("alice", ttl=20 * 86400)
    for token in (short, long):
        assert (await chat.post("/api/auth/signout", None, None, headers=bearer(token))).status == 204
    rows = "select count(*) from revocations"
    for passed, left in ((800, 2), (2000, 1), (21 * 86400, 0)):
        late[0] = time.time() + passed
        await gate.forget_expired()
        assert len(gate._revoked) == left
        assert await chat.server.database.fetch(rows) == [(left,)]
        if left:
            with pytest.raises(Unauthorized):
                gate.verify(long)


@pytest.mark.gen_test
async def test_cookie_reads_and_writes_only_from_our_own_pages(chat: Chat) -> None:
    """A write by cookie needs a same-origin Origin (CSRF)."""
    await sign_up(chat)
    cookie = {"Cookie": (await sign_in(chat)).headers["Set-Cookie"].partition(";")[0]}
    body = {"message": "hi"}
    path = "/api/rooms/lobby/messages"
    own = {"Origin": f"http://127.0.0.1:{chat.port}"}
    assert (await chat.get(path, None, headers=cookie)).status == 200
    assert (await chat.post(path, body, None, headers=cookie)).code == "bad-origin"
    assert (await chat.post(path, body, None, headers={**cookie, "Origin": "https://evil.example"})).status == 403
    assert (await chat.post(path, body, None, headers={**cookie, **own})).status == 201


@pytest.mark.gen_test
async def test_refresh_renews_the_cookie(chat: Chat) -> None:
    """So that a native EventSource outlives its first token."""
    await sign_up(chat)
    signed_in = await sign_in(chat)
    cookie = {"Cookie": signed_in.headers["Set-Cookie"].partition(";")[0]}
    refresh = {"refreshToken": signed_in.data["refreshToken"]}
    answer = await chat.post("/api/auth/refresh", refresh, None, headers=cookie)
    assert answer.headers["Set-Cookie"].startswith(f"chatrooms_token={answer.data['token']}")


@pytest.mark.gen_test
async def test_ticket_opens_one_stream(chat: Chat) -> None:
    """Once; and not for a call that is no stream."""
    ticket = (await chat.post("/api/auth/ticket", None)).data
    assert ticket["expiresIn"] == 30
    path = f"/events?ticket={ticket['ticket']}&roomId=lobby&username=Ann"
    assert (await chat.get(path.replace("/events", "/api/rooms"), None)).code == "token-missing"
    reader = await chat.read(token="", ticket=ticket["ticket"], username="Ann")
    assert (await reader.event("system"))["userId"] == "alice"
    assert (await chat.get(path, None)).code == "ticket-invalid"


@pytest.mark.gen_test
async def test_ticket_of_who_signed_out_is_void(chat: Chat) -> None:
    """It is checked again when it is redeemed."""
    token = (await sign_up(chat))["token"]
    ticket = (await chat.post("/api/auth/ticket", None, None, headers=bearer(token))).data["ticket"]
    await chat.post("/api/auth/signout", None, None, headers=bearer(token))
    answer = await chat.get(f"/events?ticket={ticket}&roomId=lobby&username=Ada", None)
    assert (answer.status, answer.code) == (401, "token-revoked")


@pytest.mark.gen_test
async def test_disabling_from_the_command_line_ends_streams(chat: Chat) -> None:
    """`chatrooms user` writes to the database of the running server, which sees it by itself."""
    token = (await sign_up(chat))["token"]
    reader = await chat.read(token=token, username="Ada")
    await reader.event("system")
    await _user(chat, "disable", "ada")
    assert (await reader.event("closing"))["reason"] == "revoked"
    assert (await me(chat, token)).code == "token-revoked"
    assert (await sign_in(chat)).code == "account-disabled"
    assert (await sign_in(chat, "wrong horse")).code == "credentials-invalid"
    await _user(chat, "enable", "ADA@example.org")
    await _user(chat, "role", "Ada", "--role", "admin")
    signed_in = await sign_in(chat)
    while signed_in.status != 200:
        signed_in = await sign_in(chat)
    assert signed_in.data["user"]["role"] == "admin"


@pytest.mark.gen_test
async def test_user_added_on_the_command_line_signs_in(chat: Chat) -> None:
    """With the password from standard input."""
    await chat.get("/readyz", None)
    await _user(chat, "add", "Root", "--role", "admin", password=ADA["password"])
    assert (await sign_in(chat, name="root")).data["user"]["role"] == "admin"
    await _user(chat, "passwd", "Root", password="another horse")
    assert (await sign_in(chat, "another horse", "root")).status == 200


async def _user(chat: Chat, *args: str, password: str = "") -> None:
    command = [sys.executable, "-m", "chatrooms", "user", *args, "--data-dir", str(chat.server.data_dir)]
    if chat.server.options.database_url:
        command += ["--database-url", chat.server.options.database_url]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    _, complaint = await process.communicate(password.encode() + b"\n")
    assert process.returncode == 0, complaint.decode()
