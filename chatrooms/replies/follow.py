"""Replies that another node writes: read from their rows as those grow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from weakref import WeakValueDictionary

from chatrooms.replies.reply import DELETED, Reader, Reply
from chatrooms.replies.store import ReplyStore
from chatrooms.storage.replies import StoredReply

INTERVAL = 0.25  # seconds between two looks at a row: it is written as often

log = logging.getLogger(__name__)


class FollowedReply(Reply):
    """A reply that grows while somebody reads it: `follow` is called when a reader comes."""

    def __init__(self, row: StoredReply, follow: Callable[[FollowedReply], None]) -> None:
        super().__init__(row)
        self.follow = follow
        self.grow(row)

    def enter(self, reader: Reader) -> None:
        super().enter(reader)
        self.follow(self)


class ReplyFollower:
    """One look at a row serves all readers of it here."""

    def __init__(self, store: ReplyStore) -> None:
        self._store = store
        self._known: WeakValueDictionary[str, FollowedReply] = WeakValueDictionary()
        self._tasks: dict[FollowedReply, asyncio.Task[None]] = {}

    @property
    def following(self) -> int:
        """How many replies are followed."""
        return len(self._tasks)

    def reply(self, row: StoredReply) -> Reply:
        """The reply of a row that is still `streaming`."""
        reply = self._known.get(row.id)
        if reply is None:
            reply = self._known[row.id] = FollowedReply(row, self._follow)
        return reply

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _follow(self, reply: FollowedReply) -> None:
        if reply not in self._tasks and reply.ending is None:
            self._tasks[reply] = asyncio.create_task(self._look_again(reply))

    async def _look_again(self, reply: FollowedReply) -> None:
        try:
            while reply.ending is None and reply.readers:
                await asyncio.sleep(INTERVAL)
                await self._look(reply)
        finally:
            # In the step that found no reader: the next one has it followed again.
            del self._tasks[reply]

    async def _look(self, reply: Reply) -> None:
        try:
            row = await self._store.find(reply.id)
            if row is None:
                reply.end(DELETED)
            else:
                reply.grow(row)
        except Exception as error:  # the database is away
            log.debug("a reply cannot be followed: %s", type(error).__name__)
