"""The outbox: rows that other programs put into `session_messages` go to the log.

Whoever inserts may hold its transaction open as long as it likes: only what is committed is seen, and a
row is found by its mark, never by its place among the ids, so none is passed over because an earlier id
is committed later. A node takes a lot of rows under the lock of the log, in an append of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from chatrooms import names
from chatrooms.clock import iso, now_ms
from chatrooms.errors import BadRequest, Problem, TooLarge
from chatrooms.event import Event
from chatrooms.options import Options
from chatrooms.sessions.message import SessionMessage
from chatrooms.storage import sessions as queries
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.log import Log
from chatrooms.storage.sessions import Waiting

LOT = 100  # rows taken at once: how long a post in a room may have to wait for them
LOOK = 0.5  # seconds between two looks when nobody rings
PAUSE = 0.02  # seconds after a lot: many small transactions become few appends
ISO_LENGTH = len("2026-01-31T12:00:00.000Z")
LONGEST = 262_144  # characters of a row's content, whatever `max-message-bytes` says

log = logging.getLogger(__name__)


class Outbox:
    """Takes the rows of other programs, as they are committed."""

    def __init__(self, database: Database, log: Log, options: Options) -> None:
        self._database = database
        self._log = log
        self._max_bytes: int = options.max_message_bytes
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begins with what was inserted while no server ran."""
        self._wake.set()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def wake(self) -> None:
        """Somebody has inserted rows, it seems."""
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
                if await self._take_lot():
                    await asyncio.sleep(PAUSE)
                    self._wake.set()
            except Exception as error:  # the database is away: the rows keep their place
                log.debug("the outbox waits: %s", error)

    async def _take_lot(self) -> bool:
        """Appends the next rows; whether there may be more."""
        if not await queries.is_waiting(self._database):
            return False
        seen = 0

        async def command(tx: Transaction) -> Sequence[Event]:
            nonlocal seen
            rows = await queries.waiting(tx, LOT)
            seen = len(rows)
            return await self._take(tx, rows) if rows else ()

        await self._log.append((), command)
        return seen > 0

    async def _take(self, tx: Transaction, rows: Sequence[Waiting]) -> list[Event]:
        messages: dict[int, SessionMessage] = {}
        refused: list[tuple[int, str]] = []
        for row in rows:
            try:
                messages[row.id] = self._message(row)
            except Problem as problem:
                refused.append((row.id, problem.sentence))
        now = now_ms()
        if refused:
            await queries.refuse(tx, refused, now)
            _complain(refused)
        if not messages:
            return []
        await queries.mark(tx, list(messages), now)
        owners = await queries.owners_of(tx, {message.session_id for message in messages.values()})
        return [message.event(message.session_id in owners) for message in messages.values()]

    def _message(self, row: Waiting) -> SessionMessage:
        """A row as a message. Raises Problem with what is wrong with it."""
        if len(row.content) > (4 * LONGEST if isinstance(row.content, bytes) else LONGEST):
            raise TooLarge("too-large", f"The message is longer than {LONGEST} characters.")  # it is here only in part
        content = names.message_text(_text(row.content, "content"), self._max_bytes)
        intent, robot = _text(row.intent, "intent"), _text(row.robot_id, "robot_id")
        return SessionMessage(
            names.session_id(_text(row.session_id, "session_id")),
            content,
            bool(row.is_from_bot),
            bool(row.is_human),
            names.intent(intent) if intent else None,
            names.robot_id(robot) if robot else None,
            # A time that cannot be read is no reason to lose a message.
            row.created_at if row.created_at and len(row.created_at) == ISO_LENGTH else iso(now_ms()),
        )


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
