"""Who may do what in a room with rules: every rank against every act."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.helpers.chat import Chat
from tests.helpers.den import BANNED, DEN, MEMBER, MODERATOR, OWNER, STRANGER, TOM, do, make_den, must
from tests.helpers.reader import Reader

pytestmark = pytest.mark.gen_test(timeout=30)

# In this order stand the statuses below.
PEOPLE = (STRANGER, BANNED, MEMBER, MODERATOR, OWNER, "robot", "root")


class Act(NamedTuple):
    """A call, and its status for each of PEOPLE in a private room; `stranger` in a public one."""

    name: str
    method: str
    path: str
    body: object
    private: tuple[int, ...]
    stranger: int


READ = (403, 403, 200, 200, 200, 200, 200)
SAID = (403, 403, 204, 204, 204, 204, 204)
WRITTEN = (403, 403, 201, 201, 201, 201, 201)
MODERATED = (403, 403, 403, 204, 204, 204, 204)
SHOWN = (403, 403, 403, 200, 200, 200, 200)
OWNED = (403, 403, 403, 403, 204, 204, 204)

ACTS = (
    Act("info", "GET", DEN, None, (404, 403, 200, 200, 200, 200, 200), 200),
    Act("history", "GET", f"{DEN}/messages", None, READ, 200),
    Act("members", "GET", f"{DEN}/members", None, READ, 200),
    Act("poll", "GET", "/events?roomId=den&username=x&poll=1", None, READ, 200),
    Act("typing", "POST", f"{DEN}/typing", {}, SAID, 204),
    Act("leave", "POST", f"{DEN}/leave", {"clientId": "1"}, SAID, 204),
    Act("post", "POST", f"{DEN}/messages", {"message": "x"}, WRITTEN, 201),
    Act("batch", "POST", f"{DEN}/messages/batch", {"messages": [{"message": "x"}]}, WRITTEN, 201),
    Act("edit other", "PATCH", f"{DEN}/messages/ID", {"message": "y"}, (403, 403, 403, 403, 403, 200, 200), 403),
    Act("delete other", "DELETE", f"{DEN}/messages/ID", None, MODERATED, 403),
    Act("configure", "PUT", DEN, {"title": "Den"}, (403, 403, 403, 403, 200, 200, 200), 403),
    Act("invite", "POST", f"{DEN}/invites", {}, (403, 403, 403, 201, 201, 201, 201), 403),
    Act("invites", "GET", f"{DEN}/invites", None, SHOWN, 403),
    Act("mute", "PUT", f"{DEN}/mutes/{TOM}", {}, SHOWN, 403),
    Act("mutes", "GET", f"{DEN}/mutes", None, SHOWN, 403),
    Act("unmute", "DELETE", f"{DEN}/mutes/{TOM}", None, MODERATED, 403),
    Act("promote", "PUT", f"{DEN}/moderators/{TOM}", None, OWNED, 403),
    Act("demote", "DELETE", f"{DEN}/moderators/{TOM}", None, OWNED, 403),
    Act("kick", "POST", f"{DEN}/kick", {"userId": TOM}, MODERATED, 403),
    Act("ban", "PUT", f"{DEN}/bans/{TOM}", {"seconds": 60}, SHOWN, 403),
    Act("bans", "GET", f"{DEN}/bans", None, SHOWN, 403),
    Act("unban", "DELETE", f"{DEN}/bans/{TOM}", None, MODERATED, 403),
    Act("audit", "GET", f"{DEN}/audit", None, SHOWN, 403),
)


async def statuses(chat: Chat, user: str) -> dict[str, int]:
    """What each act is answered with, one after the other, about a message of TOM."""
    message = await must(chat, TOM, "POST", f"{DEN}/messages", {"message": "mine"})
    return {
        act.name: (await do(chat, user, act.method, act.path.replace("ID", message["id"]), act.body)).status
        for act in ACTS
    }


@pytest.mark.parametrize("user", PEOPLE)
async def test_private_room(chat: Chat, user: str) -> None:
    """Only members read and write; only those of a rank moderate."""
    await make_den(chat, private=True)
    assert await statuses(chat, user) == {act.name: act.private[PEOPLE.index(user)] for act in ACTS}


@pytest.mark.parametrize("user", PEOPLE)
async def test_public_room(chat: Chat, user: str) -> None:
    """All but the banned read and write; moderation is the same."""
    await make_den(chat, private=False)
    place = PEOPLE.index(user)
    expected = {act.name: act.stranger if user == STRANGER else act.private[place] for act in ACTS}
    expected["info"] = 403 if user == BANNED else 200
    assert await statuses(chat, user) == expected


@pytest.mark.parametrize("user", [STRANGER, MEMBER])
async def test_refusals_say_nothing_about_the_room(chat: Chat, user: str) -> None:
    """The refusal to moderate is the same in a private room, a public one and one that is not there."""
    await make_den(chat, private=True)
    await must(chat, OWNER, "PUT", "/api/rooms/open", {})
    for act in ACTS:
        if act.private[PEOPLE.index(MEMBER)] == 403 and "ID" not in act.path and act.name != "configure":
            paths = [act.path.replace(DEN, path) for path in (DEN, "/api/rooms/open", "/api/rooms/none")]
            answers = [await do(chat, user, act.method, path, act.body) for path in paths]
            assert len({answer.body for answer in answers}) == 1, (act.name, answers)


@pytest.mark.parametrize("how", ["kick", "ban", "mute", "unmute"])
@pytest.mark.parametrize(
    ("actor", "above"),
    [
        (MODERATOR, {OWNER, "other", "root", "helper"}),
        (OWNER, {"root", "helper"}),
        ("robot", set()),
        ("boss", set()),
    ],
)
async def test_one_acts_only_against_those_below(chat: Chat, actor: str, above: set[str], how: str) -> None:
    """Moderators not against each other, nobody of the room against service and admin."""
    await make_den(chat, private=False)
    await must(chat, OWNER, "PUT", f"{DEN}/moderators/other")
    await chat.join("den", "root", token=chat.token("root", role="admin"))
    await chat.join("den", "helper", token=chat.token("helper", role="service"))
    role = {"robot": "service", "boss": "admin"}.get(actor, "user")
    calls = {
        "kick": ("POST", f"{DEN}/kick"),
        "ban": ("PUT", f"{DEN}/bans/"),
        "mute": ("PUT", f"{DEN}/mutes/"),
        "unmute": ("DELETE", f"{DEN}/mutes/"),
    }
    method, path = calls[how]
    for target in {"other", OWNER, "root", "helper", MEMBER, STRANGER} - {actor}:
        full, body = (path, {"userId": target}) if how == "kick" else (path + target, None)
        answer = await chat.call(method, full, body, actor, role=role)
        refused = target in above and not (how == "unmute" and target in ("root", "helper"))
        assert (answer.status == 403) == refused, (target, answer)


@pytest.mark.parametrize("user", [MODERATOR, OWNER, "root"])
async def test_nobody_acts_against_oneself_by_mistake(chat: Chat, user: str) -> None:
    """Kick, ban and mute of oneself are 400, and nothing happens."""
    await make_den(chat, private=True)
    for method, path, body in (
        ("POST", f"{DEN}/kick", {"userId": user}),
        ("PUT", f"{DEN}/bans/{user}", None),
        ("PUT", f"{DEN}/mutes/{user}", None),
    ):
        answer = await do(chat, user, method, path, body)
        assert (answer.status, answer.code) == (400, "bad-request")
    await must(chat, user, "POST", f"{DEN}/messages", {"message": "still here"})


async def test_muted_moderator_cannot_unmute_itself(chat: Chat) -> None:
    """One's own rank is not below one's own."""
    await make_den(chat, private=False)
    await must(chat, OWNER, "PUT", f"{DEN}/mutes/{MODERATOR}")
    assert (await do(chat, MODERATOR, "DELETE", f"{DEN}/mutes/{MODERATOR}")).code == "forbidden"
    await must(chat, OWNER, "DELETE", f"{DEN}/mutes/{MODERATOR}")
    await must(chat, MODERATOR, "POST", f"{DEN}/messages", {"message": "again"})


async def test_account_of_an_admin_is_protected_without_a_stream(chat: Chat) -> None:
    """Whose account is an admin's is known by the database, on every node."""
    await make_den(chat, private=False)
    body = {"username": "Eve", "email": "eve@example.org", "password": "long enough"}
    user_id = (await must(chat, STRANGER, "POST", "/api/signup", body))["user"]["userId"]
    async with chat.server.database.transaction() as tx:
        await tx.execute("update accounts set role = 'admin' where user_id = $1", user_id)
    assert (await do(chat, OWNER, "PUT", f"{DEN}/bans/{user_id}")).code == "forbidden"
    await must(chat, "root", "PUT", f"{DEN}/bans/{user_id}")


async def test_ban_of_an_admin_has_no_effect(chat: Chat) -> None:
    """Whose token says admin is above the rules, whatever they say of the user."""
    await make_den(chat, private=False)
    reader: Reader = await chat.join("den", "boss", token=chat.token("boss", role="admin"))
    await must(chat, "root", "PUT", f"{DEN}/bans/boss")
    await must(chat, OWNER, "POST", f"{DEN}/messages", {"message": "after"})
    await reader.message("after")
    answer = await chat.call("POST", f"{DEN}/messages", {"message": "me too"}, "boss", role="admin")
    assert answer.status == 201
    assert (await chat.call("POST", f"{DEN}/messages", {"message": "I"}, "boss")).code == "banned"
