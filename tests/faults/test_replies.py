"""Replies and the end of their process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx

from benchmarks.server_process import ServerProcess, token
from tests.helpers.chat import Caller, within
from tests.helpers.reader import Reader
from tests.helpers.talk import Talk
from tests.helpers.upstream import Upstream


@within(90)
async def test_reply_cut_by_a_kill_is_interrupted_at_the_next_start(tmp_path: Path) -> None:
    """With the text that it had; the room shows it so, and readers get it with one error and the end."""
    with ServerProcess(tmp_path / "data", "--ai-delay", "0.1") as server:
        reader = Reader.of_room(server.url, "lobby", "alice")
        await reader.connect()
        await Caller(server.url, "alice").send("lobby", "@ai hello")
        await reader.collect(lambda r: len(r.of_type("bot-chunk")) >= 8)
        server.kill()
        told = "".join(json.loads(event.data)["chunk"] for event in reader.of_type("bot-chunk"))

        await asyncio.to_thread(server.start)
        await reader.follow(lambda r: any(m.get("isFromBot") for m in r.posts))
        message = next(m for m in reader.posts if m.get("isFromBot"))
        assert message["state"] == "interrupted"
        assert told.startswith(message["message"]) and message["message"].startswith("(offline assistant)")

        caller = Caller(server.url, "alice")
        talk = await _read(server, message["messageId"])
        assert talk.text == message["message"] and talk.whole()
        assert [part["code"] for part in talk.said] == ["interrupted"]
        log = await caller.log_of("lobby")
        assert [m["message"] for m in log] == ["@ai hello", message["message"]]
        assert not server.tracebacks(), server.tracebacks()
        assert "hello" not in "\n".join(server.log)


@within(60)
async def test_memory_stays_bounded_when_the_model_server_floods(tmp_path: Path) -> None:
    """A gigabyte in one line, in deltas, or in comments: each ends soon, and leaves nothing behind."""
    async with Upstream() as upstream:
        options = ("--ai", "openai", "--ai-base-url", upstream.base_url)
        with ServerProcess(tmp_path / "data", *options) as server:
            await _ask(server, "plain")
            before = server.memory()
            for model in ("flood", "endless-line", "comments") * 3:
                talk = await _ask(server, model)
                assert [part["type"] for part in talk.said] == ["error"] and talk.whole()
            assert server.memory("VmHWM") - before < 40 << 20
            assert not server.tracebacks(), server.tracebacks()


async def _ask(server: ServerProcess, model: str) -> Talk:
    body = {"message": "hello", "model": model}
    headers = {"Authorization": f"Bearer {token('alice')}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as http:
        return Talk.of((await http.post(f"{server.url}/api/chat/stream", json=body, timeout=30)).content)


async def _read(server: ServerProcess, reply: str) -> Talk:
    headers = {"Authorization": f"Bearer {token('alice')}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as http:
        return Talk.of((await http.get(f"{server.url}/api/chat/stream/{reply}")).content)
