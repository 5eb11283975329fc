"""The outbox: moves rows that other programs insert into `session_messages` to the log.

Whoever inserts may hold its transaction open as long as it likes: only what is committed is seen, and a
row is found by its mark, so none is passed over because an earlier id is committed later. A node looks
for a batch of rows, and takes them under the lock of the log, in an append of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from chatrooms import names
from chatrooms.clock import iso, now_ms
from chatrooms.errors import BadRequest, Problem, TooLarge
from chatrooms.log.database import Database, Transaction
from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.logs import described
from chatrooms.options import Options
from chatrooms.sessions.owners import Owners
from chatrooms.sessions.store import (
    BATCH,
    SessionMessage,
    Waiting,
    any_waiting,
    is_locked,
    owners_of,
    refuse,
    take,
    waiting,
)

LOOK = 0.5  # seconds between two polls when nothing rings
PAUSE = 0.02  # seconds between two polls: many small transactions become few appends
YIELD = 0.2  # seconds to back off when another node was faster: two at it only keep the log locked
FOUND = 1000  # rows found by one poll
ISO_LENGTH = len("2026-01-31T12:00:00.000Z")
LONGEST = 262_144  # characters of a row's content, whatever `max-message-bytes` says

log = logging.getLogger(__name__)


class Outbox:
    """Takes the rows of other programs as they are committed."""

    def __init__(self, database: Database, log: Log, owners: Owners, options: Options) -> None:
        self._database = database
        self._log = log
        self._owners = owners
        self._max_bytes: int = options.max_message_bytes
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Starts with the rows inserted while no server was running."""
        self._wake.set()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def wake(self) -> None:
        """Polls now: rows may have been inserted."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._wake.wait()
            except TimeoutError:
                pass  # a ring may be lost, and not every database rings
            self._wake.clear()
            try:
                await self._take_all()
            except Exception as error:  # the database is unavailable: the rows wait
                log.debug("the outbox waits: %s", error)

    async def _take_all(self) -> None:
        """Takes rows until a poll finds no more.

        Each look begins with the first id, or the rows of one program could change places: those of a
        transaction that was long under way would be found after those of its next one.
        """
        while not await is_locked(self._database):
            began = time.monotonic()
            ids = await waiting(self._database, FOUND)
            # While somebody's long transaction keeps PostgreSQL from cleaning up, each look passes all that
            # was taken since: the longer it takes, the fewer there are.
            spent = time.monotonic() - began
            if not ids:
                return
            alone = await self._take_found(ids)
            await asyncio.sleep(max(PAUSE if alone else YIELD, spent))

    async def _take_found(self, ids: Sequence[int]) -> bool:
        """Appends these rows, a batch at a time; false when another node was faster."""
        for start in range(0, len(ids), BATCH):
            if not await self._take_batch(ids[start : start + BATCH]):
                return False
        return True

    async def _take_batch(self, ids: Sequence[int]) -> bool:
        """Appends these rows, except those locked by a program; false if another node has taken them."""
        here = False

        async def command(tx: Transaction) -> Sequence[Event]:
            nonlocal here
            rows = await take(tx, ids, now_ms())
            here = bool(rows) or await any_waiting(tx, ids)
            return await self._events(tx, rows) if rows else ()

        await self._log.append((), command)
        return here

    async def _events(self, tx: Transaction, rows: Sequence[Waiting]) -> list[Event]:
        messages: list[tuple[SessionMessage, str | None]] = []
        refused: list[tuple[int, str]] = []
        for row in rows:
            try:
                messages.append((self._message(row), _owner(row)))
            except Problem as problem:
                refused.append((row.id, problem.sentence))
            except Exception as error:  # a retry would hold up all later rows
                log.error("row %d of session_messages failed: %s", row.id, described(error))
                refused.append((row.id, "Something went wrong on the server."))
        if refused:
            await refuse(tx, refused)
            _complain(refused)
        owned = set(await owners_of(tx, {message.session_id for message, _ in messages}))
        events: list[Event] = []
        for message, owner in messages:
            if owner is not None:
                events += await self._owners.assigned(tx, message.session_id, owner, False, len(events))
                owned.add(message.session_id)
            events.append(message.event(message.session_id in owned))
        return events

    def _message(self, row: Waiting) -> SessionMessage:
        """A row as a message. Raises Problem if the row is invalid."""
        if len(row.content) > (4 * LONGEST if isinstance(row.content, bytes) else LONGEST):
            raise TooLarge("too-large", f"The message is longer than {LONGEST} characters.")  # fetched in part
        content = names.message_text(_text(row.content, "content"), self._max_bytes)
        intent, robot = _text(row.intent, "intent"), _text(row.robot_id, "robot_id")
        return SessionMessage(
            names.session_id(_text(row.session_id, "session_id")),
            content,
            bool(row.is_from_bot),
            bool(row.is_human),
            names.intent(intent) if intent else None,
            names.robot_id(robot) if robot else None,
            # An unreadable time is no reason to lose a message.
            row.created_at if row.created_at and len(row.created_at) == ISO_LENGTH else iso(now_ms()),
        )


def _owner(row: Waiting) -> str | None:
    """The owner of the session from this row on, if the row names one. Raises BadRequest."""
    owner = _text(row.owner, "owner")
    return names.user_id(owner) if owner else None


def _complain(refused: Sequence[tuple[int, str]]) -> None:
    for id, sentence in refused:
        log.warning("row %d of session_messages is refused: %s", id, sentence)


def _text(value: str | bytes | None, name: str) -> str:
    if not isinstance(value, bytes):
        return value or ""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadRequest("bad-field", f"{name} is not UTF-8.") from None
