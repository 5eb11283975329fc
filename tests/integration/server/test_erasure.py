"""Erasure: what is deleted is gone from wherever it was said again (rooms/messages.py, storage/erasure.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatrooms.log import sqlite
from chatrooms.log.retention import in_steps
from chatrooms.server import erasure
from tests.helpers.asking import begin
from tests.helpers.chat import Answer, Chat, eventually
from tests.helpers.reader import Reader
from tests.integration.cluster.test_nodes import started
from tests.integration.replies.test_room_replies import final
from tests.integration.users.test_accounts import ADA, bearer, sign_up

pytestmark = pytest.mark.gen_test(timeout=60)

SECRET_WORDS = "the heron flies at noon"

# Where words of people stand.
_TEXTS = (
    "select data from events", "select text from replies", "select prompt from replies", "select title from tasks",
    "select content from session_messages",
)  # fmt: skip


async def told(chat: Chat) -> list[str]:
    """All texts in the database that have the secret words."""
    rows = [row for sql in _TEXTS for row in await chat.server.database.fetch(sql)]
    return [text for (text,) in rows if SECRET_WORDS in text]


async def delete(chat: Chat, message: dict[str, Any], user: str = "alice") -> Answer:
    return await chat.call("DELETE", f"/api/rooms/lobby/messages/{message['id']}", user=user)


@pytest.mark.every_engine
async def test_deleted_question_takes_its_answers_along(chat: Chat) -> None:
    """They may quote it. Others get to know of each deletion, and nothing is left in the database."""
    reader = await chat.join()
    question = await chat.say("lobby", f"@ai {SECRET_WORDS}")
    answer = await final(reader)
    assert SECRET_WORDS in answer["message"]
    assert (await chat.post(f"/api/chat/stream/{answer['messageId']}/regenerate")).status == 200
    again = await final(reader)
    assert (await delete(chat, question)).status == 204
    deleted = [(await reader.event("message-deleted"))["messageId"] for _ in range(3)]
    assert deleted == [question["id"], answer["id"], again["id"]]
    assert await told(chat) == []
    assert (await chat.get("/api/rooms/lobby/messages")).data["messages"] == []


@pytest.mark.every_engine
@pytest.mark.options(ai_delay=0.1)
async def test_answer_that_is_being_written_goes_with_its_question(chat: Chat) -> None:
    """It is stopped, and becomes no message."""
    reader = await chat.join()
    question = await chat.say("lobby", f"@ai {SECRET_WORDS}")
    await reader.event("bot-chunk")
    assert (await delete(chat, question)).status == 204
    await eventually(lambda: chat.server.replies.running == 0)
    assert await told(chat) == []
    assert await chat.server.database.fetch("select state, text, prompt from replies") == [("stopped", "", "")]
    await chat.say("lobby", "next")
    assert (await reader.message("next"))["userId"] == "alice"
    assert [text for text in reader.messages() if "offline" in text] == []


@pytest.mark.every_engine
async def test_who_asked_may_delete_the_answer(chat: Chat) -> None:
    """It may quote what they asked, also where that is no message of the room; nobody else may."""
    reader = await chat.join()
    asking, _ = await begin(chat, {"message": SECRET_WORDS, "roomId": "lobby"})
    await asking.rest()
    answer = await final(reader)
    assert (await delete(chat, answer, "bob")).code == "not-author"
    edit = await chat.call("PATCH", f"/api/rooms/lobby/messages/{answer['id']}", {"message": "mine"})
    assert edit.code == "not-author"
    assert (await delete(chat, answer)).status == 204
    assert await told(chat) == []
    assert (await chat.post(f"/api/chat/stream/{answer['messageId']}/regenerate")).status == 404


@pytest.mark.every_engine
async def test_deleted_message_takes_along_what_quotes_it(chat: Chat) -> None:
    """Answers about the room quote others; those that do not quote this one stay."""
    reader = await chat.join()
    said = await chat.say("lobby", f"{SECRET_WORDS},\n in lines", "bob", username="Bob")
    await chat.say("lobby", "@ai what was said about the heron?")
    quoting = await final(reader)
    assert SECRET_WORDS in quoting["message"]
    await chat.say("lobby", "@ai what was said about the stork?")
    other = await final(reader)
    assert (await delete(chat, said, "bob")).status == 204
    assert [(await reader.event("message-deleted"))["messageId"] for _ in range(2)] == [said["id"], quoting["id"]]
    assert await told(chat) == []
    left = (await chat.get("/api/rooms/lobby/messages")).data["messages"]
    assert [message["id"] for message in left if message.get("isFromBot")] == [other["id"]]


@pytest.mark.every_engine
async def test_account_takes_all_that_is_its_own(chat: Chat) -> None:
    """Tasks, notifications, private replies, what its sessions say, memberships, invites; nobody else's."""
    tokens = await sign_up(chat)
    headers, user_id = bearer(tokens["token"]), tokens["user"]["userId"]

    async def call(method: str, path: str, body: object) -> None:
        answer = await chat.call(method, path, body, None, headers=headers)
        assert answer.status < 300, answer

    for session in ("42", "43"):
        await call("POST", "/api/messages", {"sessionId": session, "content": SECRET_WORDS})
    await call("POST", "/api/v1/tasks", {"title": SECRET_WORDS})
    await call("POST", "/api/chat/stream", {"message": SECRET_WORDS})
    await call("PUT", "/api/rooms/den", {"private": True})
    await call("POST", "/api/rooms/den/invites", {})
    await call("PUT", "/api/rooms/den/membership", None)
    for users in ([user_id], [user_id, "bob"]):
        body = {"userIds": users, "type": "hint", "data": SECRET_WORDS, "sessionId": "42"}
        assert (await chat.post("/api/notifications", body, "robot", role="service")).status == 201
    reader = await listening(chat, "bob")
    await call("DELETE", "/api/auth/me", {"password": ADA["password"]})
    assert len(await told(chat)) == 1, "of all that, bob's notification is left"
    assert SECRET_WORDS in (await reader.event("hint"))["data"]
    rows = await chat.server.database.fetch(
        "select (select count(*) from tasks), (select count(*) from replies), (select count(*) from session_messages), "
        "(select count(*) from memberships), (select count(*) from room_invites), (select count(*) from erasures), "
        "(select count(*) from refresh_families), (select count(*) from event_topics where topic like $1)",
        f"%{user_id}",
    )
    assert rows == [(0,) * 8]
    # The back end may still say something there: it is for nobody else.
    assert (await chat.get("/api/sse/messages?sessionId=42")).status == 403


@pytest.mark.every_engine
async def test_account_leaves_what_was_said_to_former_owners(chat: Chat) -> None:
    """A session that changed hands has words that were never the account's."""
    tokens = await sign_up(chat)
    for owner, words in (("bob", "for bob"), (tokens["user"]["userId"], SECRET_WORDS)):
        given = await chat.call("PUT", "/api/sessions/42", {"userId": owner}, "robot", role="service")
        assert given.status == 200
        said = {"sessionId": "42", "content": words}
        assert (await chat.post("/api/messages", said, "robot", role="service")).status == 201
    gone = await chat.call(
        "DELETE", "/api/auth/me", {"password": ADA["password"]}, None, headers=bearer(tokens["token"])
    )
    assert gone.status == 204
    assert await told(chat) == []
    assert await chat.server.database.fetch("select content from session_messages") == [("for bob",)]
    page = await chat.get("/api/messages?sessionId=42", "robot", role="service")
    assert [message["content"] for message in page.data["data"]["messages"]] == ["for bob"]


@pytest.mark.every_engine
async def test_session_that_changes_hands_meanwhile_keeps_its_new_words(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said to the next owner while the account is erased was never the account's."""
    tokens = await sign_up(chat)
    steps = 0

    async def give(owner: str, words: str) -> None:
        given = await chat.call("PUT", "/api/sessions/42", {"userId": owner}, "robot", role="service")
        assert given.status == 200
        said = {"sessionId": "42", "content": words}
        assert (await chat.post("/api/messages", said, "robot", role="service")).status == 201

    async def interrupted(*args: Any) -> int:
        nonlocal steps
        steps += 1
        if steps == 3:
            await give("bob", "for bob")
        return await in_steps(*args)

    await give(tokens["user"]["userId"], SECRET_WORDS)
    monkeypatch.setattr(erasure, "in_steps", interrupted)
    gone = await chat.call(
        "DELETE", "/api/auth/me", {"password": ADA["password"]}, None, headers=bearer(tokens["token"])
    )
    assert gone.status == 204 and steps > 3
    assert await told(chat) == []
    assert await chat.server.database.fetch("select content from session_messages") == [("for bob",)]
    page = await chat.get("/api/messages?sessionId=42", "bob")
    assert [message["content"] for message in page.data["data"]["messages"]] == ["for bob"]


@pytest.mark.every_engine
async def test_erasure_comes_to_an_end_where_a_session_goes_on(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A back end that says something between any two steps does not keep an erasure busy forever."""
    tokens = await sign_up(chat)
    await chat.call("PUT", "/api/sessions/42", {"userId": tokens["user"]["userId"]}, "robot", role="service")
    appending, said = chat.server.database.appending, 0

    async def say() -> None:
        nonlocal said
        said += 1
        content = {"sessionId": "42", "content": f"{said}"}
        assert (await chat.post("/api/messages", content, "robot", role="service")).status == 201

    async def slow(begin: Any, step: Any, least: int = 1) -> int:
        removed = 0
        for _ in range(20):
            await say()
            async with appending() as tx:
                done = await step(tx, 1)
            if not done:
                return removed
            removed += done
        raise AssertionError("no end")

    await say()
    monkeypatch.setattr(erasure, "in_steps", slow)
    await erasure.finish(chat.server.database, tokens["user"]["userId"])


async def listening(chat: Chat, user: str) -> Reader:
    """A user's notifications, from the first one on."""
    headers = {"Authorization": f"Bearer {chat.token(user)}", "Last-Event-ID": f"{chat.server.log.epoch}-0"}
    reader = await chat.stream(f"/api/clients/{user}/sse", None, headers)
    return reader


@pytest.mark.every_engine
async def test_erasure_that_was_cut_off_is_finished(chat: Chat) -> None:
    """After a crash housekeeping removes what is left of an account."""
    assert (await chat.post("/api/v1/tasks", {"title": SECRET_WORDS}, "ada")).status == 201
    async with chat.server.database.transaction() as tx:
        await erasure.begin(tx, "ada")
    assert await erasure.finish_all(chat.server.database) == 1
    assert await told(chat) == []
    assert await erasure.finish_all(chat.server.database) == 0


async def test_deleted_text_leaves_the_files_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also SQLite's write-ahead log, where the page as it was before would stand for long."""
    monkeypatch.setattr(sqlite, "WAL_LOOK", 0.01)
    monkeypatch.setattr(sqlite, "WAL_AGE", 0.0)
    async with started(1, data_dir=tmp_path) as (chat,):
        message = await chat.say("lobby", SECRET_WORDS)
        assert (await delete(chat, message)).status == 204
        await eventually(lambda: SECRET_WORDS.encode() not in contents(tmp_path))


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("chatrooms.db*"))
