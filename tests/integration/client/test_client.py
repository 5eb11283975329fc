"""The Python client against a real server, over a network that fails."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import chatrooms
from chatrooms.client import Client, Event, Refused
from chatrooms.client import feed as feeds
from tests.clients.proxy import Proxy
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import PATIENCE

pytestmark = pytest.mark.gen_test(timeout=60)


@asynccontextmanager
async def client_of(chat: Chat, user: str, port: int = 0, **options: Any) -> AsyncIterator[Client]:
    """A client of that user, over a proxy when its port is given."""
    options.setdefault("token", chat.token(user))
    async with Client(f"http://127.0.0.1:{port or chat.port}", username=user, **options) as client:
        yield client


class Listener:
    """What a feed gave, read in the background."""

    def __init__(self, feed: AsyncIterator[Event]) -> None:
        self.events: list[Event] = []
        self.task = asyncio.create_task(self._read(feed))

    async def _read(self, feed: AsyncIterator[Event]) -> None:
        async for event in feed:
            self.events.append(event)

    @property
    def texts(self) -> list[str]:
        return [event.data["message"] for event in self.events if event.type == "room-message"]

    async def hears(self, *texts: str) -> None:
        await eventually(lambda: self.task.done() or set(texts) <= set(self.texts))
        assert set(texts) <= set(self.texts), self.task

    async def ends(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.task


@asynccontextmanager
async def canned(answer: Callable[[str, int], bytes | Awaitable[bytes]]) -> AsyncIterator[tuple[str, Counter[str]]]:
    """A server that answers each request by its first line and how often that was asked; real HTTP."""
    asked: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).split(b" HTTP", 1)[0].decode()
        asked[line] += 1
        said = answer(line, asked[line])
        writer.write(said if isinstance(said, bytes) else await said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


def refusal(status: int, code: str, headers: str = "") -> bytes:
    body = json.dumps({"error": "No.", "code": code})
    return f"HTTP/1.1 {status} No\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def stream(*events: str, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{headers}\r\n{''.join(events)}".encode()


async def test_room_is_read_over_cuts(chat: Chat) -> None:
    """Nothing lacks and nothing comes twice, wherever the connection breaks; ids are positions."""
    async with Proxy(chat.port) as proxy, client_of(chat, "ann", proxy.port) as client:
        await client.send("lobby", "before")
        heard = Listener(client.room("lobby", history=10))
        await heard.hears("before")
        for n in range(3):
            await client.send("lobby", f"m{n}")
            proxy.cut()
            await chat.say("lobby", f"away{n}")
            await heard.hears(f"away{n}")
        assert heard.texts == ["before", *(text for n in range(3) for text in (f"m{n}", f"away{n}"))]
        messages = [event for event in heard.events if event.type == "room-message"]
        assert all(event.id == event.data["id"] for event in messages)
        assert heard.events[0].type == "system" and heard.events[0].data["userId"] == "ann"
        late = Listener(client.room("lobby", position=messages[4].id))
        await late.hears("away2")
        assert late.texts == heard.texts[5:]


@pytest.mark.options(heartbeat=0.1)
async def test_silence_is_a_dead_connection(chat: Chat) -> None:
    """After two and a half heartbeats the client makes another one."""
    async with Proxy(chat.port) as proxy, client_of(chat, "ann", proxy.port) as client:
        heard = Listener(client.room("lobby"))
        await eventually(lambda: bool(heard.events))
        proxy.mute()
        await chat.say("lobby", "hello?")
        await heard.hears("hello?")
        assert proxy.made == 2
        assert "heartbeat" not in [event.type for event in heard.events]


async def test_what_is_sent_is_there_once(chat: Chat) -> None:
    """Though the answer was lost, and whatever else was sent meanwhile."""
    async with Proxy(chat.port) as proxy, client_of(chat, "ann", proxy.port) as client:
        reader = await chat.join()
        sending = asyncio.create_task(client.send("lobby", "once"))
        await eventually(lambda: proxy.open == 1)
        proxy.mute()
        await reader.message("once")
        proxy.cut()
        message = await sending
        await chat.say("lobby", "last")
        await reader.message("last")
        assert reader.messages() == ["once", "last"]
        assert (message["message"], proxy.made) == ("once", 2)


async def test_waiting_has_an_end_when_it_is_told_so(chat: Chat) -> None:
    """`patience` is for programs that had rather fail."""
    async with client_of(chat, "ann", 1, patience=0.0) as client:
        with pytest.raises(OSError):
            await client.send("lobby", "hello")


async def test_refusals_that_last_are_raised(chat: Chat) -> None:
    """With status, code and sentence; at once."""
    async with client_of(chat, "ann") as client:
        for feed in (client.room("a/b"), client.room("lobby", username="x" * 33)):
            with pytest.raises(Refused) as refused:
                await anext(feed)
            assert refused.value.status == 400
        with pytest.raises(Refused) as refused:
            await client.send("lobby", " ")
        assert (refused.value.status, refused.value.code, str(refused.value)) == (
            400, "empty-message", "The message is empty.",
        )  # fmt: skip
    async with client_of(chat, "ann", token="none") as client:
        with pytest.raises(Refused) as refused:
            await anext(client.room("lobby"))
        assert refused.value.code == "token-invalid"


async def test_end_without_return_ends_the_feed(chat: Chat) -> None:
    """Kicked and replaced; a client that leaves the loop hangs up."""
    async with client_of(chat, "ann") as client:
        for client_id, end in (("kicked", "kicked"), ("other", "replaced")):
            heard = Listener(client.room("lobby", client_id=client_id))
            await eventually(lambda heard=heard: bool(heard.events))  # type: ignore[misc]
            if end == "kicked":
                await chat.call("POST", "/api/rooms/lobby/kick", {"userId": "ann"}, "root", role="admin")
            else:
                await chat.join(user="ann", clientId="other")
            await heard.ends()
            assert heard.events[-1].data == {"reason": end, "reconnect": False}
        async for event in client.room("garden"):
            assert event.type == "system"
            break
        await eventually(lambda: len(chat.server.hub.streams) == 1)


async def test_token_is_renewed_once_for_all(chat: Chat) -> None:
    """Before it ends, or when it is refused: one refresh, whoever waits."""
    async with Proxy(chat.port) as proxy, Client(f"http://127.0.0.1:{proxy.port}") as client:
        await client.sign_in_as_guest("Ann")
        for early in (True, False):
            before = proxy.made
            client.credentials._take(chat.token("ghost", ttl=-60))
            if not early:
                client.credentials._renew_at = float("inf")
            await asyncio.gather(*(client.send("lobby", f"{n}") for n in range(10)))
            assert proxy.made - before == (11 if early else 21)
        me = await client.call("GET", "/api/auth/me")
        assert me["username"] == "Ann"


async def test_stream_is_extended_with_the_next_token(chat: Chat) -> None:
    """`token-expiring` is answered; the stream is never cut."""
    tokens = iter([3.0, 900.0])

    async def source() -> str:
        return chat.token("ann", ttl=next(tokens))

    async with Proxy(chat.port) as proxy, client_of(chat, "ann", proxy.port, token="", source=source) as client:
        heard = Listener(client.room("lobby"))
        await eventually(lambda: any(event.type == "token-expiring" for event in heard.events))
        (stream,) = chat.server.hub.streams
        await eventually(lambda: stream.expires_at > stream.opened_at + 600)
        assert proxy.made == 2  # the stream, and the call that extends it


async def test_soft_refusal_is_waited_out(chat: Chat) -> None:
    """A drain asks to come back: the client does, to the same or another process."""
    async with client_of(chat, "ann") as client:
        heard = Listener(client.room("lobby"))
        await eventually(lambda: bool(heard.events))
        (stream,) = chat.server.hub.streams
        chat.server.opener.send_away(stream, "draining")
        await chat.say("lobby", "meanwhile")
        await heard.hears("meanwhile")
        assert [event.type for event in heard.events] == ["system", "closing", "system", "room-message"]


async def test_delays_are_those_that_the_server_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Retry-After`, `retry:`, and a growing pause of its own; a passing refusal is no end."""
    waits: list[tuple[int, float]] = []

    def delay(failures: int, asked: float) -> float:
        waits.append((failures, asked))
        return 0.0

    monkeypatch.setattr(feeds, "delay", delay)

    def answer(_: str, count: int) -> bytes:
        if count == 1:
            return refusal(503, "full", "Retry-After: 7\r\n")
        if count == 2:
            return b""
        if count == 3:
            return stream("retry: 1234\nevent: x\nid: 1\ndata: {}\n\n", "event: half\ndata: {")
        return refusal(429, "rate-limited", "Retry-After: 3\r\n") if count == 4 else refusal(403, "forbidden")

    async with canned(answer) as (url, asked), Client(url, "t") as client:
        with pytest.raises(Refused) as refused:
            async for event in client.events("/x"):
                assert event == Event("x", {}, "1")
    assert refused.value.code == "forbidden"
    assert waits == [(0, 7.0), (1, 0.0), (0, 1.234), (1, 3.0)]
    assert asked == {"GET /x": 5}


async def test_repeated_events_are_given_once() -> None:
    """Whatever some proxy or server does: an id comes once; events without one pass."""
    frames = [f"id: {n}\nevent: x\ndata: {n}\n\n" for n in (1, 2, 1, 2, 3)]
    frames.insert(3, "event: y\ndata: 9\n\n")

    def answer(_: str, count: int) -> bytes:
        return stream(*frames) if count == 1 else stream(*frames[:2], "id: 4\nevent: end\ndata: 4\n\n")

    async with canned(answer) as (url, _), Client(url, "t") as client:
        got = [event async for event in client.events("/x", ends=["end"])]
    assert [(event.type, event.data, event.id) for event in got] == [
        ("x", 1, "1"), ("x", 2, "2"), ("y", 9, "2"), ("x", 3, "3"), ("end", 4, "4"),
    ]  # fmt: skip


async def test_unnamed_events_go_by_their_type() -> None:
    """As those of sessions; beats are not given, and 204 is the end."""
    sent = [{"type": "connected"}, {"type": "heartbeat"}, {"type": "message", "data": {"content": "hi"}}]

    def answer(_: str, count: int) -> bytes:
        body = stream(*(f"data: {json.dumps(data)}\n\n" for data in sent))
        return body if count == 1 else b"HTTP/1.1 204 No Content\r\n\r\n"

    async with canned(answer) as (url, asked), Client(url) as client:
        got = [event.type async for event in client.session("42", "7")]
        assert got == ["connected", "message"]
    assert asked == {"GET /api/sse/messages?sessionId=42&robotId=7": 2}


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
async def test_proxies_may_cut_the_body_into_chunks(size: int) -> None:
    """Chunked coding, as nginx speaks to its clients."""
    body = b'id: 1\nevent: complete\ndata: {"title": "\xc3\xbc"}\n\n'
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x;x=y\r\n%b\r\n" % (len(part), part) for part in parts)

    def answer(*_: object) -> bytes:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"

    async with canned(answer) as (url, asked), Client(url) as client:
        got = [event async for event in client.task("a b")]
    assert got == [Event("complete", {"title": "ü"}, "1")]
    assert asked == {"GET /api/v1/sse/tasks/a%20b/progress": 1}


@pytest.mark.options(ai_delay=0.02)
async def test_reply_comes_whole_over_cuts(chat: Chat) -> None:
    """The same question is asked once; what was missed is fetched."""
    async with Proxy(chat.port) as proxy, client_of(chat, "ann", proxy.port) as client:
        reply = client.reply("Is anybody there?")
        pieces = []
        async for piece in reply:
            pieces.append(piece)
            if len(pieces) in (2, 4):
                proxy.cut()
        assert proxy.made == 3 and reply.state == "complete"
        row = await chat.get(f"/api/chat/stream/{reply.id}", "ann")
        texts = [json.loads(line[6:]) for line in row.body.decode().splitlines() if line.startswith("data: {")]
        assert pieces == [told["text"] for told in texts if told["type"] == "content"]


@pytest.mark.options(ai_delay=0.05)
async def test_reply_is_stopped(chat: Chat) -> None:
    """By who asked; the iteration ends."""
    async with client_of(chat, "ann") as client:
        reply = client.reply("Tell me all.")
        async for _ in reply:
            await reply.stop()
        assert reply.state == "stopped"
        with pytest.raises(Refused):
            await client.reply(" ").text()


async def test_example_of_the_page_works(chat: Chat) -> None:
    """As it stands there."""
    page = (Path(chatrooms.__file__).parent.parent / "docs" / "browser.md").read_text()
    example = page.split("```python\n", 1)[1].split("```", 1)[0]
    assert "http://127.0.0.1:4000" in example
    program = example.replace(":4000", f":{chat.port}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", program, stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    shown = b""
    async with asyncio.timeout(30):
        while b"Hello!" not in shown:
            line = await process.stdout.readline()
            assert line, shown
            shown += line
    process.kill()
    await process.wait()
    assert b"system" in shown and b"'username': 'Ann'" in shown
