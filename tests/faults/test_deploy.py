"""The configurations of deploy/ in earnest: nodes on PostgreSQL behind nginx and Caddy, with TLS and HTTP/2."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.postgres import Postgres
from benchmarks.process import CouldNotRun
from benchmarks.server_process import ServerProcess, token
from chatrooms.http.pages import static_folder
from tests.faults.conftest import Serve
from tests.helpers.certificate import self_signed
from tests.helpers.chat import Answer, Caller, within
from tests.helpers.front import Caddy, Front, Nginx, program
from tests.helpers.reader import LIMIT, POLL, Reader, texts

READERS = 12
MESSAGES = 40

Cluster = tuple[list[ServerProcess], Front]


@pytest.fixture(params=[Nginx, Caddy], ids=["nginx", "caddy"])
def cluster(request: pytest.FixtureRequest, serve: Serve, postgres: Postgres, tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes, and what stands before them."""
    url = postgres.url(postgres.new_database())
    folder = tmp_path / "front"
    folder.mkdir()
    try:
        program(request.param.__name__.lower())
        nodes = [serve("--database-url", url, "--trusted-proxies", "127.0.0.1") for _ in range(2)]
        front = request.param(folder, nodes, self_signed(tmp_path))
    except CouldNotRun as reason:
        pytest.skip(str(reason))
    yield nodes, front
    front.stop()


@within(60)
async def test_streams_flow_over_http2_and_posts_go_anywhere(cluster: Cluster) -> None:
    """Each message is there before the next is said: nothing holds a stream back, and nothing is sticky."""
    nodes, front = cluster
    stream = await Curl.open(front, "lobby", "reader")
    assert stream.head.startswith("HTTP/2 200"), stream.head
    async with asyncio.timeout(LIMIT):
        await stream.until(lambda events: "event: system" in events)
        for n in range(MESSAGES):
            caller = Caller(front.url, f"writer-{n}", ssl.create_default_context(cafile=front.ca))
            posted = await caller.send("lobby", f"m{n}")
            assert posted.status == 201
            caller.close()
            await stream.until(lambda events, id=posted.data["id"]: f"id: {id}\n" in events)  # type: ignore[misc]
    callers = [Caller(node.url, "root", role="admin") for node in nodes]
    streams = [await caller.metric("chatrooms_streams") for caller in callers]
    answered = [await requests(caller, "POST") for caller in callers]
    assert sum(answered) == MESSAGES and answered[streams.index(0)] > 0, (streams, answered)
    stream.close()


@within(60)
async def test_files_are_compressed(cluster: Cluster) -> None:
    """What is large comes small, and is kept."""
    _, front = cluster
    path = "vendor/markdown-it-15.0.3/markdown-it.esm.min.mjs"
    request = urllib.request.Request(f"{front.url}/static/{path}", headers={"Accept-Encoding": "gzip"})
    context = ssl.create_default_context(cafile=front.ca)
    with await asyncio.to_thread(urllib.request.urlopen, request, context=context, timeout=LIMIT) as answer:
        assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
        assert "immutable" in answer.headers["Cache-Control"]
        body = await asyncio.to_thread(answer.read)
    whole = (static_folder() / path).read_bytes()
    assert gzip.decompress(body) == whole and len(body) < len(whole) / 2


@within(90)
async def test_streams_resume_on_another_node_when_theirs_is_killed(cluster: Cluster) -> None:
    """Posts go on meanwhile; a client says again what got no answer. Nothing is lost, nothing is there twice."""
    nodes, front = cluster
    context = ssl.create_default_context(cafile=front.ca)
    readers = [Reader.of_room(front.url, "lobby", f"reader-{n}", context=context) for n in range(READERS)]
    for reader in readers:
        reader.version = "1.0"
        await reader.connect()
        await reader.collect(lambda r: bool(r.of_type("system")))
    caller = Caller(front.url, "writer", context)
    for n in range(MESSAGES):
        await persistently(caller, f"m{n}")
    counts = [await Caller(node.url, "root", role="admin").metric("chatrooms_streams") for node in nodes]
    assert sum(counts) == READERS and min(counts) > 0, counts
    reading = [asyncio.create_task(r.follow(lambda r: len(r.posts) >= 2 * MESSAGES, 60)) for r in readers]
    nodes[0].kill()
    for n in range(MESSAGES, 2 * MESSAGES):
        await persistently(caller, f"m{n}")
    await asyncio.gather(*reading)
    assert all(texts(reader.posts) == [f"m{n}" for n in range(2 * MESSAGES)] for reader in readers)
    assert sum(reader.connections > 1 for reader in readers) >= counts[0]
    for reader in readers:
        reader.cut()
    caller.close()
    await asyncio.sleep(0)  # TLS ends in the next turn of the loop


@within(60)
async def test_client_is_known_behind_it_and_what_is_inside_stays_inside(cluster: Cluster) -> None:
    """Metrics and readiness are no business of the world; an address that a client claims is not believed."""
    _, front = cluster
    caller = Caller(front.url, "root", ssl.create_default_context(cafile=front.ca), role="admin")
    assert (await caller.call("GET", "/metrics")).status == 404
    assert (await caller.call("GET", "/readyz")).status == 404
    assert (await caller.call("GET", "/healthz")).data == {"status": "ok"}
    assert (await caller.call("GET", "/")).status == 200
    caller.close()


class Curl:
    """A stream read by curl, over HTTP/2."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._out = process.stdout
        self.head = ""
        self.body = ""

    @classmethod
    async def open(cls, front: Front, room: str, user: str) -> Curl:
        query = f"roomId={room}&username={user}&clientId=curl&token={token(user)}"
        command = ("-sN", "-i", "--http2", "--cacert", str(front.ca), f"{front.url}/events?{query}")
        process = await asyncio.create_subprocess_exec(program("curl"), *command, stdout=asyncio.subprocess.PIPE)
        self = cls(process)
        self.head = (await self._out.readuntil(b"\r\n\r\n")).decode()
        return self

    async def until(self, enough: Callable[[str], bool]) -> None:
        """Returns when the body so far is enough."""
        while not enough(self.body):
            chunk = await self._out.read(1 << 16)
            assert chunk, "the stream has ended"
            self.body += chunk.decode()

    def close(self) -> None:
        self._process.kill()


async def persistently(caller: Caller, text: str) -> Answer:
    """Says something under one id until it is acknowledged."""
    while True:
        try:
            answer = await caller.send("lobby", text, clientMessageId=text)
        except (OSError, EOFError):
            caller.close()
        else:
            if answer.status in (200, 201):
                return answer
            assert answer.status in (502, 503, 504), answer
        await asyncio.sleep(POLL)


async def requests(caller: Caller, method: str) -> int:
    """How many requests with that method a node has answered."""
    text: str = (await caller.call("GET", "/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith(f'chatrooms_requests_total{{method="{method}"')]
    return sum(int(float(line.split()[-1])) for line in lines)
