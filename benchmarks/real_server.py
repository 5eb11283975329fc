"""Our server in front of somebody else's model server: streams, stops, errors, dropped connections.

    python benchmarks/real_server.py http://127.0.0.1:8000/v1 MODEL [PID of the model server]

With the PID (on this machine) it also shows how much the model server still works after a stop.
`tiny_model.py` makes a model for `transformers serve`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx

from benchmarks.replies import cpu
from benchmarks.server_process import ServerProcess, token
from chatrooms.sse import Parser

LONG = "Tell me a very long story. " * 20


async def check(base_url: str, model: str, pid: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options = ("--ai", "openai", "--ai-base-url", base_url, "--ai-model", model, "--ai-idle", "20")
        with ServerProcess(Path(folder), *options) as server:
            headers = {"Authorization": f"Bearer {token('alice')}"}
            async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=120, trust_env=False) as http:
                await streams(http)
                await stops(http, pid)
                await errs(http)
                await drops(http)
            print("tracebacks:", server.tracebacks() or "none")


async def streams(http: httpx.AsyncClient) -> None:
    start = time.perf_counter()
    async with http.stream("POST", "/api/chat/stream", json={"message": "Hi"}) as response:
        body, first = b"", 0.0
        async for data in response.aiter_raw():
            first = first or time.perf_counter() - start
            body += data
    print(f"streams: first chunk after {first * 1000:.0f} ms, {summary(body)}")


async def stops(http: httpx.AsyncClient, pid: int | None) -> None:
    async with http.stream("POST", "/api/chat/stream", json={"message": LONG}) as response:
        body = b""
        async for data in response.aiter_raw():
            body += data
            if body.count(b"event: content") >= 5:
                break
        start = time.perf_counter()
        status = (await http.delete(f"/api/chat/stream/{response.headers['X-Message-Id']}")).status_code
        took = time.perf_counter() - start
    print(f"stops: {status} after {took * 1000:.0f} ms")
    if pid:
        await asyncio.sleep(max(0.0, 1 - took))
        used = cpu(pid)
        await asyncio.sleep(2)
        print(f"  the model server's processor from 1 s to 3 s after the stop: {cpu(pid) - used:.2f} s")


async def errs(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/chat/stream", json={"message": "Hi", "model": "no/such-model"})
    print(f"errors: {summary(response.content)}")


async def drops(http: httpx.AsyncClient) -> None:
    """The model server's keep-alive (5 s with uvicorn) ends between two replies."""
    for pause in (0.0, 4.9, 5.0, 5.1, 6.0):
        await asyncio.sleep(pause)
        response = await http.post("/api/chat/stream", json={"message": "Hi"})
        print(f"after {pause} s of rest: {summary(response.content)}")


def summary(body: bytes) -> str:
    """How many chunks came, whether each index came once, in order, with `[DONE]` last, and what else came."""
    *events, last = [event.data for event in Parser().feed(body)]
    parts = [json.loads(data) for data in events]
    indexes = [part["index"] for part in parts if part["type"] == "content"]
    whole = indexes == list(range(len(indexes))) and last == "[DONE]"
    others = [part for part in parts if part["type"] not in ("content", "heartbeat")]
    return f"{len(indexes)} chunks, whole: {whole}, {others}"


if __name__ == "__main__":
    asyncio.run(check(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None))
