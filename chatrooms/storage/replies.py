"""Queries about AI replies. Times are in milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chatrooms.storage import leases
from chatrooms.storage.database import Database, Row, Source, Transaction
from chatrooms.storage.retention import remove_before

STREAMING = "streaming"

_COLUMNS = (
    "id, user_id, username, conversation_id, room_id, question, prompt, model, temperature, "
    "state, stopped_by, code, sentence, text, lengths"
)


class StoredReply(NamedTuple):
    """A row. `lengths` are those of its chunks, in characters, each followed by a comma."""

    id: str
    user_id: str
    username: str
    conversation_id: str
    room_id: str | None
    question: int | None
    prompt: str
    model: str | None
    temperature: float | None
    state: str = STREAMING
    stopped_by: str = ""
    code: str = ""
    sentence: str = ""
    text: str = ""
    lengths: str = ""


async def add(tx: Transaction, row: StoredReply, node: str, lease_until: int, now: int) -> None:
    places = ", ".join(f"${n}" for n in range(1, len(row) + 4))
    sql = f"insert into replies ({_COLUMNS}, node, lease_until, created_at) values ({places})"
    await tx.execute(sql, *row, node, lease_until, now)


async def find(database: Database, reply_id: str) -> StoredReply | None:
    rows = await database.fetch(f"select {_COLUMNS} from replies where id = $1", reply_id)
    return StoredReply(*rows[0]) if rows else None


async def extend(tx: Transaction, grown: Sequence[tuple[str, str, str]]) -> None:
    """Adds (text, lengths) to replies; each is (text, lengths, id)."""
    await tx.executemany(
        "update replies set text = text || $1, lengths = lengths || $2 where id = $3 and state = 'streaming'", grown
    )


async def finish(tx: Transaction, row: StoredReply, usage: tuple[int, int] | None, now: int) -> bool:
    """Writes how a reply ended, and all of its text; false when it has ended already."""
    prompt_tokens, completion_tokens = usage or (None, None)
    found = await tx.fetch(
        "update replies set state = $1, stopped_by = $2, code = $3, sentence = $4, text = $5, lengths = $6, "
        "prompt_tokens = $7, completion_tokens = $8, ended_at = $9 where id = $10 and state = 'streaming' "
        "returning 1",
        row.state, row.stopped_by, row.code, row.sentence, row.text, row.lengths,
        prompt_tokens, completion_tokens, now, row.id,
    )  # fmt: skip
    return bool(found)


async def orphans(database: Database, node: str, now: int) -> list[StoredReply]:
    """Running replies of other nodes whose lease ran out before `now`."""
    return [_stored(row) for row in await leases.orphans(database, "replies", _COLUMNS, node, now)]


async def rewrite(tx: Transaction, reply_id: str, text: str) -> None:
    """Replaces the text of a reply that has ended: what it said before is gone; without any, so is what was asked."""
    lengths = f"{len(text)}," if text else ""
    sql = "update replies set text = $1, lengths = $2, prompt = case when $1 = '' then '' else prompt end where id = $3"
    await tx.execute(sql, text, lengths, reply_id)


async def answers_to(source: Source, question: int) -> list[tuple[str, bool]]:
    """The replies to a message of a room: (id, whether it is still being written) each."""
    rows = await source.fetch("select id, state from replies where question = $1 order by created_at, id", question)
    return [(id, state == STREAMING) for id, state in rows]


async def asker(source: Source, reply_id: str) -> str | None:
    """The user who asked for a reply."""
    rows = await source.fetch("select user_id from replies where id = $1", reply_id)
    return rows[0][0] if rows else None


async def forget_ended(database: Database, before: int) -> int:
    """Removes the replies that ended before that time, with what was asked, in short steps; says how many."""
    return await remove_before(database, "replies", "id", "ended_at", before)


def _stored(row: Row) -> StoredReply:
    return StoredReply(*row)
