"""The AI SDK from npm reads our replies as a `useChat` page would, unchanged."""

from __future__ import annotations

import asyncio
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.server_process import ServerProcess, token
from tests.clients import readers
from tests.helpers.chat import Caller, eventually, within
from tests.helpers.upstream import WORDS, Upstream

pytestmark = [
    pytest.mark.skipif(not shutil.which("node"), reason="there is no node"),
    pytest.mark.skipif(
        not (readers.HERE / "node_modules" / "ai").is_dir(), reason="npm install --prefix tests/clients is needed"
    ),
]


@within(60)
async def test_a_use_chat_page_works_unchanged(tmp_path: Path) -> None:
    """Text grows as it comes and is whole at the end; errors are errors; a running reply is taken up again."""
    async with Upstream() as upstream:
        options = ("--ai", "openai", "--ai-base-url", upstream.base_url, "--ai-model", "held")
        with ServerProcess(tmp_path / "data", *options) as server:
            assert await _ask(server, "resume") == [{"nothing": True}]
            first = asyncio.create_task(_ask(server))
            await eventually(lambda: _readers(server, 1))
            second = asyncio.create_task(_ask(server, "resume"))
            await eventually(lambda: _readers(server, 2))
            upstream.go.set()
            states = await first
            assert states[-1]["text"] == "".join(WORDS)
            assert states[-1]["role"] == "assistant" and states[-1]["states"] == ["done"]
            texts = [state["text"] for state in states]
            assert len(set(texts)) > 3 and all(b.startswith(a) for a, b in pairwise(texts))
            assert (await second)[-1] == states[-1]
        options = ("--ai", "openai", "--ai-base-url", upstream.base_url, "--ai-model", "dies")
        with ServerProcess(tmp_path / "other", *options) as server:
            states = await _ask(server)
            assert any("dropped the connection" in state.get("error", "") for state in states), states


async def _readers(server: ServerProcess, count: int) -> bool:
    return await Caller(server.url, "alice").metric("chatrooms_reply_readers") == count


async def _ask(server: ServerProcess, *more: str) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        "node", readers.HERE / "use_chat.mjs", f"{server.url}/api/chat/stream", token("alice"), "Hello", *more,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]
