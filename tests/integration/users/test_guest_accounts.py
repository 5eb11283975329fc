"""A guest becomes an account, and stays who it is (section 2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.helpers.chat import Answer, Chat, gather
from tests.integration.cluster.test_nodes import started
from tests.integration.users.test_accounts import ADA, bearer, me, sign_in, sign_up


async def guest(chat: Chat, username: str = "Ada") -> dict[str, Any]:
    answer = await chat.post("/api/auth/guest", {"username": username}, None)
    assert answer.status == 201, answer
    tokens: dict[str, Any] = answer.data
    return tokens


def of_account(tokens: dict[str, Any]) -> dict[str, Any]:
    """The user that a guest becomes: the same, but for that it is no guest any more."""
    user = dict(tokens["user"])
    assert user.pop("guest") is True
    return user


async def upgrade(chat: Chat, tokens: dict[str, Any], **changed: str) -> Answer:
    return await chat.post("/api/signup", {**ADA, **changed}, None, headers=bearer(tokens["token"]))


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_guest_becomes_an_account_and_keeps_all(chat: Chat) -> None:
    """The userId is the same, so rooms owned, memberships and messages are; the name may be its own."""
    old = await guest(chat)
    headers = bearer(old["token"])
    assert (await chat.call("PUT", "/api/rooms/den", {"private": True}, None, headers=headers)).status == 201
    assert (await chat.call("PUT", "/api/rooms/den/membership", b"", None, headers=headers)).status in (200, 201, 204)
    said = await chat.post("/api/rooms/den/messages", {"message": "hello"}, None, headers=headers)
    answer = await upgrade(chat, old)
    assert answer.status == 201 and answer.data["user"] == of_account(old)
    headers = bearer(answer.data["token"])
    assert (await chat.get("/api/rooms/den", None, headers=headers)).data["role"] == "owner"
    edited = f"/api/rooms/den/messages/{said.data['id']}"
    assert (await chat.call("PATCH", edited, {"message": "hi"}, None, headers=headers)).status == 200
    assert (await sign_in(chat)).data["user"] == of_account(old)


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_streams_of_the_guest_stay_and_its_tokens_end(chat: Chat) -> None:
    """No stream is cut by it; what the guest had, or who copied it, does not let in any more; sign-out ends all."""
    old = await guest(chat)
    reader = await chat.read(token=old["token"], username="Ada", clientId="tab")
    await reader.event("system")
    new = (await upgrade(chat, old)).data
    assert (await me(chat, old["token"])).code == "token-revoked"
    assert (await chat.post("/api/auth/refresh", {"refreshToken": old["refreshToken"]}, None)).status == 401
    headers = bearer(new["token"])
    assert (await chat.post("/api/auth/extend", {"clientId": "tab"}, None, headers=headers)).status == 200
    assert (
        await chat.post("/api/rooms/lobby/messages", {"message": "still here"}, None, headers=headers)
    ).status == 201
    assert (await reader.event("room-message"))["message"] == "still here"
    assert (await chat.post("/api/auth/refresh", {"refreshToken": new["refreshToken"]}, None)).status == 200
    assert (await chat.post("/api/auth/signout", None, None, headers=headers)).status == 204
    assert (await reader.event("closing"))["reason"] == "revoked"


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_of_parallel_upgrades_one_wins(chat: Chat) -> None:
    """The others are conflicts, whatever name they ask for; there is one account."""
    old = await guest(chat)
    calls = [upgrade(chat, old, username=f"Ada{n}", email=f"ada{n}@example.org") for n in range(10)]
    answers = await gather(*calls)
    statuses = sorted(answer.status for answer in answers)
    assert statuses[0] == 201 and set(statuses[1:]) <= {401, 409} and 409 in statuses
    assert await chat.server.database.fetch("select count(*) from accounts") == [(1,)]


@pytest.mark.gen_test(timeout=60)
async def test_of_upgrades_on_two_nodes_one_wins(postgres_url: str) -> None:
    """And the stream that the guest has on the other node goes on as the account's."""
    async with started(2, database_url=postgres_url) as (one, two):
        old = await guest(one)
        reader = await two.read(token=old["token"], username="Ada")
        await reader.event("system")
        answers = await asyncio.gather(
            upgrade(one, old, email="one@example.org"),
            upgrade(two, old, username="Eda", email="two@example.org"),
        )
        assert sorted(answer.status for answer in answers) == [201, 409]
        (won,) = (answer.data for answer in answers if answer.status == 201)
        assert won["user"]["userId"] == old["user"]["userId"]
        await one.say("lobby", "go on")
        assert (await reader.event("room-message"))["message"] == "go on"
        assert (await me(two, old["token"])).code == "token-revoked"
        await one.post("/api/auth/signout", None, None, headers=bearer(won["token"]))
        assert (await reader.event("closing"))["reason"] == "revoked"


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_others_see_that_it_is_a_guest_no_longer(chat: Chat) -> None:
    """As soon as its stream goes on as the account's; until then, they saw a guest."""
    await sees_the_mark_go(chat, chat)


@pytest.mark.gen_test(timeout=60)
async def test_others_see_on_all_nodes_that_it_is_a_guest_no_longer(postgres_url: str) -> None:
    """Wherever its stream is, and whichever node is told of the new token."""
    async with started(2, database_url=postgres_url) as (one, two):
        await sees_the_mark_go(one, two)


async def sees_the_mark_go(one: Chat, two: Chat) -> None:
    """One node is told that the guest, whose stream is on the other, has become an account."""
    watching = [await chat.join("lobby", "bob", username="Bob") for chat in {one, two}]
    old = await guest(one)
    await two.read(token=old["token"], username="Ada", clientId="tab")
    for reader in watching:
        assert (await reader.event("user-joined"))["guest"] is True
    new = (await upgrade(one, old)).data
    headers = bearer(new["token"])
    assert (await one.post("/api/auth/extend", {"clientId": "tab"}, None, headers=headers)).status == 200
    for reader in watching:
        members = (await reader.event("presence"))["members"]
        assert {"userId": new["user"]["userId"], "username": "Ada"} in members


@pytest.mark.gen_test(timeout=60)
async def test_reload_that_overtakes_an_upgrade_cuts_no_stream(postgres_url: str) -> None:
    """A node that reads who is shut out before the order has come to it waits for that, before it ends streams."""
    async with started(2, database_url=postgres_url) as (one, two):
        old = await guest(one)
        reader = await two.read(token=old["token"], username="Ada")
        await reader.event("system")
        two.server.log.ring = lambda seq: None  # type: ignore[method-assign]
        assert (await upgrade(one, old)).status == 201
        await two.server.authenticator.reload()
        await one.say("lobby", "go on")
        del two.server.log.ring
        assert (await reader.event("room-message"))["message"] == "go on"
        assert (await me(two, old["token"])).code == "token-revoked"


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_refused_upgrade_leaves_the_guest_as_it_was(chat: Chat) -> None:
    """A name that somebody has registered, a short password: it may try again with the same token."""
    old = await guest(chat)
    await sign_up(chat, email="other@example.org")
    assert (await upgrade(chat, old)).code == "name-taken"
    assert (await upgrade(chat, old, username="Eda", password="short")).status == 400
    assert (await me(chat, old["token"])).data["guest"] is True
    answer = await upgrade(chat, old, username="Eda")
    assert answer.data["user"] == {**of_account(old), "username": "Eda"}


@pytest.mark.every_engine
@pytest.mark.gen_test
@pytest.mark.parametrize("user", ["alice", "guest-0123456789abcdef"])
async def test_only_guests_of_this_server_are_upgraded(chat: Chat, user: str) -> None:
    """Who comes with a token made elsewhere gets an account of its own, whatever its userId looks like."""
    answer = await chat.post("/api/signup", ADA, user)
    assert answer.status == 201 and answer.data["user"]["userId"] not in (user, "")
    assert "guest" not in answer.data["user"]["userId"]


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_account_that_was_a_guest_is_not_upgraded_again(chat: Chat) -> None:
    """Its name, email and password stay: an account does not change hands."""
    old = await guest(chat)
    first = (await upgrade(chat, old)).data
    second = await upgrade(chat, first, username="Bob", email="bob@example.org")
    assert (second.status, second.code) == (409, "conflict")
    assert (await sign_in(chat)).data["user"]["userId"] == old["user"]["userId"]


@pytest.mark.gen_test
async def test_bad_token_makes_no_other_user(chat: Chat) -> None:
    """A guest whose token has run out is told so, and refreshes, instead of losing what it has."""
    answer = await chat.post("/api/signup", ADA, None, headers=bearer("no.good.token"))
    assert (answer.status, answer.code) == (401, "token-invalid")
    assert (await chat.post("/api/signup", ADA, None, headers={"Authorization": "Basic eDp5"})).status == 201


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_me_tells_guests(chat: Chat) -> None:
    """`guest` is true until it has become an account; nobody else has it."""
    old = await guest(chat)
    assert (await me(chat, old["token"])).data["guest"] is True
    new = (await upgrade(chat, old)).data
    answer = await me(chat, new["token"])
    assert {name: answer.data[name] for name in ("userId", "username", "role")} == of_account(old)
    assert "guest" not in answer.data
    assert "guest" not in (await chat.get("/api/auth/me", "guest-0123456789abcdef")).data
