"""Where replies are durable: their rows, and in a room the message that they become."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from chatrooms.clock import now_ms
from chatrooms.event import CONTROL, Event
from chatrooms.nodes.lease import Lease
from chatrooms.replies.reply import CUT_SHORT, ERROR, INTERRUPTED, STOPPED, Reply, lengths_of
from chatrooms.rooms.message import RoomMessage
from chatrooms.rooms.rooms import topic_of
from chatrooms.storage import leases
from chatrooms.storage import replies as queries
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.log import Log
from chatrooms.storage.messages import add_room, key_of_reply, message_row
from chatrooms.storage.replies import StoredReply

BOT_ID = "assistant"
BOT_NAME = "Assistant"
STOP = "reply-stopped"


class Stop(msgspec.Struct, rename="camel"):
    """The order to stop a reply: the data of a STOP event in the topic `control`."""

    reply_id: str
    by: str


class ReplyStore:
    """Writes and reads the rows of replies. `lease` is that of this process on what it works on."""

    def __init__(self, database: Database, log: Log, lease: Lease) -> None:
        self._database = database
        self._log = log
        self._lease = lease

    async def add(self, row: StoredReply) -> None:
        """Writes a new reply, in one commit with whatever else is written now. Raises Unavailable."""

        async def command(tx: Transaction) -> list[Event]:
            await queries.add(tx, row, self._lease.node, self._lease.until(), now_ms())
            return []

        await self._log.append((), command)

    async def find(self, reply_id: str) -> StoredReply | None:
        return await queries.find(self._database, reply_id)

    async def save(self, replies: Iterable[Reply]) -> None:
        """Writes what running replies have grown by. Raises Unavailable; then it is written next time."""
        grown = [(reply, reply.pieces[reply.stored :]) for reply in replies]

        async def command(tx: Transaction) -> list[Event]:
            await queries.extend(tx, [("".join(new), lengths_of(new), reply.id) for reply, new in grown])
            return []

        await self._log.append((), command)
        for reply, new in grown:
            reply.stored += len(new)

    async def renew(self) -> None:
        async def command(tx: Transaction) -> list[Event]:
            await leases.renew(tx, "replies", self._lease.node, self._lease.until())
            return []

        await self._log.append((), command)

    async def finish(self, row: StoredReply, usage: tuple[int, int] | None) -> None:
        """Writes how a reply ended; in a room its message goes into the log in the same commit.

        Nothing of it is kept when its question, which it may quote, was deleted meanwhile. Harmless when it has
        ended already. Raises Unavailable.
        """

        async def command(tx: Transaction) -> list[Event]:
            told = row if await _is_asked_still(tx, row) else row._replace(text="", lengths="")
            if not await queries.finish(tx, told, usage, now_ms()) or row.room_id is None or told is not row:
                return []
            await add_room(tx, row.room_id, now_ms())
            return [_message(row, row.room_id)]

        await self._log.append((), command)

    async def order(self, stop: Stop) -> None:
        """Tells the node that writes a reply to stop it. Raises Unavailable."""
        await self._log.append([Event(STOP, msgspec.json.encode(stop), (CONTROL,))])

    async def end_orphans(self, alone: bool) -> int:
        """Ends the replies of dead nodes as `interrupted`, with the text that they left; says how many.

        `alone` says that no other node can be alive: then no lease is waited for.
        """
        rows = await queries.orphans(self._database, self._lease.node, self._lease.run_out(alone))
        for row in rows:
            cut = row._replace(state=INTERRUPTED, code=CUT_SHORT.code, sentence=CUT_SHORT.sentence)
            await self.finish(cut, None)
        return len(rows)


async def _is_asked_still(tx: Transaction, row: StoredReply) -> bool:
    """Whether a reply's question is there, if it is a message of a room."""
    if row.room_id is None or row.question is None:
        return True
    return await message_row(tx, topic_of(row.room_id), row.question) is not None


def _message(row: StoredReply, room_id: str) -> Event:
    """The durable message of a reply that has ended."""
    message = RoomMessage(
        room_id, BOT_ID, BOT_NAME, row.text if row.text.strip() else _instead(row), now_ms(),
        is_from_bot=True, message_id=row.id,
        state=None if row.state == "complete" else row.state, stopped_by=row.stopped_by or None,
    )  # fmt: skip
    return Event("room-message", msgspec.json.encode(message), (topic_of(room_id),), key_of_reply(row.id))


def _instead(row: StoredReply) -> str:
    """What stands in the room for a reply without a word."""
    if row.state == STOPPED:
        return f"(stopped by {row.stopped_by} before the first word)"
    return f"({row.sentence})" if row.state in (ERROR, INTERRUPTED) else "(no answer)"
