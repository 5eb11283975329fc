"""The log: one order, appended in groups (storage/log.py)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from chatrooms.errors import NotFound, Unavailable
from chatrooms.log import database_of, postgres, sqlite
from chatrooms.log import log as logs
from chatrooms.log.database import Database, Transaction, migrations
from chatrooms.log.event import Event, Position
from chatrooms.log.group import Group, Job
from chatrooms.log.log import Log

pytestmark = [pytest.mark.gen_test(timeout=30), pytest.mark.every_engine]

TOPIC = "room:lobby"


class Place(NamedTuple):
    """Where a log is: a database's URL, or a folder."""

    url: str | None
    folder: Path


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[tuple[Log, list[list[Event]]]]:
    """A log there, and the groups that its listener was given."""
    database = database_of(place.url, place.folder)
    await database.open()
    groups: list[list[Event]] = []
    log = Log(database, lambda events: groups.append(list(events)))
    await log.open()
    try:
        yield log, groups
    finally:
        await log.close()
        await database.close()


@pytest.fixture
def place(tmp_path: Path, database_url: str | None) -> Place:
    return Place(database_url, tmp_path)


def event(text: str, key: str | None = None, topic: str = TOPIC, ref: int | None = None) -> Event:
    return Event("room-message", b'{"message":"%s"}' % text.encode(), (topic,), key, ref)


async def test_appends_at_the_same_time_are_one_group_in_order(place: Place) -> None:
    """Numbered as they came, told to the listener in that order and before the answers."""
    async with opened(place) as (log, groups):
        first = asyncio.create_task(log.append([event("first")]))
        rest = [asyncio.create_task(log.append([event(str(n)), event(f"{n}b")])) for n in range(20)]
        await first
        answers = await asyncio.gather(*rest)
        seqs = [done.event.seq for answer in answers for done in answer]
        assert seqs == list(range(2, 42))
        assert log.head == 41
        assert [e.seq for group in groups for e in group] == list(range(1, 42))
        assert len(groups) <= 2
        assert [e.seq for e in await log.read(TOPIC, 0, 100)] == list(range(1, 42))


async def test_group_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no commit takes long."""
    monkeypatch.setattr(logs, "MAX_GROUP", 5)
    async with opened(place) as (log, groups):
        await asyncio.gather(*(log.append([event(str(n))]) for n in range(23)))
        assert max(map(len, groups)) <= 5
        assert sum(map(len, groups)) == 23


async def test_repeated_key_is_the_first_event(place: Place) -> None:
    """Within one append, within one group, and later; numbers have no gap from it."""
    async with opened(place) as (log, groups):
        same = await log.append([event("a", "k"), event("b", "k"), event("c")])
        assert [(done.event.seq, done.repeated) for done in same] == [(1, False), (1, True), (2, False)]
        answers = await asyncio.gather(*(log.append([event(str(n), "m")]) for n in range(10)))
        assert {done.event.data for (done,) in answers} == {b'{"message":"0"}'}
        assert sum(done.repeated for (done,) in answers) == 9
        (again,) = await log.append([event("x", "k")])
        assert (again.event.seq, again.event.data, again.repeated) == (1, b'{"message":"a"}', True)
        assert sum(map(len, groups)) == log.head == 3


async def test_failed_command_fails_alone(place: Place) -> None:
    """Those that were in its group go through, and it leaves nothing."""

    async def refuse(tx: Transaction) -> list[Event]:
        raise NotFound("not-found", "No.")

    async with opened(place) as (log, groups):
        answers = await asyncio.gather(
            log.append([event("a")]), log.append([event("never")], refuse), log.append([event("b")]),
            return_exceptions=True,
        )  # fmt: skip
        assert isinstance(answers[1], NotFound)
        assert [e.data for e in await log.read(TOPIC, 0, 10)] == [b'{"message":"a"}', b'{"message":"b"}']
        assert [e.seq for group in groups for e in group] == [1, 2]


async def test_broken_command_fails_alone(place: Place) -> None:
    """The group is rolled back and each tried by itself."""

    async def break_down(tx: Transaction) -> list[Event]:
        await tx.execute("insert into meta values ('left', 'behind')")
        raise sqlite3.IntegrityError("broken")

    async with opened(place) as (log, groups):
        answers = await asyncio.gather(
            log.append([event("a", "k")]), log.append([], break_down), log.append([event("b", "k")]),
            log.append([event("c")]), return_exceptions=True,
        )  # fmt: skip
        assert isinstance(answers[1], Unavailable)
        assert [e.data for e in await log.read(TOPIC, 0, 10)] == [b'{"message":"a"}', b'{"message":"c"}']
        assert not isinstance(answers[2], BaseException) and answers[2][0].repeated
        assert [e.seq for group in groups for e in group] == [1, 2]
        assert await log._database.fetch("select * from meta where name = 'left'") == []


async def test_command_sees_what_stands_before_it_in_its_group(place: Place) -> None:
    """Also events that are not committed yet."""
    seen: list[list[int]] = []

    async def look(tx: Transaction) -> list[Event]:
        seen.append([seq for (seq,) in await tx.fetch("select seq from events order by seq")])
        return [event("made", ref=1)]

    async with opened(place) as (log, groups):
        await asyncio.gather(log.append([event("a")]), log.append([event("b")], look), log.append([], look))
        assert seen == [[1], [1, 2, 3]]
        assert [e.seq for group in groups for e in group] == [1, 2, 3, 4]


async def test_caller_that_went_away_changes_nothing(place: Place) -> None:
    """Its event may be in the log; the others are answered."""
    async with opened(place) as (log, _):
        gone = asyncio.create_task(log.append([event("gone")]))
        stays = asyncio.create_task(log.append([event("stays")]))
        await asyncio.sleep(0)
        gone.cancel()
        (done,) = await stays
        assert done.event.data == b'{"message":"stays"}'


async def test_too_many_waiting_events_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a time to come back, and nothing of it is written."""
    monkeypatch.setattr(logs, "MAX_WAITING", 3)
    async with opened(place) as (log, _):
        answers = await asyncio.gather(*(log.append([event(str(n))]) for n in range(10)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Unavailable)]
        assert len(refused) == 6 and refused[0].retry_after
        assert log.head == 4
        await log.append([event("again")])


async def test_waiting_commands_are_bounded_like_events(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of edits costs no more memory than one of messages."""
    monkeypatch.setattr(logs, "MAX_WAITING", 3)

    async def nothing(tx: Transaction) -> list[Event]:
        return []

    async with opened(place) as (log, _):
        answers = await asyncio.gather(*(log.append([], nothing) for _ in range(10)), return_exceptions=True)
        assert sum(isinstance(answer, Unavailable) for answer in answers) == 6


async def test_end_of_the_loop_leaves_no_caller_waiting(place: Place) -> None:
    """A writer that is cancelled in the middle of a commit answers those whose events it had taken."""
    begun = asyncio.Event()

    async def endless(tx: Transaction) -> list[Event]:
        begun.set()
        await asyncio.Event().wait()
        return []

    async with opened(place) as (log, _):
        calls = [asyncio.ensure_future(log.append((), endless)) for _ in "ab"]
        await begun.wait()
        assert log._writer is not None
        log._writer.cancel()
        done = await asyncio.gather(*calls, log._writer, return_exceptions=True)
        assert [type(outcome) for outcome in done] == [asyncio.CancelledError] * 3
        log._writer = None


async def test_reading_that_the_end_overtakes_is_refused(place: Place) -> None:
    """As with any database that is away, not as a fault of this program."""
    async with opened(place) as (log, _):
        pass
    with pytest.raises(Unavailable):
        await log.read("room:lobby", 0, 1)
    with pytest.raises(Unavailable):
        await log.append([Event("room-message", b"{}", ("room:lobby",))])


async def test_closing_commits_what_waits_and_takes_no_more(place: Place) -> None:
    """Nothing that was taken is lost."""
    async with opened(place) as (log, _):
        waiting = [asyncio.create_task(log.append([event(str(n))])) for n in range(10)]
        await asyncio.sleep(0)
        await log.close()
        assert [answer[0].event.seq for answer in await asyncio.gather(*waiting)] == list(range(1, 11))
        with pytest.raises(Unavailable):
            await log.append([event("late")])


async def test_reading_is_by_topic_and_bounded(place: Place) -> None:
    """An event of two topics is read in both."""
    async with opened(place) as (log, _):
        await log.append([event("a"), event("b", topic="room:other"), Event("x", b"{}", (TOPIC, "room:other"))])
        assert [e.seq for e in await log.read(TOPIC, 0, 10)] == [1, 3]
        assert [e.seq for e in await log.read("room:other", 2, 10)] == [3]
        assert [e.seq for e in await log.read(TOPIC, 0, 1)] == [1]
        counts = [await log.count(*asked) for asked in ((TOPIC, 0, 9), (TOPIC, 1, 9), ("none", 0, 9), (TOPIC, 0, 1))]
        assert counts == [2, 1, 0, 1]


async def test_forgotten_events_raise_the_floor(place: Place) -> None:
    """Positions before it are unknown, numbers are not used again, also after a restart."""
    async with opened(place) as (log, _):
        await log.append([event(str(n), str(n)) for n in range(2500)])
        assert await log.forget(0) == 0
        assert await log.forget(2**62) == 2500
        assert (log.floor, log.head) == (2500, 2500)
        assert await log.read(TOPIC, 0, 10) == []
        assert [log.knows(Position(log.epoch, seq)) for seq in (2499, 2500, 2501)] == [False, True, False]
    async with opened(place) as (log, _):
        assert (log.floor, log.head) == (2500, 2500)
        (done,) = await log.append([event("a", "0")])
        assert (done.event.seq, done.repeated) == (2501, False)


async def _remove_last(log: Log) -> None:
    """As the end of a task does, and whoever else removes an event."""
    async with log._database.appending() as tx:
        await tx.execute("delete from event_topics where seq = $1", log.head)
        await tx.execute("delete from events where seq = $1", log.head)


async def test_number_of_an_event_that_was_removed_is_not_given_again(place: Place) -> None:
    """Nor after a restart: a reader that had it would be told that it has all, and never get the next."""
    async with opened(place) as (log, _):
        await log.append([event(str(n)) for n in range(3)])
        await _remove_last(log)
        epoch = log.epoch
    async with opened(place) as (log, _):
        assert (log.epoch, log.head) == (epoch, 3)
        assert log.knows(Position(epoch, 3))
        (done,) = await log.append([event("next")])
        assert done.event.seq == 4
        assert [e.seq for e in await log.read(TOPIC, 3, 10)] == [4]


async def test_numbers_are_kept_when_all_events_go(place: Place) -> None:
    """One after the other or at once, by whatever program."""
    async with opened(place) as (log, _):
        for _ in range(2):
            await log.append([event(str(n)) for n in range(2)])
            await _remove_last(log)
        await _remove_last(log)
        async with log._database.appending() as tx:
            await tx.execute("delete from event_topics")
            await tx.execute("delete from events")
    async with opened(place) as (log, _):
        assert (await log.append([event("next")]))[0].event.seq == 5


async def test_database_of_before_does_not_give_its_numbers_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upgraded in place, with its epoch, after its last event was removed."""
    for engine in (postgres, sqlite):
        earlier = [each for each in migrations(engine.__name__.rpartition(".")[2]) if each[0] != 8]
        monkeypatch.setattr(engine, "migrations", lambda _, earlier=earlier: earlier)
    database = database_of(place.url, place.folder)
    await database.open()
    async with database.appending() as tx:
        await tx.execute("insert into meta values ('epoch', 'before')")
        for seq in (1, 2, 3):
            await tx.execute("insert into events values ($1, 'room-message', '{}', null, null, 0)", seq)
        await tx.execute("delete from events where seq = 3")
    await database.close()
    monkeypatch.undo()
    async with opened(place) as (log, _):
        assert log.epoch == "before" and log.knows(Position("before", 2))
        assert (await log.append([event("next")]))[0].event.seq > 3


async def test_fault_after_the_commit_appends_nothing_twice(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is told and fails: those who wrote are answered, and all others are told."""
    told: list[int] = []

    def fail(events: Sequence[Event]) -> None:
        told.extend(event.seq for event in events)
        raise ValueError("what somebody wrote")

    database = database_of(place.url, place.folder)
    await database.open()
    log = Log(database, fail, on_append=fail)
    await log.open()
    try:
        answers = await asyncio.gather(*(log.append([event(str(n))]) for n in range(4)))
        assert [answer[0].event.seq for answer in answers] == [1, 2, 3, 4]
        assert [e.seq for e in await log.read(TOPIC, 0, 100)] == [1, 2, 3, 4]
        assert sorted(told) == [1, 1, 2, 2, 3, 3, 4, 4]
        assert log.healthy
    finally:
        await log.close()
        await database.close()
    assert "ValueError at test_log.py" in caplog.text and "what somebody wrote" not in caplog.text


async def test_fault_of_who_is_told_of_its_health_does_not_end_the_log(place: Place) -> None:
    """It goes on to write."""

    async def break_down(tx: Transaction) -> list[Event]:
        raise sqlite3.IntegrityError("broken")

    def fail(healthy: bool) -> None:
        raise ValueError

    database = database_of(place.url, place.folder)
    await database.open()
    log = Log(database, lambda events: None, on_health=fail)
    await log.open()
    try:
        with pytest.raises(Unavailable):
            await log.append([], break_down)
        (done,) = await asyncio.wait_for(log.append([event("a")]), 5)
        assert done.event.seq == 1
    finally:
        await log.close()
        await database.close()


async def test_epoch_and_head_survive_a_restart(place: Place) -> None:
    """They are in the database."""
    async with opened(place) as (log, _):
        await log.append([event("a")])
        epoch = log.epoch
    async with opened(place) as (log, _):
        assert (log.epoch, log.head) == (epoch, 1)
        assert log.knows(Position(epoch, 1)) and not log.knows(Position("0", 1))


async def test_another_database_has_another_epoch(place: Place, tmp_path: Path) -> None:
    """So that a position of the one means nothing to the other."""
    (tmp_path / "other").mkdir()
    async with opened(place) as (log, _), opened(Place(None, tmp_path / "other")) as (other, _):
        assert log.epoch != other.epoch and other.head == 0


async def test_mistake_in_a_statement_is_not_taken_for_a_database_that_is_away(place: Place) -> None:
    """Or a bug would look like an outage, and callers would come back with it forever."""
    database = database_of(place.url, place.folder)
    await database.open()
    try:
        for mistaken in (database.fetch("select nothing_of_that_name"), _mistaken_write(database)):
            with pytest.raises(Exception, match="nothing_of_that_name") as raised:
                await mistaken
            assert not isinstance(raised.value, Unavailable)
        assert await database.fetch("select 1") == [(1,)]
    finally:
        await database.close()


async def _mistaken_write(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("insert into nothing_of_that_name values (1)")


async def test_database_that_goes_while_a_group_is_split_is_tried_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of hundreds of jobs would wait for it, and all that come after them."""
    tries: list[int] = []

    async def commit(jobs: list[Job]) -> Group:
        tries.append(len(jobs))
        if len(jobs) > 1:
            raise ValueError("a bad row")
        raise Unavailable("unavailable", "Away.", 1)

    async with opened(place) as (log, _):
        monkeypatch.setattr(log, "_commit", commit)
        answers = await asyncio.gather(*(log.append([event(str(n))]) for n in range(9)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 9
        assert tries == [9, 1]
        monkeypatch.undo()
