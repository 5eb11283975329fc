"""The rulebook: read once a room and user, bounded, and never older than the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chatrooms.errors import Forbidden, Unavailable
from chatrooms.identity import Identity
from chatrooms.log.database import Row
from chatrooms.log.event import CONTROL
from chatrooms.log.log import Log
from chatrooms.log.sqlite import SQLite
from chatrooms.options import Options
from chatrooms.rooms import policy
from chatrooms.rooms.message import MessageQueries
from chatrooms.rooms.policy import Policy
from chatrooms.rooms.rooms import RoomListeners, Rooms
from chatrooms.rooms.rules import BAN, Act, restrict
from chatrooms.streams.hub import Hub

pytestmark = pytest.mark.gen_test(timeout=30)


def who(user_id: str) -> Identity:
    return Identity(user_id, None, "user", 0.0, "session")


TOM = who("tom")


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
        rooms = Rooms(hub, log, MessageQueries(database), Options({}, {}), RoomListeners())
        self.policy = Policy(database, rooms, clock=lambda: self.now)
        hub.listen(CONTROL, self.policy.apply)

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
        await asyncio.gather(*(book.policy.writable(TOM, "den") for _ in range(100)))
        await book.policy.readable(TOM, "den")
        assert book.database.asked == 1


async def test_a_crowd_in_a_new_room_costs_one_query(tmp_path: Path) -> None:
    """Where the rules are the same for all; where somebody is banned, each user is asked for."""
    async with opened(tmp_path) as book:
        await book.ban("den", None)
        book.database.asked = 0
        users = [f"u{n}" for n in range(50)]
        await asyncio.gather(*(book.policy.of("lobby", user) for user in users))
        one, book.database.asked = book.database.asked, 0
        await book.policy.of("attic", "tom")
        assert one == book.database.asked
        rules = await asyncio.gather(*(book.policy.of("den", user) for user in [*users, "tom"]))
        assert [
            user for user, found in zip([*users, "tom"], rules, strict=True) if not found.may_read(who(user), 0)
        ] == ["tom"]


async def test_change_is_seen_as_soon_as_it_is_published(tmp_path: Path) -> None:
    """Not before: until then all parts of the server agree on the past."""
    async with opened(tmp_path) as book:
        await book.policy.readable(TOM, "den")
        await book.ban("den", None, obeyed=False)
        await book.policy.readable(TOM, "den")
        await book.ban("den", None)
        with pytest.raises(Forbidden):
            await book.policy.readable(TOM, "den")
        await book.policy.readable(TOM, "other")


async def test_change_while_the_rules_are_read(tmp_path: Path) -> None:
    """What was read before the change is not believed."""
    async with opened(tmp_path) as book:
        book.database.slow = asyncio.Event()
        asking = asyncio.create_task(book.policy.of("den", "tom"))
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
            await book.policy.writable(TOM, "den")
        book.now = 1000.499
        assert not await book.policy.may_read(TOM, "den")
        book.now = 1000.5
        assert await book.policy.may_read(TOM, "den")


async def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each user of a room that has people counts, one that has none counts once; the least recently used go first."""
    monkeypatch.setattr(policy, "REMEMBERED", 5)
    async with opened(tmp_path) as book:
        await book.ban("crowd", None)
        for user in ("ann", "ben", "cem"):
            await book.policy.of("crowd", user)
        for user in ("ann", "ben", "cem"):
            await book.policy.of("a", user)
            await book.policy.of("b", user)
        asked = book.database.asked
        assert asked == 5
        await book.policy.of("c", "ann")  # the first of the crowd gives way
        for user in ("ben", "cem"):
            await book.policy.of("crowd", user)
        assert book.database.asked == asked + 1
        await book.policy.of("crowd", "ann")
        assert book.database.asked == asked + 2
        assert book.policy._size == 5
        book.policy._forget("crowd")
        assert book.policy._size == sum(len(known) for known in book.policy._rules.values())


async def test_rules_say_no_more_than_was_asked(tmp_path: Path) -> None:
    """However many are banned: to let one in, nobody has to know who the others are."""
    async with opened(tmp_path) as book:
        async with book.database.transaction() as tx:
            for n in range(100):
                await restrict(tx, "crowd", BAN, str(n), None)
        rules = await book.policy.of("crowd", "7")
        assert set(rules.bans) == {"7"}
        assert not (await book.policy.of("crowd", "tom")).bans


async def test_act_about_one_user_leaves_the_others_at_hand(tmp_path: Path) -> None:
    """A room of many is not read anew for each of its kicks."""
    async with opened(tmp_path) as book:
        await book.ban("den", None)
        await book.policy.of("den", "ann")
        asked = book.database.asked
        await book.ban("den", 1)
        await book.policy.of("den", "ann")
        assert book.database.asked == asked
        await book.policy.of("den", "tom")
        assert book.database.asked == asked + 1


async def test_without_the_database_nobody_gets_in_unseen(tmp_path: Path) -> None:
    """503 rather than a room without rules; what is at hand still counts."""
    async with opened(tmp_path) as book:
        await book.policy.of("known")
        await book.database._writer.execute("alter table rooms rename to lost")
        with pytest.raises(Unavailable):
            await book.policy.of("unknown")
        await book.policy.readable(TOM, "known")
