"""How long posts take while retention removes a million events, or so many as are asked for.

`python -m tests.faults.retention [ENGINE [EVENTS]]` fills a database, starts a server on it and prints what
those who post saw: without retention first, then while it removes.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks.postgres import Postgres
from benchmarks.server_process import ServerProcess
from tests.faults.slow import quantile
from tests.helpers.chat import Caller

EVENTS = 1_000_000  # that are old
KEPT = 10_000  # that are not
POSTERS = 4
PACE = 0.02  # seconds between two posts of one of them
BEFORE = 15.0  # seconds of posts without retention
LIMIT = 900.0  # seconds that the removal may take
LOOK = 0.1  # seconds between two looks at what the server says

_EVENT = """insert into events (seq, type, data, key, ref, created_at)
select n, 'room-message', '{{"roomId":"r' || (n % 100) || '","userId":"u' || (n % 50) || '","username":"Somebody",'
  || '"message":"' || {random} || {random} || {random} || '","timestamp":1700000000000}}',
  'r' || (n % 100) || '/3/u' || (n % 50) || '/' || {random}, null, case when n <= {old} then {then} else {now} end
from ({numbers}) as numbers"""
_TOPICS = "insert into event_topics (topic, seq) select 'room:r' || (seq % 100), seq from events"


class Outcome(NamedTuple):
    """How long each post took, those without retention and those during it, and the removal; in seconds."""

    before: list[float]
    during: list[float]
    removal: float


def measure(
    folder: Path, fill: Callable[[], None], *options: str, before: float = BEFORE, events: int = EVENTS
) -> Outcome:
    """Runs servers on a database that `fill` fills, once its schema is there."""
    options = ("--message-rate=0", *options)
    with ServerProcess(folder, *options) as server:
        server.terminate()
        fill()
        server.start()
        took = asyncio.run(_post_until(server, time.monotonic() + before, lambda: False))
        server.terminate()
    with ServerProcess(folder, *options, "--retention=1") as server:
        began = time.monotonic()
        line = f"retention removed {events} events"
        during = asyncio.run(_post_until(server, began + LIMIT, lambda: any(line in said for said in server.log)))
        return Outcome(took, during, time.monotonic() - began)


def statements(numbers: str, random: str, events: int = EVENTS, kept: int = KEPT) -> list[str]:
    """The SQL that fills a database; `numbers` selects 1 to `events + kept` as n, `random` is a text."""
    now = int(time.time() * 1000)
    then = now - 10 * 86_400_000
    return [_EVENT.format(random=random, old=events, then=then, now=now, numbers=numbers), _TOPICS]


def fill_sqlite(file: Path, events: int = EVENTS, kept: int = KEPT) -> None:
    numbers = "with recursive c (n) as (select 1 union all select n + 1 from c where n < %d) select n from c"
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements(numbers % (events + kept), "hex(randomblob(20))", events, kept):
            connection.execute(statement)


def fill_postgres(server: Postgres, database: str, events: int = EVENTS, kept: int = KEPT) -> None:
    numbers = f"select generate_series(1, {events + kept}) as n"
    for statement in statements(numbers, "md5(random()::text)", events, kept):
        server.sql(database, statement)


async def _post_until(server: ServerProcess, end: float, over: Callable[[], bool]) -> list[float]:
    """Posts, until a time or until something holds; how long each post took."""
    stop = asyncio.Event()
    posting = [asyncio.create_task(_post(server.url, number, stop)) for number in range(POSTERS)]
    while time.monotonic() < end and not over() and not any(task.done() for task in posting):  # noqa: ASYNC110 - another process
        await asyncio.sleep(LOOK)
    held = over() or time.monotonic() >= end
    stop.set()
    took = [one for some in await asyncio.gather(*posting) for one in some]
    assert held, "the posts ended by themselves"
    return took


async def _post(url: str, number: int, stop: asyncio.Event) -> list[float]:
    caller, took = Caller(url, f"poster-{number}"), []
    while not stop.is_set():
        began = time.monotonic()
        answer = await caller.send(f"r{number}", "hello")
        assert answer.status == 201, answer
        took.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, began + PACE - time.monotonic()))
    caller.close()
    return took


def _print(engine: str, outcome: Outcome) -> None:
    print(f"{engine}: removed in {outcome.removal:.1f} s; load {' '.join(f'{n:.1f}' for n in os.getloadavg())}")
    for name, took in (("without", outcome.before), ("during", outcome.during)):
        p50, p99 = (quantile(took, part) * 1000 for part in (0.5, 0.99))
        print(f"  {name:<8} {len(took):6} posts: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {max(took) * 1000:.1f} ms")


def main(engines: list[str], events: int) -> None:
    if "sqlite" in engines:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _print("sqlite", measure(folder, lambda: fill_sqlite(folder / "chatrooms.db", events), events=events))
    if "postgres" in engines:
        with tempfile.TemporaryDirectory() as name, closing(Postgres(durable=True)) as server:
            database = server.new_database()
            url = f"--database-url={server.url(database)}"
            _print("postgres", measure(Path(name), lambda: fill_postgres(server, database, events), url, events=events))


if __name__ == "__main__":
    main(sys.argv[1:2] or ["sqlite", "postgres"], int(sys.argv[2]) if len(sys.argv) > 2 else EVENTS)
