"""Accounts: sign-up, sign-in, passwords, and their end (section 2)."""

from __future__ import annotations

from typing import Any

import pytest

from chatrooms.errors import Unauthorized
from chatrooms.users import store
from chatrooms.users.store import AccountQueries
from tests.helpers.chat import Answer, Chat, gather

pytestmark = pytest.mark.every_engine

ADA = {"username": "Ada", "email": "ada@example.org", "password": "correct horse"}


async def sign_up(chat: Chat, **changed: str) -> dict[str, Any]:
    answer = await chat.post("/api/signup", {**ADA, **changed}, None)
    assert answer.status == 201, answer
    data: dict[str, Any] = answer.data
    return data


async def sign_in(chat: Chat, password: str = ADA["password"], name: str = "Ada") -> Answer:
    return await chat.post("/api/signin", {"username": name, "password": password}, None)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def me(chat: Chat, token: str) -> Answer:
    return await chat.get("/api/auth/me", None, headers=bearer(token))


@pytest.mark.gen_test
async def test_sign_up_gives_tokens_that_work(chat: Chat) -> None:
    """The token is the account's, under its name."""
    tokens = await sign_up(chat)
    assert set(tokens) == {"token", "refreshToken", "expiresIn", "user"}
    answer = await me(chat, tokens["token"])
    assert (answer.data["username"], answer.data["role"]) == ("Ada", "user")
    assert answer.data["userId"] == tokens["user"]["userId"]


@pytest.mark.gen_test
@pytest.mark.parametrize("again", [{"username": "aDA", "email": "b@example.org"}, {"username": "Bob"}])
async def test_taken_name_or_email_is_a_conflict(chat: Chat, again: dict[str, str]) -> None:
    """Names are the same whatever their case; so are emails."""
    await sign_up(chat)
    answer = await chat.post("/api/signup", {**ADA, "email": "ADA@Example.org", **again}, None)
    assert (answer.status, answer.code) == (409, "name-taken")


@pytest.mark.gen_test
async def test_parallel_sign_ups_make_one_account(chat: Chat) -> None:
    """Of twenty at the same time one wins."""
    answers = await gather(*(chat.post("/api/signup", ADA, None) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 19


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "changed",
    [{"password": "seven77"}, {"password": "x" * 1025}, {"email": "nobody"}, {"email": "a@b@c"}, {"email": "@x"},
     {"email": "a b@example.org"}, {"username": " "}, {"username": "x" * 33}, {"password": 12345678}, {"email": None}],
)  # fmt: skip
async def test_unfit_sign_up_is_refused(chat: Chat, changed: dict[str, object]) -> None:
    """With 400, and no account is made."""
    assert (await chat.post("/api/signup", {**ADA, **changed}, None)).status == 400
    assert (await chat.post("/api/signup", ADA, None)).status == 201


@pytest.mark.gen_test
@pytest.mark.parametrize("name", [{"username": " ada "}, {"email": "ADA@example.org"}, {"username": "ada@example.org"}])
async def test_sign_in_by_name_or_email(chat: Chat, name: dict[str, str]) -> None:
    """The answer has the tokens in both shapes, and sets the cookie."""
    await sign_up(chat)
    answer = await chat.post("/api/signin", {**name, "password": ADA["password"]}, None)
    assert answer.status == 200
    assert answer.data["data"] == {"access_token": answer.data["token"], "refresh_token": answer.data["refreshToken"]}
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"chatrooms_token={answer.data['token']};")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


@pytest.mark.gen_test
async def test_wrong_password_and_unknown_name_look_the_same(chat: Chat) -> None:
    """To the letter."""
    await sign_up(chat)
    wrong = await sign_in(chat, "wrong horse")
    unknown = await sign_in(chat, name="Nobody")
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body)
    assert (wrong.status, wrong.code) == (401, "credentials-invalid")


@pytest.mark.gen_test
async def test_guest_cannot_take_a_registered_name(chat: Chat) -> None:
    """Whatever its case."""
    await sign_up(chat)
    answer = await chat.post("/api/auth/guest", {"username": "ADA"}, None)
    assert (answer.status, answer.code) == (409, "name-taken")


@pytest.mark.gen_test
async def test_new_password_ends_every_other_sign_in(chat: Chat) -> None:
    """Tokens, refresh tokens and streams of before are done; the answer's tokens work."""
    old = await sign_up(chat)
    reader = await chat.read(token=old["token"], username="Ada")
    await reader.event("system")
    body = {"currentPassword": ADA["password"], "newPassword": "better horse"}
    new = (await chat.post("/api/auth/password", body, None, headers=bearer(old["token"]))).data
    assert (await reader.event("closing"))["reason"] == "revoked"
    assert (await me(chat, old["token"])).code == "token-revoked"
    assert (await chat.post("/api/auth/refresh", {"refreshToken": old["refreshToken"]}, None)).status == 401
    assert (await me(chat, new["token"])).status == 200
    assert (await sign_in(chat)).status == 401
    assert (await sign_in(chat, "better horse")).status == 200


@pytest.mark.gen_test
@pytest.mark.parametrize("change", ["password", "disable", "delete"])
async def test_sign_in_that_is_overtaken_begins_nothing(chat: Chat, change: str) -> None:
    """Who gave the old password just before it was changed must not outlast the change."""
    tokens = await sign_up(chat)
    user_id = tokens["user"]["userId"]
    before = await AccountQueries(chat.server.database).by_id(user_id)
    headers = bearer(tokens["token"])
    if change == "password":
        body = {"currentPassword": ADA["password"], "newPassword": "better horse"}
        assert (await chat.post("/api/auth/password", body, None, headers=headers)).status == 200
    elif change == "disable":
        async with chat.server.database.transaction() as tx:
            await store.set_state(tx, user_id, "disabled")
    else:
        body = {"password": ADA["password"]}
        assert (await chat.call("DELETE", "/api/auth/me", body, None, headers=headers)).status == 204
    with pytest.raises(Unauthorized):
        await chat.server.signins.begin(user_id, "Ada", "user", before)


@pytest.mark.gen_test
async def test_of_new_passwords_at_once_one_is_taken(chat: Chat) -> None:
    """Each but the first comes with a password that is old by then."""
    headers = bearer((await sign_up(chat))["token"])
    bodies = [{"currentPassword": ADA["password"], "newPassword": f"horse number {n}"} for n in range(5)]
    answers = await gather(*(chat.post("/api/auth/password", body, None, headers=headers) for body in bodies))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 4
    taken = [await sign_in(chat, body["newPassword"]) for body in bodies]
    assert [answer.status for answer in taken] == [answer.status for answer in answers]


@pytest.mark.gen_test
async def test_wrong_current_password_changes_nothing(chat: Chat) -> None:
    """A stolen token alone does not take the account over."""
    tokens = await sign_up(chat)
    body = {"currentPassword": "wrong horse", "newPassword": "better horse"}
    assert (await chat.post("/api/auth/password", body, None, headers=bearer(tokens["token"]))).status == 401
    assert (await sign_in(chat)).status == 200


@pytest.mark.gen_test
async def test_deleted_account_is_out_and_its_name_is_free(chat: Chat) -> None:
    """Its streams end, its tokens are refused, and its email is nowhere in the database."""
    tokens = await sign_up(chat)
    reader = await chat.read(token=tokens["token"], username="Ada")
    await reader.event("system")
    headers = bearer(tokens["token"])
    assert (await chat.call("DELETE", "/api/auth/me", {"password": "wrong"}, None, headers=headers)).status == 401
    answer = await chat.call("DELETE", "/api/auth/me", {"password": ADA["password"]}, None, headers=headers)
    assert answer.status == 204
    assert await reader.event("closing") == {"reason": "revoked", "reconnect": False}
    assert (await me(chat, tokens["token"])).code == "token-revoked"
    rows = await chat.server.database.fetch("select count(*) from accounts where email is not null")
    assert rows == [(0,)]
    await sign_up(chat)


@pytest.mark.gen_test
async def test_user_without_an_account_has_no_password(chat: Chat) -> None:
    """404 for guests and for tokens made elsewhere."""
    body = {"currentPassword": "x" * 8, "newPassword": "y" * 8}
    assert (await chat.post("/api/auth/password", body)).status == 404
    assert (await chat.call("DELETE", "/api/auth/me", {"password": "x"})).status == 404
