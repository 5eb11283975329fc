"""The audit log of a room: what its moderators did. It is a topic of the log."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.errors import BadRequest
from chatrooms.event import event_id, identified, parse_id
from chatrooms.rules.act import audit_topic
from chatrooms.storage.database import Database
from chatrooms.storage.log import Log
from chatrooms.storage.rules import acts_before


class Page(NamedTuple):
    """Some acts as JSON, newest first, and whether there are older ones."""

    acts: list[bytes]
    has_more: bool


class Audit:
    """Reads what the log has of acts. Access is the caller's to check."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    async def page(self, room_id: str, before: str, limit: int) -> Page:
        """The last acts in a room, or those before an id. Raises BadRequest for an id that is none."""
        seq = self._seq(before) if before else self._log.head + 1
        rows = await acts_before(self._database, audit_topic(room_id), seq, limit + 1)
        acts = [identified(data.encode(), event_id(self._log.epoch, seq)) for seq, data in rows[:limit]]
        return Page(acts, len(rows) > limit)

    def _seq(self, id: str) -> int:
        position = parse_id(id)
        if position is None or position.epoch != self._log.epoch:
            raise BadRequest("bad-id", "before must be the id of an entry.")
        return position.seq
