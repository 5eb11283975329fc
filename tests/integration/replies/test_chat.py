"""AI replies (section 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatrooms.sse import Parser
from tests.helpers.chat import Answer, Chat, eventually
from tests.helpers.reader import Reader

pytestmark = pytest.mark.gen_test(timeout=30)

STREAM = "/api/chat/stream"


def chunks(body: bytes) -> list[dict[str, Any]]:
    """The JSON events of a reply's stream, which must end with [DONE] and hold it once."""
    events = Parser().feed(body)
    assert events[-1].data == "[DONE]"
    decoded: list[dict[str, Any]] = []
    for event in events[:-1]:
        if event.type == "heartbeat":  # may come at any time
            continue
        decoded.append(json.loads(event.data))
        if decoded[-1]["type"] == "content":
            assert (event.type, event.last_event_id) == ("content", str(decoded[-1]["index"]))
        else:
            assert event.type == "message"
    return decoded


def text_of(body: bytes) -> str:
    return "".join(chunk["text"] for chunk in chunks(body) if chunk["type"] == "content")


async def ask(chat: Chat, message: str = "What is the time?", **more: object) -> Answer:
    return await chat.post(STREAM, {"message": message, **more})


async def begin(chat: Chat, message: str = "hello", user: str = "alice") -> tuple[Reader, str]:
    """A reply that is being generated, after its first chunk: its reader and its id."""
    body = json.dumps({"message": message}).encode()
    head = f"POST {STREAM} HTTP/1.0\r\nAuthorization: Bearer {chat.token(user)}\r\nContent-Length: {len(body)}\r\n\r\n"
    reader = await Reader.send(chat.port, head.encode() + body)
    await reader.event("content")
    header = next(line for line in reader.head.split(b"\r\n") if line.lower().startswith(b"x-message-id: "))
    return reader, header.partition(b": ")[2].decode()


async def test_reply_comes_in_numbered_chunks_and_ends(chat: Chat) -> None:
    """At least five, without gaps, all with the ids of the reply; joined they quote the message."""
    answer = await ask(chat)
    assert answer.status == 200
    got = chunks(answer.body)
    assert len(got) >= 5
    assert [chunk["index"] for chunk in got] == list(range(len(got)))
    assert {chunk["messageId"] for chunk in got} == {answer.headers["X-Message-Id"]}
    assert len({chunk["conversationId"] for chunk in got}) == 1
    assert all(chunk.keys() == {"type", "text", "messageId", "conversationId", "index"} for chunk in got)
    assert "What is the time?" in text_of(answer.body)
    assert "offline" in text_of(answer.body)
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_head_is_that_of_a_stream(chat: Chat) -> None:
    """So that no proxy holds it back."""
    answer = await ask(chat)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"


async def test_conversation_is_kept_or_made(chat: Chat) -> None:
    """Two replies have two ids."""
    answers = [await ask(chat, conversationId="talk"), await ask(chat), await ask(chat)]
    ids = [chunks(answer.body)[0]["conversationId"] for answer in answers]
    assert ids[0] == "talk" and len(set(ids)) == 3
    assert len({answer.headers["X-Message-Id"] for answer in answers}) == 3


async def test_only_the_last_ten_entries_of_history_count(chat: Chat) -> None:
    """Five of the last ten were the user's, so this is the sixth message."""
    history = [{"role": "user" if n % 2 else "assistant", "content": "x"} for n in range(50)]
    assert "message number 6 " in text_of((await ask(chat, history=history)).body)


@pytest.mark.parametrize("after", [-1, 0, 3])
@pytest.mark.parametrize("way", ["header", "query"])
async def test_finished_reply_is_read_again_from_an_index(chat: Chat, after: int, way: str) -> None:
    """As often as one likes."""
    first = await ask(chat)
    path = f"{STREAM}/{first.headers['X-Message-Id']}"
    if way == "header":
        again = await chat.get(path, headers={"Last-Event-ID": str(after)})
    else:
        again = await chat.get(f"{path}?after={after}")
    assert chunks(again.body) == chunks(first.body)[after + 1 :]
    assert again.headers["X-Message-Id"] == first.headers["X-Message-Id"]


@pytest.mark.options(ai_delay=0.02)
async def test_reply_outlives_its_connection(chat: Chat) -> None:
    """It is read to its end by who comes back, and by several."""
    reader, id = await begin(chat)
    reader.close()
    rest = await chat.get(f"{STREAM}/{id}?after=0")
    whole = await chat.get(f"{STREAM}/{id}")
    assert chunks(rest.body) == chunks(whole.body)[1:]
    assert "“hello”" in text_of(whole.body)


@pytest.mark.options(ai_delay=10)
async def test_stopped_reply_says_by_whom_and_ends(chat: Chat) -> None:
    """Every reader is told; what there is stays."""
    reader, id = await begin(chat)
    assert (await chat.call("DELETE", f"{STREAM}/{id}", None, "bob")).status == 404
    assert (await chat.call("DELETE", f"{STREAM}/{id}")).status == 204
    got = chunks(await reader.rest_of_body())
    assert got[-1] == {"type": "stopped", "by": "alice"}
    again = await chat.get(f"{STREAM}/{id}")
    assert chunks(again.body) == got
    assert not chat.server.replies._jobs
    assert (await chat.call("DELETE", f"{STREAM}/{id}")).status == 204


@pytest.mark.options(max_reply_bytes=40)
async def test_reply_that_grows_too_long_ends_with_an_error(chat: Chat) -> None:
    """[DONE] ends that stream, too."""
    got = chunks((await ask(chat)).body)
    assert {k: got[-1][k] for k in ("type", "code")} == {"type": "error", "code": "too-large"}
    assert sum(len(chunk["text"]) for chunk in got[:-1]) <= 40


@pytest.mark.parametrize(
    "body",
    [
        {}, {"message": ""}, {"message": " \n"}, {"message": None}, {"message": 1}, {"message": ["a"]},
        {"message": "a\0b"}, {"message": "a", "temperature": -0.1}, {"message": "a", "temperature": 2.1},
        {"message": "a", "temperature": "1"}, {"message": "a", "temperature": True},
        {"message": "a", "temperature": 2**53 + 1}, {"message": "a", "history": {}}, {"message": "a", "history": ["x"]},
        {"message": "a", "history": [{"role": "user"}]}, {"message": "a", "history": [{"role": 1, "content": "x"}]},
        {"message": "a", "history": [{"role": "user", "content": "\0"}]}, {"message": "a", "model": 4},
        {"message": "a", "conversationId": "x" * 129}, {"message": "a", "conversationId": "\0"},
        {"message": "a", "conversationId": 7}, {"message": "a", "roomId": []}, [], None, "a",
        b'{"message":"a","temperature":NaN}', b'{"message":"a","temperature":1e400}', b'{"message":"\\ud800"}',
        b'{"message":"a","history":[{"role":"user","content":"\\udfff"}]}',
    ],
)  # fmt: skip
async def test_malformed_question_is_refused(chat: Chat, body: object) -> None:
    """Before anything is generated."""
    answer = await chat.post(STREAM, json.dumps(body).encode() if body is None else body)
    assert answer.status == 400
    assert answer.data.keys() == {"error", "code"}


@pytest.mark.parametrize("temperature", [0, 0.0, 1, 2, 2.0, None])
async def test_temperature_within_bounds_is_taken(chat: Chat, temperature: float | None) -> None:
    """Whole numbers, too; the offline provider takes any model."""
    assert (await ask(chat, temperature=temperature, model="any")).status == 200


@pytest.mark.parametrize("after", ["x", "1.5", "--1", "9" * 20, "²", "1 2"])
async def test_malformed_index_is_refused(chat: Chat, after: str) -> None:
    """It is no position of this stream."""
    path = f"{STREAM}/{(await ask(chat)).headers['X-Message-Id']}"
    assert (await chat.get(path, headers={"Last-Event-ID": after})).status == 400


async def test_reply_of_another_is_not_found(chat: Chat) -> None:
    """Nor is one that never was; 401 comes first."""
    id = (await ask(chat)).headers["X-Message-Id"]
    assert (await chat.get(f"{STREAM}/{id}", "bob")).status == 404
    assert (await chat.get(f"{STREAM}/nonsense")).status == 404
    assert (await chat.get(f"{STREAM}/%ff")).status == 404
    assert (await chat.get(f"{STREAM}/{id}", None)).status == 401
    assert (await chat.get(f"{STREAM}/{id}", "admin", role="admin")).status == 200
    assert (await chat.post(STREAM, {"message": "a"}, None)).status == 401


async def test_generation_ends_with_the_reply(chat: Chat) -> None:
    """No job is left behind."""
    await ask(chat)
    await eventually(lambda: not chat.server.replies._jobs)
