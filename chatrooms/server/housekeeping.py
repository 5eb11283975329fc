"""Housekeeping: what has run out is removed, once an hour, one family of rows after the other."""

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
RETRY = 60.0  # seconds until what could not be removed is tried again

Chore = tuple[str, Callable[[], Awaitable[int | None]]]

log = logging.getLogger(__name__)


class Store(Protocol):
    """What is kept in order: of a running server, or of one that does not run."""

    @property
    def database(self) -> Database: ...

    @property
    def log(self) -> Log: ...


class Outcome(NamedTuple):
    """How many rows of each family were removed, and which families could not be, or not all of them."""

    removed: dict[str, int]
    failed: list[str]


async def keep_house(server: Parts) -> None:
    """Removes, for ever, what has run out: sign-ins, results, tasks, and all that is past retention."""
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
    """The chores that remove what the options say is kept no longer."""
    chores = past(store, _days_ago(options.retention)) if options.retention else []
    if options.task_days:
        chores.append(("tasks", partial(tasks.forget_ended_tasks, store.database, _days_ago(options.task_days))))
    return [*chores, ("results", Results(store.database, options).forget)]  # last: those of the tasks, too


def past(store: Store, cutoff: int) -> list[Chore]:
    """The chores that remove all that was said before `cutoff`, in milliseconds since 1970."""
    return [
        ("AI replies", partial(replies.forget_ended_replies, store.database, cutoff)),
        ("session messages", partial(forget, store.database, cutoff)),
        ("ended tasks", partial(tasks.forget_ended_tasks, store.database, cutoff)),
        ("events", partial(_forget_events, store, cutoff)),
    ]


async def do_chores(chores: Sequence[Chore]) -> Outcome:
    """Does one after the other; one that fails does not keep the others from being done."""
    outcome = Outcome({}, [])
    for name, chore in chores:
        try:
            outcome.removed[name] = await chore() or 0
        except Exception as error:
            outcome.failed.append(name)
            log.warning("housekeeping: not all old %s are removed yet: %s", name, error)
    return outcome


async def forget_old(store: Store, cutoff: int) -> None:
    """Removes events and their like from before `cutoff`, in milliseconds since 1970."""
    await do_chores(past(store, cutoff))


async def _forget_events(store: Store, cutoff: int) -> int:
    last = await last_before(store.database, cutoff)
    if await any_between(store.database, store.log.floor, last):
        # First, or a node whose order is lost with this process would go on telling what was removed.
        await store.log.append([purged(last)])
    removed = await store.log.forget(cutoff)
    if removed:
        log.info("retention removed %d events", removed)
    return removed


def _days_ago(days: float) -> int:
    return now_ms() - int(days * DAY_MS)
