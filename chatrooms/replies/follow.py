"""Replies that another node writes: read from their rows as those grow."""

from __future__ import annotations

import asyncio
import logging

from chatrooms.replies.reply import Reply
from chatrooms.replies.store import ReplyStore
from chatrooms.storage.replies import StoredReply

INTERVAL = 0.25  # seconds between two looks at a row: it is written as often

log = logging.getLogger(__name__)


class ReplyFollower:
    """One look at a row serves all readers of it here."""

    def __init__(self, store: ReplyStore) -> None:
        self._store = store
        self._followed: dict[str, Reply] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, row: StoredReply) -> Reply:
        """The reply of a row that is still `streaming`; it grows while somebody reads it."""
        reply = self._followed.get(row.id)
        if reply is None:
            reply = self._followed[row.id] = Reply.ended(row)
            task = asyncio.create_task(self._follow(reply))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return reply

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _follow(self, reply: Reply) -> None:
        try:
            while reply.ending is None:
                await asyncio.sleep(INTERVAL)
                if not reply.readers:
                    return
                await self._look(reply)
        finally:
            del self._followed[reply.id]

    async def _look(self, reply: Reply) -> None:
        try:
            row = await self._store.find(reply.id)
        except Exception as error:  # the database is away
            log.debug("a reply cannot be followed: %s", type(error).__name__)
            return
        if row is not None:
            now = Reply.ended(row)
            for piece in now.pieces[len(reply.pieces) :]:
                reply.add(piece)
            if now.ending is not None:
                reply.end(now.ending)
