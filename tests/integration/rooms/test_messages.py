"""Messages over HTTP (section 3): posting, history, changing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.chat import Chat, gather

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]

MESSAGES = "/api/rooms/lobby/messages"


async def test_posted_message_is_the_event(chat: Chat) -> None:
    """201 with the same data that the readers get."""
    reader = await chat.join()
    answer = await chat.post(MESSAGES, {"message": "a\nb", "username": "Al", "clientMessageId": "m1"})
    assert answer.status == 201
    assert await reader.event("room-message") == answer.data
    assert answer.data.pop("timestamp") > 1_600_000_000_000
    assert {k: v for k, v in answer.data.items() if k not in ("id", "timestamp")} == {
        "roomId": "lobby", "userId": "alice", "username": "Al", "message": "a\nb", "clientMessageId": "m1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("token_name", "body", "shown"),
    [("Tok", {"username": "Body", "clientId": "c"}, "Tok"), (None, {"username": " Body ", "clientId": "c"}, "Body"),
     (None, {"clientId": "c"}, "Streamed"), (None, {"clientId": "d"}, "alice"), (None, {}, "alice")],
)  # fmt: skip
async def test_name_shown_is_the_best_there_is(
    chat: Chat, token_name: str | None, body: dict[str, str], shown: str
) -> None:
    """The token's, else the body's, else that of the client's stream, else the user's id."""
    await chat.join(user="alice", username="Streamed", clientId="c")
    headers = {"Authorization": f"Bearer {chat.token('alice', token_name)}"}
    answer = await chat.post(MESSAGES, {"message": "a", **body}, None, headers=headers)
    assert answer.data["username"] == shown


async def test_same_client_message_id_is_the_same_message(chat: Chat) -> None:
    """200 with the first one, whatever it says now; another user or room has its own."""
    first = await chat.post(MESSAGES, {"message": "a", "clientMessageId": "m"})
    again = await chat.post(MESSAGES, {"message": "b", "clientMessageId": "m"})
    assert (first.status, again.status) == (201, 200)
    assert again.data == first.data
    assert (await chat.post(MESSAGES, {"message": "a", "clientMessageId": "m"}, "bob")).status == 201
    assert (await chat.post("/api/rooms/other/messages", {"message": "a", "clientMessageId": "m"})).status == 201
    assert len((await chat.get(MESSAGES)).data["messages"]) == 2


async def test_keys_of_users_and_rooms_do_not_run_into_each_other(chat: Chat) -> None:
    """Whatever slashes the ids hold."""
    for user, own in (("a", "b/c"), ("a/b", "c"), ("a/b/c", "d"), ("1/a", "b/c"), ("a", "1/b/c")):
        assert (await chat.post(MESSAGES, {"message": "a", "clientMessageId": own}, user)).status == 201


async def test_twenty_posts_of_one_message_at_once_write_it_once(chat: Chat) -> None:
    """One 201, nineteen 200, all with the same message."""
    reader = await chat.join()
    body = {"message": "once", "clientMessageId": "m"}
    answers = await gather(*(chat.post(MESSAGES, body) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len({answer.body for answer in answers}) == 1
    await chat.say("lobby", "fence")
    await reader.message("fence")
    assert reader.messages() == ["once", "fence"]


async def test_batch_is_one_commit_in_order(chat: Chat) -> None:
    """Repeats within it are written once."""
    ids = ["x", "y", "x", None]
    items = [{"message": str(n), "clientMessageId": own} for n, own in enumerate(ids)]
    answer = await chat.post(f"{MESSAGES}/batch", {"messages": items, "username": "Al"})
    assert answer.status == 201
    posted = answer.data["messages"]
    assert [message["message"] for message in posted] == ["0", "1", "0", "3"]
    assert posted[0] == posted[2]
    seqs = [int(message["id"].partition("-")[2]) for message in posted]
    assert seqs == [seqs[0], seqs[0] + 1, seqs[0], seqs[0] + 2]
    again = await chat.post(f"{MESSAGES}/batch", {"messages": items[:3]})
    assert (again.status, again.data["messages"]) == (200, posted[:3])


@pytest.mark.parametrize(
    ("count", "status"), [(0, 400), (1, 201), (500, 201), (501, 400)]
)  # fmt: skip
async def test_batch_is_bounded(chat: Chat, count: int, status: int) -> None:
    """1 to 500 messages."""
    answer = await chat.post(f"{MESSAGES}/batch", {"messages": [{"message": "a"}] * count}, role="service")
    assert answer.status == status


async def test_batch_with_one_bad_message_writes_none(chat: Chat) -> None:
    """All or nothing."""
    answer = await chat.post(f"{MESSAGES}/batch", {"messages": [{"message": "a"}, {"message": " "}]})
    assert (answer.status, answer.code) == (400, "empty-message")
    assert (await chat.get(MESSAGES)).data == {"messages": [], "hasMore": False}


@pytest.mark.parametrize(
    ("path", "body"),
    [(MESSAGES, {"message": "x" * 16_385}), (MESSAGES, {"message": "ä" * 8193}),
     (MESSAGES, {"message": "x", "other": "x" * (256 << 10)}),
     (f"{MESSAGES}/batch", {"messages": [{"message": "x" * 16_000}] * 70})],
)  # fmt: skip
async def test_what_is_too_large_is_refused(chat: Chat, path: str, body: object) -> None:
    """A message by its bytes of UTF-8, a body by its own."""
    answer = await chat.post(path, body, role="service")
    assert (answer.status, answer.code) == (413, "too-large")


@pytest.mark.options(message_rate=5)
async def test_hasty_user_is_told_to_wait(chat: Chat) -> None:
    """A batch counts each message; services and admins are exempt, other users not concerned."""
    assert (await chat.post(f"{MESSAGES}/batch", {"messages": [{"message": "a"}] * 4})).status == 201
    assert (await chat.post(f"{MESSAGES}/batch", {"messages": [{"message": "a"}] * 2})).status == 429
    assert (await chat.post(MESSAGES, {"message": "a"})).status == 201
    refused = await chat.post(MESSAGES, {"message": "a"})
    assert (refused.status, refused.code) == (429, "rate-limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert (await chat.post(MESSAGES, {"message": "a"}, "bob")).status == 201
    for role in ("service", "admin"):
        for _ in range(10):
            assert (await chat.post(MESSAGES, {"message": "a"}, role=role)).status == 201


@pytest.mark.options(message_rate=0)
async def test_rate_of_zero_is_no_limit(chat: Chat) -> None:
    """As for every limit."""
    answers = await gather(*(chat.post(MESSAGES, {"message": str(n)}) for n in range(150)))
    assert {answer.status for answer in answers} == {201}


async def test_history_is_paged_in_both_directions(chat: Chat) -> None:
    """Oldest first; `hasMore` looks in the direction asked."""
    texts = [str(n) for n in range(25)]
    posted = await chat.say_all("lobby", texts)
    await chat.say("other", "x")

    async def page(query: str) -> tuple[list[str], bool]:
        answer = (await chat.get(f"{MESSAGES}?{query}")).data
        return [message["message"] for message in answer["messages"]], answer["hasMore"]

    assert await page("") == (texts, False)
    assert await page("limit=10") == (texts[15:], True)
    assert await page(f"limit=10&before={posted[15]['id']}") == (texts[5:15], True)
    assert await page(f"limit=10&before={posted[5]['id']}") == (texts[:5], False)
    assert await page(f"limit=5&before={posted[5]['id']}") == (texts[:5], False)
    assert await page(f"limit=10&before={posted[0]['id']}") == ([], False)
    assert await page(f"limit=10&after={posted[0]['id']}") == (texts[1:11], True)
    assert await page(f"limit=10&after={posted[14]['id']}") == (texts[15:], False)
    assert await page(f"limit=10&after={posted[24]['id']}") == ([], False)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "limit=-1", "limit=1.5", "limit=%C2%B2", "limit=99999999999999999999",
     "before=x", "after=x", "before=00000000-1", "before=", "limit=%ff", "before=%ff", "before=%00"],
)  # fmt: skip
async def test_malformed_page_is_refused(chat: Chat, query: str) -> None:
    """An empty value is none."""
    answer = await chat.get(f"{MESSAGES}?{query}")
    assert (answer.status == 200) if query == "before=" else (answer.status == 400)


async def test_before_and_after_exclude_each_other(chat: Chat) -> None:
    """There is no page between."""
    id = (await chat.say("lobby", "a"))["id"]
    assert (await chat.get(f"{MESSAGES}?before={id}&after={id}")).code == "bad-field"


@pytest.mark.parametrize(
    ("user", "role", "patched", "deleted"),
    [("alice", "user", 200, 204), ("bob", "user", 403, 403), ("bob", "agent", 403, 403), ("bob", "admin", 200, 204),
     ("bob", "service", 200, 204)],
)  # fmt: skip
async def test_author_and_moderators_change_a_message(
    chat: Chat, user: str, role: str, patched: int, deleted: int
) -> None:
    """Nobody else does."""
    id = (await chat.say("lobby", "a"))["id"]
    answer = await chat.call("PATCH", f"{MESSAGES}/{id}", {"message": "b"}, user, role)
    assert answer.status == patched
    shown = (await chat.get(MESSAGES)).data["messages"][0]
    assert (shown["message"], "editedAt" in shown) == (("b", True) if patched == 200 else ("a", False))
    if patched == 200:
        assert answer.data == shown
    assert (await chat.call("DELETE", f"{MESSAGES}/{id}", None, user, role)).status == deleted
    assert len((await chat.get(MESSAGES)).data["messages"]) == (0 if deleted == 204 else 1)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_message_that_is_not_there_is_not_found(chat: Chat, method: str) -> None:
    """Unknown, of another room, of another kind, deleted, or no id at all."""
    posted = await chat.say("lobby", "a")
    epoch = chat.server.log.epoch
    ids: list[Any] = [f"{epoch}-999", "00000000-1", "x", "%ff", "%00", f"{epoch}-{2**53}"]
    paths = [f"{MESSAGES}/{id}" for id in ids] + [f"/api/rooms/other/messages/{posted['id']}"]
    deleted = await chat.say("lobby", "b")
    await chat.call("DELETE", f"{MESSAGES}/{deleted['id']}")
    paths += [f"{MESSAGES}/{deleted['id']}", f"{MESSAGES}/{epoch}-{chat.server.log.head}"]
    for path in paths:
        assert (await chat.call(method, path, {"message": "c"})).status == 404


async def test_deleted_message_answers_its_repetition_without_text(chat: Chat) -> None:
    """A late retry does not bring it back."""
    posted = await chat.say("lobby", "a", clientMessageId="m")
    await chat.call("DELETE", f"{MESSAGES}/{posted['id']}")
    again = await chat.post(MESSAGES, {"message": "a", "clientMessageId": "m"})
    assert (again.status, again.data["id"], again.data["message"]) == (200, posted["id"], "")
    assert (await chat.get(MESSAGES)).data["messages"] == []


async def test_rooms_are_listed(chat: Chat) -> None:
    """Those with messages and those that somebody is in, in pages."""
    for room in ("b", "d"):
        await chat.say(room, "x")
    for room in ("a", "b", "é"):
        await chat.join(room)
    rooms = (await chat.get("/api/rooms")).data
    assert [(room["roomId"], room["onlineCount"]) for room in rooms["rooms"]] == [
        ("a", 1),
        ("b", 1),
        ("d", 0),
        ("é", 1),
    ]
    assert rooms["hasMore"] is False
    page = (await chat.get("/api/rooms?limit=2&after=a")).data
    assert ([room["roomId"] for room in page["rooms"]], page["hasMore"]) == (["b", "d"], True)
    info = (await chat.get("/api/rooms/d")).data
    assert (info["roomId"], info["onlineCount"], info["members"]) == ("d", 0, [])
    assert (await chat.get("/api/rooms/z")).status == 404
