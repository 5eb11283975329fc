"""Programs that insert rows and hold their transactions open: no reader skips or repeats one.

With CHATROOMS_TEST_FULL=1 in full size: 64 programs, 100,000 rows, one transaction of 30 s; `-s` shows
the figures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from benchmarks.nats_server import Nats
from benchmarks.postgres import Postgres
from benchmarks.server_process import ROOT, token
from chatrooms.sse import ServerEvent
from tests.faults.conftest import Serve
from tests.helpers.chat import within
from tests.helpers.reader import Reader

FULL = bool(os.environ.get("CHATROOMS_TEST_FULL"))
PROGRAMS = 64 if FULL else 16
ROWS = 1562 if FULL else 40  # of one program
HOLD = (0.005, 0.2) if FULL else (0.005, 0.05)  # seconds that a transaction stays open
LONG = 30.0 if FULL else 1.0  # seconds that one of them does
TOGETHER = 20  # rows in a transaction, at most
DROP = 400 if FULL else 60  # messages between two drops of a reader
SESSIONS = 8
LIMIT = 600 if FULL else 90
END = "the end"


class SessionReader(Reader):
    """Reads sessions; drops its connection now and then and goes on, by the header or by the query."""

    def __init__(self, url: str, session: str = "", by_query: bool = False) -> None:
        super().__init__(url)
        self._query = {"token": token("agent", "agent")} | ({"sessionId": session} if session else {})
        self._by_query = by_query
        self._until_drop = DROP

    def request(self) -> bytes:
        resume = self._by_query and self.position
        query = {**self._query, "lastEventId": self.position} if resume else self._query
        header = f"Last-Event-ID: {self.position}\r\n" if self.position and not self._by_query else ""
        path = f"/api/sse/messages?{urlencode(query)}"
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n".encode()

    def take(self, event: ServerEvent) -> None:
        self.position = event.last_event_id or self.position
        data = json.loads(event.data)
        if data["type"] == "message":
            self.posts.append(data["data"])

    async def read(self, most: int = 1 << 16) -> bool:
        going_on = await super().read(most)
        if len(self.posts) >= self._until_drop:
            self._until_drop += random.randint(1, 2 * DROP)
            return False
        return going_on

    @property
    def texts(self) -> list[str]:
        return [message["content"] for message in self.posts]


def transactions(program: int) -> Iterator[str]:
    """The statements of one program: its rows in order, some in one transaction that is held open."""
    chance = random.Random(program)
    row, long_one = 0, ROWS // 2
    while row < ROWS:
        count = min(chance.randint(1, TOGETHER), ROWS - row)
        values = ", ".join(f"('s{(program + n) % SESSIONS}', '{program}-{n}')" for n in range(row, row + count))
        hold = LONG if program == 0 and row <= long_one < row + count else chance.uniform(*HOLD)
        yield f"begin; insert into session_messages (session_id, content) values {values};"
        yield f"select pg_sleep({hold}); commit;"
        row += count


async def insert_all(postgres: Postgres, database: str, program: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *postgres.psql(database), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    await process.communicate("\n".join(transactions(program)).encode())
    assert process.returncode == 0


class Posting:
    """Posts in a room while the block runs; `figures` says how long they took."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.figures = ""

    async def __aenter__(self) -> Posting:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.drills.sender",
            str(self._port),
            "lobby",
            cwd=ROOT,
            stdin=PIPE,
            stdout=PIPE,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        out, _ = await self._process.communicate(b"")  # which ends its input
        found = sorted(seconds * 1000 for _, seconds, _, _ in json.loads(out))
        p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
        self.figures = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms of {len(found)}"
        assert self._process.returncode == 0


@pytest.fixture(params=["postgres", "nats"])
def bus(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The option, if any, that chooses the bus."""
    if request.param == "postgres":
        return ()
    nats: Nats = request.getfixturevalue("nats")
    return ("--bus-url", nats.url)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """The one of all tests; in full size one that writes through to the disk."""
    if not FULL:
        yield request.getfixturevalue("postgres")
        return
    durable = Postgres(durable=True)
    yield durable
    durable.close()


@within(LIMIT)
async def test_no_row_is_skipped_or_repeated(serve: Serve, server: Postgres, bus: tuple[str, ...]) -> None:
    """Readers of sessions and of all, on two nodes, over drops; whoever commits when."""
    database = server.new_database()
    nodes = [await asyncio.to_thread(serve, "--database-url", server.url(database), *bus) for _ in range(2)]
    if FULL:
        async with Posting(nodes[0].port) as posting:
            await asyncio.sleep(10)
        print("posts without programs:", posting.figures)
    everything = [SessionReader(node.url, by_query=by_query) for node in nodes for by_query in (False, True)]
    single = [SessionReader(nodes[n % 2].url, f"s{n}") for n in range(SESSIONS)]
    for reader in (*everything, *single):
        await reader.connect()
    expected = {f"{program}-{n}" for program in range(PROGRAMS) for n in range(ROWS)}
    following = [asyncio.create_task(reader.follow(lambda r: END in newest(r), LIMIT)) for reader in everything]
    following += [asyncio.create_task(reader.follow(lambda r: END in newest(r), LIMIT)) for reader in single]
    began = time.monotonic()
    async with Posting(nodes[0].port) as posting:
        await asyncio.gather(*(insert_all(server, database, program) for program in range(PROGRAMS)))
        took = time.monotonic() - began
    print(f"{len(expected)} rows of {PROGRAMS} programs in {took:.1f} s; posts meanwhile: {posting.figures}")
    ends = ", ".join(f"('s{n}', '{END}')" for n in range(SESSIONS))
    await asyncio.to_thread(server.sql, database, f"insert into session_messages (session_id, content) values {ends}")
    await asyncio.gather(*following)
    print(f"the last was read {time.monotonic() - began - took:.2f} s after the last commit but one")
    check(everything, single, expected)


def check(everything: list[SessionReader], single: list[SessionReader], expected: set[str]) -> None:
    """Every row once, those of one program in their order, and the same order for everybody."""
    common = [text for text in everything[0].texts if text != END]
    assert len(common) == len(expected) and set(common) == expected
    places: dict[str, int] = dict.fromkeys([text.partition("-")[0] for text in common], -1)
    for program, _, number in (text.partition("-") for text in common):
        assert int(number) == places[program] + 1
        places[program] = int(number)
    log = [(message["id"], message["sessionId"]) for message in everything[0].posts]
    for reader in everything:
        ids = [message["id"] for message in reader.posts]
        assert ids == [id for id, _ in log][: len(ids)] and len(ids) > len(expected)
        assert reader.connections > 3
    for n, reader in enumerate(single):
        ids = [message["id"] for message in reader.posts]
        assert ids == [id for id, session in log if session == f"s{n}"][: len(ids)]
        assert reader.texts[-1] == END
    assert sum(len(reader.posts) for reader in single) == len(expected) + SESSIONS
    assert len(set(itertools.chain(*(reader.texts for reader in single)))) == len(expected) + 1


def newest(reader: Reader) -> list[str]:
    """The texts that came last; of all sessions, their ends may be among them."""
    return [message["content"] for message in reader.posts[-SESSIONS:]]
