"""The export of a room: its messages up to the time of the request, in a file kept for a day."""

from __future__ import annotations

import asyncio
import html
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from chatrooms.clock import iso
from chatrooms.errors import Problem, TooMany
from chatrooms.identity import Identity
from chatrooms.log.event import event_id
from chatrooms.log.log import Log
from chatrooms.options import Options
from chatrooms.rooms.message import MessageQueries
from chatrooms.rooms.rooms import topic_of
from chatrooms.tasks.jobs import Job, Tasks
from chatrooms.tasks.result import Results, ResultWriter
from chatrooms.tasks.task import Task

CONCURRENT = 2  # exports a node writes concurrently; more wait
MAX_WAITING = 1000  # exports per node, waiting ones included
PAGE = 200  # events read at once
REPORT_INTERVAL = 0.5  # seconds between two reports of progress
SETTLED = 1.0  # seconds before the time left is estimated
LONGEST_REST = 0.02  # seconds of pause between two parts, at most
RETRY_AFTER = 60.0

log = logging.getLogger(__name__)


class Exports:
    """Exports of this node: one at a time for each user and room, CONCURRENT in all, the others in a queue."""

    def __init__(self, tasks: Tasks, results: Results, log: Log, messages: MessageQueries, options: Options) -> None:
        self._tasks = tasks
        self._results = results
        self._log = log
        self._messages = messages
        self._most: int = options.max_exports_per_user
        self._of_user: Counter[str] = Counter()
        self._places = asyncio.Semaphore(CONCURRENT)
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        self._wanted: Counter[tuple[str, str]] = Counter()
        self._jobs: set[asyncio.Task[None]] = set()

    async def start(self, who: Identity, room_id: str, format: str) -> Task:
        """Starts an export of what is in the room now. The caller checks the right to read it.

        Raises TooMany `too-many-tasks`, Unavailable; that also when all exports together are too large.
        """
        if self._of_user.total() >= MAX_WAITING:
            raise TooMany("too-many-tasks", "Too many exports are waiting: try again later.", RETRY_AFTER)
        if self._most and self._of_user[who.user_id] >= self._most:
            sentence = f"You have {self._most} unfinished exports: wait for one to finish, or cancel it."
            raise TooMany("too-many-tasks", sentence, RETRY_AFTER)
        self._of_user[who.user_id] += 1
        try:
            await self._results.check_space()
            head = self._log.head
            task = await self._tasks.make(f"Export of {room_id}", who.user_id, leased=True, limited=not who.trusted)
        except BaseException:
            self._done(who.user_id)
            raise
        job = asyncio.create_task(self._run(task, room_id, format, head))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        job.add_done_callback(lambda _: self._done(who.user_id))
        return task

    def _done(self, user_id: str) -> None:
        self._of_user[user_id] -= 1
        if not self._of_user[user_id]:
            del self._of_user[user_id]

    async def _run(self, task: Task, room_id: str, format: str, head: int) -> None:
        key = (task.user_id, room_id)
        self._wanted[key] += 1
        try:
            turn = self._turns.setdefault(key, asyncio.Lock())
            async with self._tasks.held(task) as job, turn, self._places:
                await job.start()
                await self._write(job, room_id, format, head)
        except Problem as problem:
            log.info("an export has ended: %s", problem.code)
        except Exception as error:
            log.error("an export failed: %s", type(error).__name__)
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key], self._turns[key]

    async def _write(self, job: Job, room_id: str, format: str, head: int) -> None:
        await self._results.forget()  # free the space of expired results first
        await self._results.check_space()  # again: others may have filled it while this one waited
        async with self._results.written(job.task, room_id, format) as writer:
            await self._write_messages(job, writer, FORMATS[format], room_id, head)

    async def _write_messages(self, job: Job, writer: ResultWriter, form: FileForm, room_id: str, head: int) -> None:
        epoch, topic = self._log.epoch, topic_of(room_id)
        await writer.write(form.before(room_id))
        pace: Pace | None = None
        position = 0
        while rows := await self._messages.part(topic, position, head, PAGE):
            messages = [(event_id(epoch, seq), data) for seq, data in rows if data is not None]
            await writer.write(form.rows(messages))
            pace = pace or Pace(rows[0][0], head)
            position = rows[-1][0]
            await pace.rest()
            if pace.due():
                await job.progress(*pace.at(position))
        await writer.write(form.after)


class Pace:
    """Progress between two places in the log, and the estimated time left."""

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._length = max(1, last - first)
        self._began = self._reported_at = self._worked_since = time.monotonic()

    async def rest(self) -> None:
        """Pauses for as long as the last part took, so that a busy server slows the export, not the other way round."""
        await asyncio.sleep(min(LONGEST_REST, time.monotonic() - self._worked_since))
        self._worked_since = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to report."""
        now = time.monotonic()
        if now < self._reported_at + REPORT_INTERVAL:
            return False
        self._reported_at = now
        return True

    def at(self, position: int) -> tuple[float, float | None]:
        """Percent done and seconds left, None while it cannot be estimated."""
        done, spent = (position - self._first) / self._length, time.monotonic() - self._began
        left = spent * (1 - done) / done if done and spent > SETTLED else None
        return min(99.9, done * 100), left


Rows = Sequence[tuple[str, str]]  # the id and the data of each message, as JSON


class FileForm(NamedTuple):
    """A file format: what precedes the messages, how messages are written, and what follows them."""

    media_type: str
    before: Callable[[str], bytes]
    rows: Callable[[Rows], bytes]
    after: bytes


class _Message(msgspec.Struct, rename="camel"):
    username: str
    message: str
    timestamp: int
    edited_at: int | None = None
    guest: bool = False


def _json_lines(rows: Rows) -> bytes:
    """One object per line, as in the history call. Ids need no escaping."""
    return "".join([f'{{"id":"{id}",{data[1:]}\n' for id, data in rows]).encode()


def _html_rows(rows: Rows) -> bytes:
    return "".join([_html_row(id, data) for id, data in rows]).encode()


def _html_row(id: str, data: str) -> str:
    message = msgspec.json.decode(data, type=_Message)
    at = iso(message.timestamp)
    edited = " <small>edited</small>" if message.edited_at else ""
    guest = " <small>guest</small>" if message.guest else ""
    name, text = html.escape(message.username), html.escape(message.message)
    return (
        f'<li id="{id}"><p><b><bdi>{name}</bdi></b>{guest} '
        f'<time datetime="{at}">{at[:10]} {at[11:19]}</time>{edited}</p>'
        f'<div dir="auto">{text}</div>\n'
    )


def _html_before(room_id: str) -> bytes:
    name = html.escape(room_id)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{name}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }}
ol {{ padding: 0; list-style: none; }}
li {{ margin: 0 0 1rem; content-visibility: auto; }}
p {{ margin: 0; }}
time, small {{ opacity: 0.7; font-size: 0.85rem; }}
div {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
</style>
<h1><bdi>{name}</bdi></h1>
<p>Times are in UTC.</p>
<ol>
""".encode()


FORMATS: dict[str, FileForm] = {
    "jsonl": FileForm("application/x-ndjson; charset=utf-8", lambda room_id: b"", _json_lines, b""),
    "html": FileForm("text/html; charset=utf-8", _html_before, _html_rows, b"</ol>\n</html>\n"),
}
