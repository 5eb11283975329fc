"""AI replies (section 4) with the offline provider: what is asked, resumed, asked again, and read much later."""

from __future__ import annotations

import time

import pytest

from tests.helpers.asking import begin, resume
from tests.helpers.chat import Chat
from tests.helpers.talk import Talk

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]


@pytest.mark.options(ai_delay=0.04)
async def test_offline_answer_is_labelled_quotes_and_is_soon_over(chat: Chat) -> None:
    before = time.monotonic()
    talk = Talk.of((await chat.post("/api/chat/stream", {"message": "Hi there", "model": "any"})).body)
    assert time.monotonic() - before < 3
    assert "offline" in talk.text and "“Hi there”" in talk.text
    assert len(talk.content) >= 5 and talk.whole()


@pytest.mark.parametrize("body", [{}, {"message": ""}, {"message": " \n"}, {"messages": []}, {"message": None}])
async def test_without_a_message_it_is_400(chat: Chat, body: dict[str, object]) -> None:
    answer = await chat.post("/api/chat/stream", body)
    assert (answer.status, answer.code) == (400, "empty-message")


@pytest.mark.parametrize("field", [{"temperature": 2.1}, {"history": [{"role": "robot", "content": ""}]}, {"model": 1}])
async def test_fields_are_checked(chat: Chat, field: dict[str, object]) -> None:
    answer = await chat.post("/api/chat/stream", {"message": "Hi", **field})
    assert (answer.status, answer.code) == (400, "bad-field")


async def test_every_chunk_names_its_reply_and_conversation(chat: Chat) -> None:
    answer = await chat.post("/api/chat/stream", {"message": "Hi", "conversationId": "c1"})
    talk = Talk.of(answer.body)
    assert {part["messageId"] for part in talk.content} == {answer.headers["X-Message-Id"]}
    assert {part["conversationId"] for part in talk.content} == {"c1"}


@pytest.mark.options(ai_delay=0.01)
async def test_reply_is_read_after_its_end_from_any_index(chat: Chat) -> None:
    """From its row, when it is no longer in memory, with the same chunks."""
    answer = await chat.post("/api/chat/stream", {"message": "Hi"})
    reply, talk = answer.headers["X-Message-Id"], Talk.of(answer.body)
    assert (await chat.get(f"/api/chat/stream/{reply}")).body == answer.body
    for after in (0, 3, len(talk.content) - 1):
        rest = Talk.of((await chat.get(f"/api/chat/stream/{reply}?after={after}")).body)
        assert rest.content == talk.content[after + 1 :] and rest.done == 1
    assert (await chat.get(f"/api/chat/stream/{reply}?after=x")).code == "bad-field"
    assert (await chat.get(f"/api/chat/stream/{reply}", user="bob")).status == 404
    assert (await chat.get(f"/api/chat/stream/{reply}", user="boss", role="admin")).status == 200
    assert (await chat.get("/api/chat/stream/none")).status == 404


async def test_regenerate_is_another_reply_to_the_same_question(chat: Chat) -> None:
    first = await chat.post("/api/chat/stream", {"message": "Hi", "conversationId": "c1"})
    path = f"/api/chat/stream/{first.headers['X-Message-Id']}/regenerate"
    again = await chat.post(path)
    assert Talk.of(again.body).text == Talk.of(first.body).text
    assert again.headers["X-Message-Id"] != first.headers["X-Message-Id"]
    assert (await chat.post(path, user="bob")).status == 404


@pytest.mark.options(ai_delay=0.05)
async def test_regenerate_waits_for_the_end(chat: Chat) -> None:
    reader, reply = await begin(chat, {"message": "Hi"})
    await reader.next()
    assert (await chat.post(f"/api/chat/stream/{reply}/regenerate")).status == 409
    assert (await chat.call("DELETE", f"/api/chat/stream/{reply}")).status == 204


@pytest.mark.options(ai_delay=0.1, heartbeat=0.2)
async def test_heartbeats_do_not_count_as_chunks(chat: Chat) -> None:
    reader, reply = await begin(chat, {"message": "Hi"})
    await reader.event("heartbeat")
    reader.close()
    talk = Talk(await (await resume(chat, reply, "0")).rest())
    assert talk.indexes[0] == 1 and talk.done == 1


async def test_ui_message_stream_has_the_parts_of_the_ai_sdk(chat: Chat) -> None:
    """A body with `messages` is a useChat page; what comes back are its parts, whatever it names itself."""
    parts = [{"type": "text", "text": "Hi "}, {"type": "file", "url": "x"}, {"type": "text", "text": "there"}]
    messages = [{"id": "1", "role": "user", "parts": parts}]
    body = {"id": "chat-1", "messages": messages, "trigger": "submit-message"}
    answer = await chat.post("/api/chat/stream", body)
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    blocks = [block.removeprefix("data: ") for block in answer.body.decode().strip().split("\n\n")]
    kinds = [block.split('"')[3] for block in blocks[:-1]]
    assert kinds[:2] == ["start", "text-start"] and kinds[-2:] == ["text-end", "finish"] and blocks[-1] == "[DONE]"
    assert set(kinds[2:-2]) == {"text-delta"}
    reply = answer.headers["X-Message-Id"]
    again = await chat.get(f"/api/chat/stream/{reply}?format=ui-message-stream")
    assert again.body == answer.body
    assert (await chat.get("/api/chat/stream/chat-1/stream")).status == 204


@pytest.mark.options(max_streams_per_user=2, ai_delay=0.2)
async def test_readers_of_one_user_are_bounded(chat: Chat) -> None:
    readers = [(await begin(chat, {"message": "Hi"}))[0] for _ in range(2)]
    answer = await chat.post("/api/chat/stream", {"message": "Hi"})
    assert (answer.status, answer.code) == (429, "too-many-streams")
    for reader in readers:
        reader.close()
