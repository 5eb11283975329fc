"""The rulebook: read once a room, bounded, and never older than the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chatrooms.core.hub import Hub
from chatrooms.errors import Forbidden, Unavailable
from chatrooms.identity.tokens import Identity
from chatrooms.options import Options
from chatrooms.rooms.rooms import Rooms
from chatrooms.rules import rulebook
from chatrooms.rules.act import Act
from chatrooms.rules.rulebook import Rulebook
from chatrooms.storage.database import Row
from chatrooms.storage.log import Log
from chatrooms.storage.messages import MessageQueries
from chatrooms.storage.rules import BAN, restrict
from chatrooms.storage.sqlite import SQLite

pytestmark = pytest.mark.gen_test(timeout=30)

TOM = Identity("tom", None, "user", 0.0, "session")


class CountedSQLite(SQLite):
    """A database that counts what is asked of it, and answers when `slow` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked = 0
        self.read = asyncio.Event()
        self.slow: asyncio.Event | None = None

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        self.asked += 1
        rows = await super().fetch(sql, *args)
        self.read.set()
        if self.slow is not None:
            await self.slow.wait()
        return rows


class Book:
    """A rulebook over a real database and log, with a clock that stands still."""

    def __init__(self, database: CountedSQLite, hub: Hub, log: Log) -> None:
        self.database = database
        self.hub = hub
        self.log = log
        self.now = 1000.0
        rooms = Rooms(hub, log, MessageQueries(database), Options({}, {}))
        self.rulebook = Rulebook(database, rooms, clock=lambda: self.now)

    async def ban(self, room_id: str, until: int | None, obeyed: bool = True) -> None:
        async with self.database.transaction() as tx:
            await restrict(tx, room_id, BAN, "tom", until)
        if obeyed:
            self.hub.publish([Act(room_id, "banned", "max", 1, "tom").order()])


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Book]:
    database = CountedSQLite(folder / "test.db")
    await database.open()
    hub = Hub(0, 0, 0, 0)
    log = Log(database, hub.publish)
    await log.open()
    hub.start(log)
    try:
        yield Book(database, hub, log)
    finally:
        hub.stop()
        await log.close()
        await database.close()


async def test_many_who_ask_at_once_cost_one_query(tmp_path: Path) -> None:
    """And those who ask later cost none."""
    async with opened(tmp_path) as book:
        await asyncio.gather(*(book.rulebook.writable(TOM, "den") for _ in range(100)))
        await book.rulebook.readable(TOM, "den")
        assert book.database.asked == 1


async def test_change_is_seen_as_soon_as_it_is_published(tmp_path: Path) -> None:
    """Not before: until then all parts of the server agree on the past."""
    async with opened(tmp_path) as book:
        await book.rulebook.readable(TOM, "den")
        await book.ban("den", None, obeyed=False)
        await book.rulebook.readable(TOM, "den")
        await book.ban("den", None)
        with pytest.raises(Forbidden):
            await book.rulebook.readable(TOM, "den")
        await book.rulebook.readable(TOM, "other")


async def test_change_while_the_rules_are_read(tmp_path: Path) -> None:
    """What was read before the change is not believed."""
    async with opened(tmp_path) as book:
        book.database.slow = asyncio.Event()
        asking = asyncio.create_task(book.rulebook.of("den"))
        await book.database.read.wait()
        await book.ban("den", None)
        book.database.slow.set()
        assert (await asking).bans
        assert book.database.asked == 2


async def test_ban_ends_by_the_clock(tmp_path: Path) -> None:
    """Nothing has to happen for it: the rules at hand say when."""
    async with opened(tmp_path) as book:
        await book.ban("den", 1_000_500)
        with pytest.raises(Forbidden):
            await book.rulebook.writable(TOM, "den")
        book.now = 1000.499
        assert not await book.rulebook.may_read(TOM, "den")
        book.now = 1000.5
        assert await book.rulebook.may_read(TOM, "den")


async def test_memory_is_bounded_by_rooms_and_by_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used go first; a room larger than the bound is kept while it is the last."""
    monkeypatch.setattr(rulebook, "REMEMBERED_ROOMS", 3)
    monkeypatch.setattr(rulebook, "REMEMBERED_PEOPLE", 5)
    async with opened(tmp_path) as book:
        for name in ("a", "b", "c", "a", "d"):
            await book.rulebook.of(name)
        asked = book.database.asked
        for name in ("a", "c", "d"):
            await book.rulebook.of(name)
        assert book.database.asked == asked
        async with book.database.transaction() as tx:
            for n in range(7):
                await restrict(tx, "crowd", BAN, str(n), None)
        assert len((await book.rulebook.of("crowd")).bans) == 7
        await book.rulebook.of("crowd")
        assert book.database.asked == asked + 1
        await book.rulebook.of("a")
        assert book.rulebook._people == 0


async def test_without_the_database_nobody_gets_in_unseen(tmp_path: Path) -> None:
    """503 rather than a room without rules; what is at hand still counts."""
    async with opened(tmp_path) as book:
        await book.rulebook.of("known")
        await book.database._writer.execute("alter table rooms rename to lost")
        with pytest.raises(Unavailable):
            await book.rulebook.of("unknown")
        await book.rulebook.readable(TOM, "known")
