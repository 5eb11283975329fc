"""A message of a room: as stored, as a draft, and in pages; and the queries for it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from chatrooms.log.database import Database, Row, Transaction


class RoomMessage(msgspec.Struct, rename="camel", omit_defaults=True):
    """The data of a `room-message` (section 3), without its id. Times in milliseconds since 1970.

    Of an AI reply: `message_id` is the reply's, `state` how it ended when it is not complete.
    """

    room_id: str
    user_id: str
    username: str
    message: str
    timestamp: int
    client_message_id: str | None = None
    is_from_bot: bool = False
    guest: bool = False
    message_id: str | None = None
    state: str | None = None
    stopped_by: str | None = None
    edited_at: int | None = None
    deleted_at: int | None = None


class Draft(NamedTuple):
    """A message to be posted; `client_message_id` makes retries harmless."""

    text: str
    client_message_id: str | None


class Posted(NamedTuple):
    """A message in the log as JSON, and whether it was already there."""

    data: bytes
    repeated: bool


class MessagePage(NamedTuple):
    """Some messages as JSON, oldest first, and whether there are more in the direction asked."""

    messages: list[bytes]
    has_more: bool


def decoded(data: bytes) -> RoomMessage:
    """The message in its row of the log."""
    return msgspec.json.decode(data, type=RoomMessage)


def fitting(messages: list[bytes], most: int) -> list[bytes]:
    """The first messages that fit into a page of so many bytes; one always does."""
    size = 0
    for number, message in enumerate(messages):
        size += len(message)
        if number and size > most:
            return messages[:number]
    return messages


_OF_ROOM = "from event_topics t join events e on e.seq = t.seq where t.topic = $1 and e.type = 'room-message'"

# Text beyond the limit stays in the database: answers are held in memory until they are read.
_PAGE = f"""
select seq, case when sum(length(data)) over (order by seq {{order}}) - length(data) < $4 then data end
from (select e.seq, e.data {_OF_ROOM} and t.seq {{beyond}} $2 order by t.seq {{order}} limit $3) as page
order by seq {{order}}"""


class MessageQueries:
    """Queries for messages. A row is (seq, data)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def before(self, topic: str, seq: int, limit: int, most: int) -> list[Row]:
        """The messages just before a seq, newest first; once they have `most` characters, None for data."""
        return await self._database.fetch(_PAGE.format(beyond="<", order="desc"), topic, seq, limit, most)

    async def after(self, topic: str, seq: int, limit: int, most: int) -> list[Row]:
        """The messages just after a seq, oldest first; once they have `most` characters, None for data."""
        return await self._database.fetch(_PAGE.format(beyond=">", order="asc"), topic, seq, limit, most)

    async def part(self, topic: str, after: int, last: int, limit: int) -> list[Row]:
        """The next events of a topic after a seq and up to another, oldest first: for reading all of them.

        Rows are (seq, data); data is None for what is no message. The few seqs are found first: a join of
        both tables makes PostgreSQL read one of them from its beginning for each part.
        """
        sql = """select seq, case when type = 'room-message' then data end from events where seq in (
            select seq from event_topics where topic = $1 and seq > $2 and seq <= $3 order by seq limit $4)
            order by seq"""
        return await self._database.fetch(sql, topic, after, last, limit)

    async def nth_last(self, topic: str, count: int) -> int | None:
        """The seq of the oldest of the last `count` messages; None when there are none."""
        sql = f"select min(seq) from (select t.seq as seq {_OF_ROOM} order by t.seq desc limit $2) as last"
        rows = await self._database.fetch(sql, topic, count)
        return None if rows[0][0] is None else int(rows[0][0])


async def add_room(tx: Transaction, room_id: str, created_at: int) -> None:
    """Stores a room at its first message; `created_at` in milliseconds since 1970."""
    sql = "insert into rooms (room_id, created_at) values ($1, $2) on conflict (room_id) do nothing"
    await tx.execute(sql, room_id, created_at)


async def has_room(tx: Transaction, room_id: str) -> bool:
    return bool(await tx.fetch("select 1 from rooms where room_id = $1", room_id))


async def message_row(tx: Transaction, topic: str, seq: int) -> bytes | None:
    """The data of a message of that topic; None if it does not exist (any more)."""
    sql = f"select e.data {_OF_ROOM} and t.seq = $2"
    rows = await tx.fetch(sql, topic, seq)
    return rows[0][0].encode() if rows else None


async def message_of_reply(tx: Transaction, reply_id: str) -> tuple[int, bytes] | None:
    """The message that an AI reply became, as (seq, data); None if it does not exist (any more)."""
    sql = "select seq, data from events where key = $1 and type = 'room-message'"
    rows = await tx.fetch(sql, key_of_reply(reply_id))
    return (rows[0][0], rows[0][1].encode()) if rows else None


async def replies_after(tx: Transaction, topic: str, seq: int, most: int) -> list[tuple[int, bytes]]:
    """The AI replies among the next `most` messages after a seq, as (seq, data)."""
    some = f"select e.seq, e.data {_OF_ROOM} and t.seq > $2 order by t.seq limit $3"
    rows = await tx.fetch(
        f"""select seq, data from ({some}) as some_of_it where data like '%"isFromBot":true%'""", topic, seq, most
    )
    return [(seq, data.encode()) for seq, data in rows]


def key_of_reply(reply_id: str) -> str:
    """The key of the message that an AI reply becomes."""
    return f"reply/{reply_id}"


async def rewrite_message(tx: Transaction, seq: int, type: str, data: bytes) -> None:
    """Replaces an event in the log itself: its old text is gone."""
    await tx.execute("update events set type = $1, data = $2 where seq = $3", type, data.decode(), seq)


async def edits_of(tx: Transaction, seq: int) -> list[Row]:
    """The (seq, data) of the edits of a message."""
    return await tx.fetch("select seq, data from events where ref = $1 and type = 'message-edited'", seq)
