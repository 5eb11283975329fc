"""Housekeeping: removes what has expired, once an hour, one kind of row after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from chatrooms.clock import now_ms
from chatrooms.log.database import Database
from chatrooms.log.event import purged
from chatrooms.log.log import Log
from chatrooms.log.retention import any_between, last_before
from chatrooms.options import Options
from chatrooms.replies import store as replies
from chatrooms.server import erasure
from chatrooms.server.parts import Parts
from chatrooms.sessions.store import forget
from chatrooms.tasks import store as tasks
from chatrooms.tasks.result import Results

DAY_MS = 86_400_000
INTERVAL = 3600.0  # seconds between two rounds
RETRY = 60.0  # seconds until a failed chore is tried again

Chore = tuple[str, Callable[[], Awaitable[int | None]]]

log = logging.getLogger(__name__)


class Store(Protocol):
    """The database and log to clean: those of a running server, or opened for the purpose."""

    @property
    def database(self) -> Database: ...

    @property
    def log(self) -> Log: ...


class Outcome(NamedTuple):
    """How many rows each chore removed, and which chores failed, wholly or in part."""

    removed: dict[str, int]
    failed: list[str]


async def run_housekeeping(server: Parts) -> None:
    """Removes what has expired, for as long as the server runs."""
    chores: list[Chore] = [
        ("sign-ins", server.signins.forget_expired),
        ("tickets and revocations", server.authenticator.forget_expired),
        ("known devices", server.accounts.forget_expired),
        ("rows of deleted accounts", partial(erasure.finish_all, server.database)),
    ]
    while True:
        outcome = await do_chores([*chores, *run_out(server, server.options)])
        await asyncio.sleep(RETRY if outcome.failed else INTERVAL)


def run_out(store: Store, options: Options) -> list[Chore]:
    """The chores that remove what the options say is not to be kept."""
    chores = past(store, _days_ago(options.retention)) if options.retention else []
    if options.task_days:
        chores.append(("tasks", partial(tasks.forget_ended_tasks, store.database, _days_ago(options.task_days))))
    return [*chores, ("results", Results(store.database, options).forget)]  # last: those of the tasks, too


def past(store: Store, cutoff: int) -> list[Chore]:
    """The chores that remove everything from before `cutoff`, in milliseconds since 1970."""
    return [
        ("AI replies", partial(replies.forget_ended_replies, store.database, cutoff)),
        ("session messages", partial(forget, store.database, cutoff)),
        ("ended tasks", partial(tasks.forget_ended_tasks, store.database, cutoff)),
        ("events", partial(_forget_events, store, cutoff)),
    ]


async def do_chores(chores: Sequence[Chore]) -> Outcome:
    """Runs chores one after the other; a failing one does not stop those after it."""
    outcome = Outcome({}, [])
    for name, chore in chores:
        try:
            outcome.removed[name] = await chore() or 0
        except Exception as error:
            outcome.failed.append(name)
            log.warning("housekeeping: not all old %s were removed: %s", name, error)
    return outcome


async def forget_old(store: Store, cutoff: int) -> None:
    """Removes events, replies, session messages and tasks from before `cutoff`, in milliseconds since 1970."""
    await do_chores(past(store, cutoff))


async def _forget_events(store: Store, cutoff: int) -> int:
    last = await last_before(store.database, cutoff)
    if await any_between(store.database, store.log.floor, last):
        # First: if this process dies after the removal, the other nodes have been told to drop the events.
        await store.log.append([purged(last)])
    removed = await store.log.forget(cutoff)
    if removed:
        log.info("retention removed %d events", removed)
    return removed


def _days_ago(days: float) -> int:
    return now_ms() - int(days * DAY_MS)
