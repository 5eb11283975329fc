"""The OpenAI-compatible provider against a real HTTP server with every fault that such servers have."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop
from tornado.web import Application

from benchmarks.server_process import SECRET
from chatrooms.app import make_app
from chatrooms.sse import ServerEvent
from tests.helpers.asking import begin, resume
from tests.helpers.chat import Chat, eventually
from tests.helpers.talk import Talk
from tests.helpers.upstream import FLOOD, ODD, WORDS, Upstream

pytestmark = pytest.mark.gen_test(timeout=30)

KEY = "sk-of-the-operator"


@pytest.fixture
def upstream(io_loop: IOLoop) -> Iterator[Upstream]:
    async def started() -> Upstream:
        return await Upstream().__aenter__()

    server: Upstream = io_loop.run_sync(started)
    yield server
    io_loop.run_sync(lambda: server.__aexit__(None, None, None))


@pytest.fixture
def app(upstream: Upstream, request: pytest.FixtureRequest, io_loop: IOLoop, tmp_path: Path) -> Iterator[Application]:
    options: dict[str, Any] = {
        "data_dir": tmp_path, "secret": SECRET, "ai": "openai", "ai_base_url": upstream.base_url,
        "ai_api_key": KEY, "ai_model": "plain",
    }  # fmt: skip
    for mark in request.node.iter_markers("options"):
        options.update(mark.kwargs)
    made = make_app(**options)
    yield made
    io_loop.run_sync(made.settings["server"].stop)


async def ask(chat: Chat, model: str, **more: Any) -> Talk:
    """Asks a model and reads to the end."""
    answer = await chat.post("/api/chat/stream", {"message": "Hello", "model": model, **more})
    assert answer.status == 200, answer
    return Talk.of(answer.body)


def asked(model: str) -> dict[str, Any]:
    return {"message": "Hello", "model": model}


async def test_text_arrives_as_the_model_wrote_it(chat: Chat, upstream: Upstream) -> None:
    talk = await ask(chat, "plain", history=[{"role": "user", "content": "Before"}], temperature=0.5)
    assert talk.text == "".join(WORDS)
    assert talk.whole() and not talk.said
    (body,) = upstream.bodies
    assert body["messages"] == [{"role": "user", "content": "Before"}, {"role": "user", "content": "Hello"}]
    assert (body["model"], body["temperature"], body["stream"]) == ("plain", 0.5, True)
    assert upstream.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("quirky", "Hello there"),
        ("no-done", "Hello there"),
        ("split", ODD + "😀\ufffd!\ufffd"),
        ("drops-once", "".join(WORDS)),
    ],
)
async def test_quirks_are_survived(chat: Chat, model: str, text: str) -> None:
    talk = await ask(chat, model)
    assert talk.text == text
    assert talk.whole() and not talk.said


async def test_usage_is_recorded(chat: Chat) -> None:
    await ask(chat, "quirky")
    rows = await chat.server.database.fetch("select prompt_tokens, completion_tokens, state from replies")
    assert rows == [(5, 2, "complete")]
    assert "chatrooms_reply_tokens_total 2.0" in (await chat.get("/metrics")).body.decode()


@pytest.mark.options(ai_first_token=1, ai_idle=1.5)
@pytest.mark.parametrize(
    ("model", "text", "code"),
    [
        ("hang", "", "ai-timeout"),
        ("silent", "", "ai-timeout"),
        ("stall", "Hello", "ai-timeout"),
        ("drip", "", "ai-timeout"),
        ("endless-line", "", "ai-failed"),
        ("redirect", "", "ai-rejected"),
        ("dies", "Hello", "ai-cut"),
        ("dies-unframed", "Hello", "ai-cut"),
        ("drops-always", "", "ai-cut"),
        ("broken", "", "ai-failed"),
        ("fails-inside", "", "ai-failed"),
        ("page", "", "ai-failed"),
        ("unauthorized", "", "ai-rejected"),
        ("busy", "", "ai-busy"),
        ("down", "", "ai-failed"),
    ],
)
async def test_a_fault_is_one_error_and_then_done(
    chat: Chat, upstream: Upstream, caplog: pytest.LogCaptureFixture, model: str, text: str, code: str
) -> None:
    """Whatever happens upstream, the reader gets what came, one clear error, and the end; soon."""
    before = time.monotonic()
    talk = await ask(chat, model)
    assert time.monotonic() - before < 4
    assert talk.whole()
    assert [part["type"] for part in talk.said] == ["error"]
    assert talk.said[0]["code"] == code
    assert talk.text in ("Hello", text)
    assert upstream.asked[model] == (2 if model == "drops-always" else 1)
    told = json.dumps(talk.said) + caplog.text
    assert KEY not in told and "secret" not in told


@pytest.mark.options(max_reply_bytes=100_000)
@pytest.mark.parametrize(("model", "code"), [("flood", "too-large"), ("comments", "ai-failed")])
async def test_a_flood_is_cut_off(chat: Chat, upstream: Upstream, model: str, code: str) -> None:
    """Far too much is not read to its end, and what was read does not pile up."""
    talk = await ask(chat, model)
    assert talk.whole()
    assert [part["code"] for part in talk.said] == [code]
    assert len(talk.text) <= 100_000
    assert upstream.sent < FLOOD / 50


async def test_a_server_that_is_not_there_is_an_error(chat: Chat, upstream: Upstream) -> None:
    await upstream.__aexit__(None, None, None)
    talk = await ask(chat, "plain")
    assert [part["code"] for part in talk.said] == ["ai-unreachable"] and talk.whole()


@pytest.mark.parametrize("model", ["held", "hang"])
async def test_stop_ends_the_work_upstream_within_a_second(chat: Chat, upstream: Upstream, model: str) -> None:
    """Before the first token, too; the reader learns who did it, and what there is is kept."""
    reader, reply = await begin(chat, asked(model))
    if model == "held":
        await reader.until(lambda event: '"index":2' in event.data)
    await eventually(lambda: upstream.asked[model] == 1)
    before = time.monotonic()
    assert (await chat.call("DELETE", f"/api/chat/stream/{reply}", user="mallory")).status == 404
    assert (await chat.call("DELETE", f"/api/chat/stream/{reply}")).status == 204
    await eventually(lambda: model in upstream.hung_up)
    assert upstream.hung_up[model] - before < 1
    await reader.rest()
    talk = Talk(reader.seen)
    assert talk.said == [{"type": "stopped", "by": "alice"}] and talk.whole()
    assert talk.text == ("".join(WORDS[:3]) if model == "held" else "")
    later = Talk.of((await chat.get(f"/api/chat/stream/{reply}")).body)
    assert (later.text, later.said) == (talk.text, talk.said)


async def test_fifty_readers_are_one_request(chat: Chat, upstream: Upstream) -> None:
    first, reply = await begin(chat, asked("held"))
    await first.until(lambda event: '"index":2' in event.data)
    reading = [asyncio.create_task(chat.get(f"/api/chat/stream/{reply}")) for _ in range(49)]
    await eventually(lambda: chat.server.replies.in_memory(reply).readers == 50)
    upstream.go.set()
    bodies = [answer.body for answer in await asyncio.gather(*reading)]
    await first.rest()
    assert Talk(first.seen).text == "".join(WORDS)
    assert all(body == bodies[0] for body in bodies)
    assert Talk.of(bodies[0]).text == "".join(WORDS) and Talk.of(bodies[0]).whole()
    assert upstream.asked == {"held": 1}


@pytest.mark.options(ai_orphan=0.3)
async def test_a_private_reply_that_nobody_reads_is_stopped(chat: Chat, upstream: Upstream) -> None:
    reader, reply = await begin(chat, asked("held"))
    await reader.next()
    reader.close()
    await eventually(lambda: "held" in upstream.hung_up)
    talk = Talk.of((await chat.get(f"/api/chat/stream/{reply}")).body)
    assert talk.said == [{"type": "stopped", "by": "server"}]


@pytest.mark.options(ai_orphan=0)
async def test_closing_the_tab_stops_nothing(chat: Chat, upstream: Upstream) -> None:
    reader, reply = await begin(chat, asked("held"))
    await reader.next()
    reader.close()
    await eventually(lambda: chat.server.replies.in_memory(reply).readers == 0)
    upstream.go.set()
    assert Talk.of((await chat.get(f"/api/chat/stream/{reply}")).body).text == "".join(WORDS)


@pytest.mark.options(ai_replies_per_user=1, ai_replies=2, ai_queue=1)
async def test_who_waits_is_told_the_place(chat: Chat, upstream: Upstream) -> None:
    """One at once for a user, two in all; one more waits and knows it, the next is refused."""
    first, _ = await begin(chat, asked("held"))
    other, _ = await begin(chat, asked("held"), "bob")
    await first.next()
    waiting, reply = await begin(chat, asked("held"))
    assert json.loads((await waiting.next()).data) == {"type": "queued", "position": 1, "messageId": reply}
    refused = await chat.post("/api/chat/stream", {"message": "Hello"})
    assert (refused.status, refused.code) == (429, "too-many-replies") and "Retry-After" in refused.headers
    assert upstream.asked["held"] == 2
    upstream.go.set()
    await waiting.rest()
    assert Talk(waiting.seen).text == "".join(WORDS)
    for reader in (first, other):
        await reader.rest()


@pytest.mark.options(ai_replies_per_user=3)
async def test_a_reply_that_waits_can_be_stopped(chat: Chat, upstream: Upstream) -> None:
    readers = [await begin(chat, asked("held")) for _ in range(4)]
    waiting, reply = readers[3]
    await waiting.next()
    assert (await chat.call("DELETE", f"/api/chat/stream/{reply}")).status == 204
    await waiting.rest()
    assert Talk(waiting.seen).said[-1] == {"type": "stopped", "by": "alice"}
    upstream.go.set()
    for reader, _ in readers[:3]:
        await reader.rest()
    assert upstream.asked["held"] == 3


async def test_a_prompt_that_is_too_long_is_refused(chat: Chat, upstream: Upstream) -> None:
    """Its history gives way, oldest first; the message itself does not."""
    assert (await chat.post("/api/chat/stream", {"message": "x" * 65_537})).code == "too-large"
    history = [{"role": "user", "content": f"{n}" * 20_000} for n in range(5)]
    await ask(chat, "plain", history=history)
    assert [m["content"][0] for m in upstream.bodies[0]["messages"]] == ["2", "3", "4", "H"]


async def test_signing_out_ends_the_reading(chat: Chat, upstream: Upstream) -> None:
    tokens = (await chat.post("/api/auth/guest", {"username": "Ada"}, user=None)).data
    headers = {"Authorization": f"Bearer {tokens['token']}"}
    asking = chat.post("/api/chat/stream", {"message": "Hello", "model": "held"}, user=None, headers=headers)
    reading = asyncio.create_task(asking)
    await eventually(lambda: upstream.asked["held"] == 1)
    assert (await chat.post("/api/auth/signout", user=None, headers=headers)).status == 204
    talk = Talk.of((await reading).body)
    assert [part["code"] for part in talk.said] == ["token-revoked"] and talk.done == 1
    upstream.go.set()


async def test_a_reader_dropped_anywhere_resumes_without_a_gap(chat: Chat, upstream: Upstream) -> None:
    """Hung up at 100 random points and resumed each time by the last id: every index once, the text whole."""
    upstream.pause = 0.005
    dice = random.Random(4)
    reader, reply = await begin(chat, asked("plain"))
    events: list[ServerEvent] = []
    for _ in range(100):
        for _ in range(dice.randint(0, 3)):
            if events and events[-1].data == "[DONE]":
                break
            events.append(await reader.next())
        reader.close()
        reader = await resume(chat, reply, events[-1].last_event_id if events else "")
    events += await reader.rest()
    talk = Talk([event for event in events if event.data != "[DONE]"] + events[-1:])
    assert talk.text == "".join(WORDS) and talk.whole()
    assert upstream.asked == {"plain": 1}
