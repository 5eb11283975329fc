"""Names that look like others', and guests told apart from accounts (sections 2 and 3)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from chatrooms.names import skeletons
from chatrooms.users import store
from tests.helpers.chat import Answer, Chat, eventually

ADA = {"username": "Ada", "email": "ada@example.org", "password": "correct horse"}
LIKE_ADA = ["ADA", "A\u200bda", "Ad\u00ada", "Ada\u3164", "\uff21\uff44\uff41", "Аdа", "Ada\u2800", "𝐀𝐝𝐚"]


async def guest(chat: Chat, name: str) -> Answer:
    return await chat.post("/api/auth/guest", {"username": name}, None)


async def sign_up(chat: Chat, name: str, email: str) -> Answer:
    return await chat.post("/api/signup", {**ADA, "username": name, "email": email}, None)


def bearer(answer: Answer) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.data['token']}"}


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_nobody_may_look_like_an_account(chat: Chat) -> None:
    """Neither a guest nor another account; a deleted account's looks are free again."""
    first = await sign_up(chat, "Ada", "ada@example.org")
    assert first.status == 201
    for n, name in enumerate(LIKE_ADA):
        for answer in (await guest(chat, name), await sign_up(chat, name, f"a{n}@example.org")):
            assert (answer.status, answer.code) == (409, "name-taken"), name
    assert (await guest(chat, "Adam")).status == 201
    assert (await sign_up(chat, "Ада", "b@example.org")).status == 201  # all of it Cyrillic, and it looks like nobody
    gone = await chat.call("DELETE", "/api/auth/me", {"password": ADA["password"]}, None, headers=bearer(first))
    assert gone.status == 204
    assert (await guest(chat, "Аdа")).status == 201
    assert (await sign_up(chat, "Ada", "c@example.org")).status == 201


@pytest.mark.gen_test
@pytest.mark.parametrize("name", ["Ａdmin", "M0derator", "S\u200berver"])
async def test_reserved_names_are_not_for_those_who_come_by_themselves(chat: Chat, name: str) -> None:
    """Guests and accounts; what others go by, whose token leaves that open, their own program decides."""
    answers = [await guest(chat, name), await sign_up(chat, name, "x@example.org")]
    assert [(answer.status, answer.code) for answer in answers] == [(409, "name-taken")] * 2
    said = await chat.post("/api/rooms/lobby/messages", {"message": "x", "username": name})
    assert said.status == 201


@pytest.mark.gen_test
@pytest.mark.parametrize("name", ["Assistant", "аssistant", "SYSTEM"])
async def test_reserved_names_are_nobodys(chat: Chat, name: str) -> None:
    """The server's own: of guests, of accounts, and of those whose token leaves the name open; a token may give one."""
    email = "x@example.org"
    answers = [await guest(chat, name), await sign_up(chat, name, email)]
    answers.append(await chat.get(f"/events?roomId=lobby&poll=1&username={quote(name)}"))
    answers.append(await chat.post("/api/rooms/lobby/messages", {"message": "x", "username": name}))
    assert [(answer.status, answer.code) for answer in answers] == [(409, "name-taken")] * 4
    token = chat.token("boss", name)
    headers = {"Authorization": f"Bearer {token}"}
    said = await chat.post("/api/rooms/lobby/messages", {"message": "x"}, None, headers=headers)
    assert said.status == 201


@pytest.mark.gen_test
@pytest.mark.parametrize("name", ["\u3164", "\u2800\u2800", "\u00ad", "\U000e0041", "\u115f\uffa0"])
async def test_names_that_show_nothing_are_refused(chat: Chat, name: str) -> None:
    """With 400, as other malformed ones."""
    assert [(await guest(chat, name)).status, (await sign_up(chat, name, "x@example.org")).status] == [400, 400]


@pytest.mark.gen_test
@pytest.mark.options(leave_grace=0)
async def test_no_guest_looks_like_somebody_present(chat: Chat) -> None:
    """Who has a token of elsewhere has no account here; guests may look like each other, and show what they are."""
    here = await chat.join(user="u1", username="Grace", token=chat.token("u1", "Grace"))
    refused = await guest(chat, "Grаce")
    assert (refused.status, refused.code) == (409, "name-taken")
    here.close()
    await eventually(lambda: not chat.server.rooms.is_live("lobby"))
    one = await guest(chat, "Grаce")
    await chat.join(user="x", username="Grаce", token=one.data["token"])
    assert (await guest(chat, "Grace")).status == 201


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_guests_are_told_apart_from_everybody_else(chat: Chat) -> None:
    """`guest` is true in what is told of them, and not there in what is told of others."""
    ann = await chat.join(user="ann")
    signed_in = await guest(chat, "Guy")
    assert signed_in.data["user"]["guest"] is True
    token, headers = signed_in.data["token"], bearer(signed_in)
    guy = await chat.read(username="Guy", token=token)
    system = await guy.event("system")
    assert system["guest"] is True and [m.get("guest") for m in system["members"]] == [None, True]
    assert (await ann.event("user-joined"))["guest"] is True
    said = await chat.post("/api/rooms/lobby/messages", {"message": "hello"}, None, headers=headers)
    assert said.data["guest"] is True and (await ann.event("room-message"))["guest"] is True
    path = f"/api/rooms/lobby/messages/{said.data['id']}"
    edited = await chat.call("PATCH", path, {"message": "hi"}, None, headers=headers)
    assert edited.data["guest"] is True
    await chat.post("/api/rooms/lobby/typing", None, None, headers=headers)
    assert (await ann.event("typing"))["guest"] is True
    for path in ("/api/rooms/lobby", "/api/rooms/lobby/members"):
        members = (await chat.get(path)).data["members"]
        assert [(m["username"], m.get("guest")) for m in members] == [("ann", None), ("Guy", True)]
    assert "guest" not in await chat.say("lobby", "me, too", user="ann")
    await chat.post("/api/rooms/lobby/leave", {"clientId": system["clientId"]}, None, headers=headers)
    assert (await ann.event("user-left"))["guest"] is True


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_guests_stay_guests_by_refresh_and_ticket_and_accounts_are_none(chat: Chat) -> None:
    """However they come back; and no token made elsewhere is a guest's, whatever it says."""
    signed_in = await guest(chat, "Guy")
    renewed = await chat.post("/api/auth/refresh", {"refreshToken": signed_in.data["refreshToken"]}, None)
    assert (await chat.get("/api/auth/me", None, headers=bearer(renewed))).data["guest"] is True
    ticket = (await chat.post("/api/auth/ticket", None, None, headers=bearer(renewed))).data["ticket"]
    reader = await chat.stream("/events", {"ticket": ticket, "roomId": "lobby", "username": "Guy"})
    assert (await reader.event("system"))["guest"] is True
    account = await sign_up(chat, "Ada", "ada@example.org")
    assert "guest" not in (await chat.get("/api/auth/me", None, headers=bearer(account))).data
    forged = chat.tokens.sign("guest-1", "Bob", guest=True)
    assert "guest" not in (await chat.get("/api/auth/me", None, headers={"Authorization": f"Bearer {forged}"})).data


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_accounts_of_before_are_indexed_and_the_oldest_has_the_looks(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of an earlier version is brought up to date at the start, some accounts at a time."""
    monkeypatch.setattr(store, "INDEXED_AT_ONCE", 2)
    database = chat.server.database
    rows = [(f"u{n}", name, name.casefold(), n) for n, name in enumerate(["Zoe", "Ada", "Аdа", "Eve", "Bob"])]
    async with database.transaction() as tx:
        await tx.execute("delete from meta where name = 'names-indexed'")
        for row in rows:
            await tx.execute(
                "insert into accounts (user_id, username, folded_name, created_at, role, state) "
                "values ($1, $2, $3, $4, 'user', 'active')", *row,
            )  # fmt: skip
    await chat.server.accounts.open()
    held: dict[str, str] = dict(await database.fetch("select skeleton, user_id from name_skeletons"))
    assert held == {skeletons("Zoe")[0]: "u0", "ada": "u1", "eve": "u3", skeletons("Bob")[0]: "u4"}
    assert (await guest(chat, "Eve")).status == 409
    await chat.server.accounts.open()  # and not again


@pytest.mark.every_engine
@pytest.mark.gen_test
async def test_name_of_an_account_that_has_no_skeletons_is_taken(chat: Chat) -> None:
    """One that looked like an older account when they were indexed, and that account is gone; or a program's row."""
    async with chat.server.database.transaction() as tx:
        await tx.execute(
            "insert into accounts (user_id, username, folded_name, created_at, role, state) "
            "values ('u1', 'Ada', 'ada', 1, 'user', 'active')"
        )
    for answer in (await guest(chat, "ADA"), await sign_up(chat, "Ada", "ada@example.org")):
        assert (answer.status, answer.code) == (409, "name-taken")
