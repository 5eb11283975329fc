"""Durable replies: their rows, the messages that they become in rooms, and following those of other nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from weakref import WeakValueDictionary

import msgspec

from chatrooms.clock import now_ms
from chatrooms.cluster import Lease, orphans, renew_leases
from chatrooms.log.database import Database, Row, Source, Transaction
from chatrooms.log.event import CONTROL, Event
from chatrooms.log.log import Log
from chatrooms.log.retention import remove_before
from chatrooms.replies.reply import (
    CUT_SHORT,
    DELETED,
    ERROR,
    INTERRUPTED,
    STOPPED,
    STREAMING,
    Reply,
    StoredReply,
    lengths_of,
)
from chatrooms.rooms.message import RoomMessage, add_room, key_of_reply, message_row
from chatrooms.rooms.rooms import topic_of

BOT_ID = "assistant"
BOT_NAME = "Assistant"
STOP = "reply-stopped"
LOOK_INTERVAL = 0.25  # seconds between two reads of another node's row, which is written as often
MARKS = 3  # marks in the time after which a private reply that nobody reads is stopped

log = logging.getLogger(__name__)


class Stop(msgspec.Struct, rename="camel"):
    """The order to stop a reply: the data of a STOP event in the topic `control`."""

    reply_id: str
    by: str


class ReplyStore:
    """Writes and reads the rows of replies. `lease` is this process's, on the replies that it generates."""

    def __init__(self, database: Database, log: Log, lease: Lease) -> None:
        self._database = database
        self._log = log
        self._lease = lease

    async def add(self, row: StoredReply) -> None:
        """Writes a new reply; the log may batch it with other writes in one commit. Raises Unavailable."""

        async def command(tx: Transaction) -> list[Event]:
            await add_reply(tx, row, self._lease.node, self._lease.until(), now_ms())
            return []

        await self._log.append((), command)

    async def find(self, reply_id: str) -> StoredReply | None:
        return await find_reply(self._database, reply_id)

    async def mark_read(self, reply_id: str) -> None:
        """Shows the node that writes a reply that it is being read on this one. Raises Unavailable."""

        async def command(tx: Transaction) -> list[Event]:
            await tx.execute("update replies set reads = reads + 1 where id = $1 and state = 'streaming'", reply_id)
            return []

        await self._log.append((), command)

    async def reads(self, reply_id: str) -> int:
        """How often other nodes have marked a reply as being read."""
        rows = await self._database.fetch("select reads from replies where id = $1", reply_id)
        return rows[0][0] if rows else 0

    async def save(self, replies: Iterable[Reply]) -> None:
        """Writes the new pieces of running replies. Raises Unavailable; the next call then writes them."""
        grown = [(reply, reply.pieces[reply.stored :]) for reply in replies]

        async def command(tx: Transaction) -> list[Event]:
            await extend_replies(tx, [("".join(new), lengths_of(new), reply.id) for reply, new in grown])
            return []

        await self._log.append((), command)
        for reply, new in grown:
            reply.stored += len(new)

    async def renew(self) -> None:
        async def command(tx: Transaction) -> list[Event]:
            await renew_leases(tx, "replies", self._lease.node, self._lease.until())
            return []

        await self._log.append((), command)

    async def finish(self, row: StoredReply, usage: tuple[int, int] | None) -> None:
        """Writes how a reply ended; in a room, its message enters the log in the same commit.

        No text is kept if the question, which it may quote, was deleted meanwhile. Does nothing if it has
        already ended. Raises Unavailable.
        """

        async def command(tx: Transaction) -> list[Event]:
            told = row if await _is_asked_still(tx, row) else row._replace(text="", lengths="")
            if not await finish_reply(tx, told, usage, now_ms()) or row.room_id is None or told is not row:
                return []
            await add_room(tx, row.room_id, now_ms())
            return [_message(row, row.room_id)]

        await self._log.append((), command)

    async def order(self, stop: Stop) -> None:
        """Orders the node that writes a reply to stop it. Raises Unavailable."""
        await self._log.append([Event(STOP, msgspec.json.encode(stop), (CONTROL,))])

    async def end_orphans(self, alone: bool) -> int:
        """Ends the replies of dead nodes as `interrupted`, with the text that they left; returns how many.

        `alone` means that no other node can be alive, so leases need not run out first.
        """
        rows = await orphaned_replies(self._database, self._lease.node, self._lease.run_out(alone))
        for row in rows:
            cut = row._replace(state=INTERRUPTED, code=CUT_SHORT.code, sentence=CUT_SHORT.sentence)
            await self.finish(cut, None)
        return len(rows)


async def _is_asked_still(tx: Transaction, row: StoredReply) -> bool:
    """Whether a reply's question still exists; true if it answers no message of a room."""
    if row.room_id is None or row.question is None:
        return True
    return await message_row(tx, topic_of(row.room_id), row.question) is not None


def _message(row: StoredReply, room_id: str) -> Event:
    """The durable message of an ended reply."""
    message = RoomMessage(
        room_id, BOT_ID, BOT_NAME, row.text if row.text.strip() else _instead(row), now_ms(),
        is_from_bot=True, message_id=row.id,
        state=None if row.state == "complete" else row.state, stopped_by=row.stopped_by or None,
    )  # fmt: skip
    return Event("room-message", msgspec.json.encode(message), (topic_of(room_id),), key_of_reply(row.id))


def _instead(row: StoredReply) -> str:
    """The text of a room's message for a reply without a word."""
    if row.state == STOPPED:
        return f"(stopped by {row.stopped_by} before the first word)"
    return f"({row.sentence})" if row.state in (ERROR, INTERRUPTED) else "(no answer)"


_COLUMNS = (
    "id, user_id, username, conversation_id, room_id, question, prompt, model, temperature, "
    "state, stopped_by, code, sentence, text, lengths"
)


async def add_reply(tx: Transaction, row: StoredReply, node: str, lease_until: int, now: int) -> None:
    places = ", ".join(f"${n}" for n in range(1, len(row) + 4))
    sql = f"insert into replies ({_COLUMNS}, node, lease_until, created_at) values ({places})"
    await tx.execute(sql, *row, node, lease_until, now)


async def find_reply(database: Database, reply_id: str) -> StoredReply | None:
    rows = await database.fetch(f"select {_COLUMNS} from replies where id = $1", reply_id)
    return StoredReply(*rows[0]) if rows else None


async def extend_replies(tx: Transaction, grown: Sequence[tuple[str, str, str]]) -> None:
    """Adds (text, lengths) to replies; each is (text, lengths, id)."""
    await tx.executemany(
        "update replies set text = text || $1, lengths = lengths || $2 where id = $3 and state = 'streaming'", grown
    )


async def finish_reply(tx: Transaction, row: StoredReply, usage: tuple[int, int] | None, now: int) -> bool:
    """Writes how a reply ended, and its whole text; false if it has already ended."""
    prompt_tokens, completion_tokens = usage or (None, None)
    found = await tx.fetch(
        "update replies set state = $1, stopped_by = $2, code = $3, sentence = $4, text = $5, lengths = $6, "
        "prompt_tokens = $7, completion_tokens = $8, ended_at = $9 where id = $10 and state = 'streaming' "
        "returning 1",
        row.state, row.stopped_by, row.code, row.sentence, row.text, row.lengths,
        prompt_tokens, completion_tokens, now, row.id,
    )  # fmt: skip
    return bool(found)


async def orphaned_replies(database: Database, node: str, now: int) -> list[StoredReply]:
    """Running replies of other nodes whose lease ran out before `now`."""
    return [_stored(row) for row in await orphans(database, "replies", _COLUMNS, node, now)]


async def rewrite_reply(tx: Transaction, reply_id: str, text: str) -> None:
    """Replaces the text of an ended reply; the old text is gone. An empty text erases the prompt too."""
    lengths = f"{len(text)}," if text else ""
    sql = "update replies set text = $1, lengths = $2, prompt = case when $1 = '' then '' else prompt end where id = $3"
    await tx.execute(sql, text, lengths, reply_id)


async def answers_to(source: Source, question: int) -> list[tuple[str, bool]]:
    """The replies to a message of a room, each as (id, whether it is still being written)."""
    rows = await source.fetch("select id, state from replies where question = $1 order by created_at, id", question)
    return [(id, state == STREAMING) for id, state in rows]


async def asker(source: Source, reply_id: str) -> str | None:
    """The user who asked for a reply."""
    rows = await source.fetch("select user_id from replies where id = $1", reply_id)
    return rows[0][0] if rows else None


async def forget_ended_replies(database: Database, before: int) -> int:
    """Removes replies that ended before that time, and their prompts, in short steps; returns how many."""
    return await remove_before(database, "replies", "id", "ended_at", before)


def _stored(row: Row) -> StoredReply:
    return StoredReply(*row)


class FollowedReply(Reply):
    """Another node's reply, which grows while somebody reads it: `follow` is called when a reader comes or polls."""

    def __init__(self, row: StoredReply, follow: Callable[[FollowedReply], None]) -> None:
        super().__init__(row)
        self.follow = follow

    def enter(self, on_change: Callable[[], None]) -> None:
        super().enter(on_change)
        self.follow(self)

    def touch(self) -> None:
        super().touch()
        self.follow(self)


class ReplyFollower:
    """Reads each followed row once for all of its readers here.

    While a private reply is read, its row is marked several times in `ai_orphan` seconds, after which its node
    would stop it.
    """

    def __init__(self, store: ReplyStore, ai_orphan: float) -> None:
        self._store = store
        self._mark_interval = ai_orphan / MARKS
        self._known: WeakValueDictionary[str, FollowedReply] = WeakValueDictionary()
        self._tasks: dict[FollowedReply, asyncio.Task[None]] = {}

    def reply(self, row: StoredReply) -> Reply:
        """The reply of a row that is still `streaming`."""
        reply = self._known.get(row.id)
        if reply is None:
            reply = self._known[row.id] = FollowedReply(row, self._follow)
        reply.grow(row)
        return reply

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _follow(self, reply: FollowedReply) -> None:
        if reply not in self._tasks and reply.ending is None:
            self._tasks[reply] = asyncio.create_task(self._look_again(reply))

    async def _look_again(self, reply: FollowedReply) -> None:
        loop, mark_at = asyncio.get_running_loop(), 0.0
        try:
            while reply.ending is None:
                if self._mark_interval and reply.row.room_id is None and loop.time() >= mark_at:
                    mark_at = loop.time() + self._mark_interval
                    await self._mark(reply)
                if not reply.readers:
                    break
                await asyncio.sleep(LOOK_INTERVAL)
                await self._look(reply)
        finally:
            # In the same step that found no reader, so that the next reader starts a new task.
            del self._tasks[reply]

    async def _mark(self, reply: Reply) -> None:
        try:
            await self._store.mark_read(reply.id)
        except Exception as error:  # the database is away, also for the node that writes it
            log.debug("cannot mark a reply as read: %s", type(error).__name__)

    async def _look(self, reply: Reply) -> None:
        try:
            row = await self._store.find(reply.id)
            if row is None:
                reply.end(DELETED)
            else:
                reply.grow(row)
        except Exception as error:  # the database is away
            log.debug("cannot follow a reply: %s", type(error).__name__)
