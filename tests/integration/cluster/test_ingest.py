"""Messages that other programs publish over NATS (section 10, `nats-ingest`)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest

from benchmarks.nats_server import Nats
from benchmarks.postgres import Postgres
from chatrooms.errors import ConfigError
from chatrooms.options import Options
from chatrooms.rooms import ingest
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import PATIENCE
from tests.integration.cluster.test_nodes import ids, started, take
from tests.integration.replies.test_room_replies import final

pytestmark = pytest.mark.gen_test(timeout=60)

HELLO = {"roomId": "lobby", "userId": "ann", "username": "Ann", "message": "hello"}


class Publisher:
    """Another program. `subject` is one of its own, as the clusters of the tests share a server."""

    def __init__(self, client: Any, subject: str) -> None:
        self._client = client
        self._subject = subject

    async def publish(self, **message: Any) -> None:
        await self._client.publish(self._subject, json.dumps(message).encode())

    async def ask(self, message: Any) -> Any:
        """What is answered to it."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        return json.loads((await self._client.request(self._subject, data, timeout=PATIENCE)).data)


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> str:
    name: str = request.node.name
    return "chat." + name.encode().hex()[-60:]


@asynccontextmanager
async def published(nats_server: Nats, subject: str, count: int, **options: Any) -> AsyncIterator[Any]:
    """Nodes, and a publisher."""
    bus_url = f"{nats_server.url}/{subject.removeprefix('chat.')}"
    client = await nats.connect(nats_server.url)
    try:
        async with started(count, bus_url=bus_url, nats_ingest=subject, **options) as chats:
            yield chats, Publisher(client, subject)
    finally:
        await client.close()


def outcomes(chats: list[Chat]) -> dict[str, int]:
    """What became of messages, over all nodes."""
    total = dict.fromkeys(ingest.OUTCOMES, 0)
    for chat in chats:
        for outcome, count in chat.server.ingest.outcomes.items():  # type: ignore[union-attr]
            total[outcome] += count
    return total


async def test_published_messages_are_there_once_on_every_node(nats: Nats, postgres_url: str, subject: str) -> None:
    """In one order; published twice under one id, and told to the author, too."""
    async with published(nats, subject, 2, database_url=postgres_url) as (chats, publisher):
        readers = [await chats[0].join(user="ann"), await chats[1].join(user="ben")]
        for n in range(100):
            for _ in range(2):
                await publisher.publish(**{**HELLO, "message": f"{n}", "id": n})
        for reader in readers:
            await take(reader, 100)
        await eventually(lambda: sum(outcomes(chats).values()) == 200)
        assert outcomes(chats) == {"taken": 100, "repeated": 100, "refused": 0, "lost": 0}
        assert ids(readers[0]) == ids(readers[1])
        assert sorted(map(int, readers[0].messages())) == list(range(100))
        assert all(chat.server.ingest.outcomes.total() for chat in chats), "one node had all the work"


async def test_publisher_may_ask_what_became_of_it(nats: Nats, tmp_path: Path, subject: str) -> None:
    """The room-message, the same for a repeat; on SQLite, too. `chat_id` is another name of the room."""
    async with published(nats, subject, 1, data_dir=tmp_path) as ((chat,), publisher):
        reader = await chat.join()
        first = await publisher.ask({"chat_id": 7, "userId": 12, "message": "hello", "id": "a"})
        assert await publisher.ask({"roomId": "7", "userId": "12", "message": "again", "id": "a"}) == first
        assert (first["roomId"], first["userId"], first["username"]) == ("7", "12", "12")
        assert first == (await chat.get("/api/rooms/7/messages")).data["messages"][0]
        answer = await publisher.ask(HELLO)
        assert await reader.event("room-message") == answer


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", "bad-json"),
        (b"\xff", "bad-json"),
        (b"[" * 100, "bad-json"),
        ([], "bad-field"),
        ({"userId": "ann", "message": "no room"}, "bad-id"),
        ({**HELLO, "roomId": "a/b"}, "bad-id"),
        ({**HELLO, "userId": ""}, "bad-field"),
        ({**HELLO, "userId": 1 << 60}, "bad-field"),
        ({**HELLO, "userId": 1 << 90}, "bad-field"),
        ({**HELLO, "username": "\u202e"}, "bad-field"),
        ({**HELLO, "message": " "}, "empty-message"),
        ({**HELLO, "message": "a\0"}, "bad-field"),
        ({**HELLO, "message": 5}, "bad-field"),
        ({**HELLO, "message": "x" * 16_385}, "too-large"),
        ({**HELLO, "message": "x" * 300_000}, "too-large"),
        ({**HELLO, "id": ""}, "bad-field"),
    ],
)
async def test_bad_message_is_refused_and_harms_nobody(
    nats: Nats, tmp_path: Path, subject: str, message: Any, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By the rules of POST; with one line of the log, however many there are, and a metric."""
    async with published(nats, subject, 1, data_dir=tmp_path) as ((chat,), publisher):
        reader = await chat.join()
        for _ in range(3):
            assert (await publisher.ask(message))["code"] == code
        await publisher.ask(HELLO)
        await reader.message("hello")
        assert reader.messages() == ["hello"]
        metrics = (await chat.get("/metrics", "root", role="admin")).body.decode()
        assert 'chatrooms_ingested_total{outcome="refused"} 3.0' in metrics
        lines = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.WARNING]
        assert lines == [f"messages over NATS: 1 refused; the last one: {code}"]


async def test_publisher_is_above_the_rules_of_rooms(nats: Nats, tmp_path: Path, subject: str) -> None:
    """A private room takes what a trusted back end says, in whose name it be; nobody's rate counts."""
    async with published(nats, subject, 1, data_dir=tmp_path, message_rate=1) as ((chat,), publisher):
        assert (await chat.call("PUT", "/api/rooms/den", {"private": True, "slowMode": 60}, "owner")).status == 201
        answers = [await publisher.ask({**HELLO, "roomId": "den"}) for _ in range(3)]
        page = await chat.get("/api/rooms/den/messages", "owner")
        assert page.data["messages"] == answers


async def test_assistant_answers_published_messages(nats: Nats, tmp_path: Path, subject: str) -> None:
    """Once, as those that are posted."""
    async with published(nats, subject, 1, data_dir=tmp_path) as ((chat,), publisher):
        reader = await chat.join()
        for _ in range(2):
            await publisher.publish(**{**HELLO, "message": "@ai hello", "id": "1"})
        assert "“hello”" in (await final(reader))["message"]
        metrics = (await chat.get("/metrics", "root", role="admin")).body
        assert b'chatrooms_replies_total{state="complete"} 1.0' in metrics


async def test_messages_wait_for_the_database(
    nats: Nats, postgres: Postgres, postgres_url: str, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, up to a limit; who comes then and asked is told that its message is lost."""
    monkeypatch.setattr(ingest, "HELD", 20)
    async with published(nats, subject, 1, database_url=postgres_url) as ((chat,), publisher):
        await publisher.ask(HELLO)
        await asyncio.to_thread(postgres.stop)
        try:
            for n in range(30):
                await publisher.publish(**{**HELLO, "message": f"{n}"})
            assert (await publisher.ask(HELLO))["code"] == "unavailable"
            assert outcomes([chat]) == {"taken": 1, "repeated": 0, "refused": 0, "lost": 11}
        finally:
            await asyncio.to_thread(postgres.start)
        await eventually(lambda: outcomes([chat])["taken"] == 21)
        page = await chat.get("/api/rooms/lobby/messages?limit=200")
        assert [message["message"] for message in page.data["messages"]] == ["hello", *map(str, range(20))]


@pytest.mark.parametrize("part", ["check", "post"])
async def test_fault_in_one_message_ends_nothing(
    nats: Nats,
    tmp_path: Path,
    subject: str,
    part: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One that nobody foresaw: it is logged, its publisher is told, and all that follow are taken, in order."""
    async with published(nats, subject, 1, data_dir=tmp_path) as ((chat,), publisher):
        done = getattr(chat.server.messages, part)

        def flawed(*args: Any) -> Any:
            if "poison" in repr(args):
                raise RecursionError("poison")
            return done(*args)

        monkeypatch.setattr(chat.server.messages, part, flawed)
        for n in range(40):
            await publisher.publish(**{**HELLO, "message": f"{n}" if n % 4 else "poison"})
        assert (await publisher.ask({**HELLO, "message": "poison"}))["code"] == "internal"
        assert (await publisher.ask({**HELLO, "message": "last"}))["message"] == "last"
        page = (await chat.get("/api/rooms/lobby/messages?limit=200")).data["messages"]
        assert [message["message"] for message in page] == [*(f"{n}" for n in range(40) if n % 4), "last"]
        assert outcomes([chat]) == {"taken": 31, "repeated": 0, "refused": 0, "lost": 11}
        lines = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
        assert len(lines) == 11 and all("RecursionError at test_ingest.py" in line for line in lines)


async def test_node_that_drains_leaves_them_to_the_others(nats: Nats, postgres_url: str, subject: str) -> None:
    async with published(nats, subject, 2, database_url=postgres_url, drain=0) as (chats, publisher):
        await chats[0].server.drain()
        for n in range(20):
            assert (await publisher.ask({**HELLO, "message": f"{n}"}))["message"] == f"{n}"
        assert [chat.server.ingest.outcomes["taken"] for chat in chats] == [0, 20]


async def test_nats_that_was_away_brings_messages_again(tmp_path: Path, subject: str) -> None:
    server = Nats()
    try:
        async with published(server, subject, 1, data_dir=tmp_path) as ((chat,), publisher):
            assert (await publisher.ask(HELLO))["message"] == "hello"
            await asyncio.to_thread(server.crash)
            intake: Any = chat.server.ingest._intake
            await eventually(lambda: intake._client.stats["reconnects"] == 1)
            client: Any = publisher._client
            await eventually(lambda: client.stats["reconnects"] == 1)
            assert (await publisher.ask(HELLO))["message"] == "hello"
    finally:
        server.kill()


@pytest.mark.parametrize("bad", ["", "a b", ".a", "a.", "*", ">", "a.>.b", "chatrooms.main.all", "a..b"])
async def test_bad_subject_stops_the_start(bad: str) -> None:
    with pytest.raises(ConfigError, match=r"--nats-ingest: .* is not a NATS subject"):
        Options({"nats_ingest": bad, "bus_url": "nats://127.0.0.1"}, {})


async def test_it_needs_nats() -> None:
    """One clear line."""
    with pytest.raises(ConfigError, match="--nats-ingest needs --bus-url nats://"):
        Options({"nats_ingest": "chat.*.messages"}, {})
