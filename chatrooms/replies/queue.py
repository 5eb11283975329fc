"""The queue of AI replies: a limited number run at once, in all and per user; the rest wait and know their place."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatrooms.errors import TooMany
from chatrooms.options import Options
from chatrooms.replies.reply import Reply

RETRY_AFTER = 5.0  # seconds, told to callers that find the queue full


class ReplyQueue:
    """Gives replies their turn, first come, first served; those of users at their own limit are skipped."""

    def __init__(self, options: Options) -> None:
        self._most: int = options.ai_replies
        self._most_per_user: int = options.ai_replies_per_user
        self._longest: int = options.ai_queue
        self._longest_per_user: int = options.ai_queue_per_user
        self._running: Counter[str] = Counter()
        self._waiting: dict[Reply, asyncio.Future[None]] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def check(self, user_id: str) -> None:
        """Raises TooMany `too-many-replies` when one more reply of that user could neither run nor wait."""
        mine = sum(1 for reply in self._waiting if reply.row.user_id == user_id)
        full = self._longest and len(self._waiting) >= self._longest
        if not self._fits(user_id) and (full or (self._longest_per_user and mine >= self._longest_per_user)):
            raise TooMany("too-many-replies", "Too many replies are waiting: try again later.", RETRY_AFTER)

    @asynccontextmanager
    async def turn(self, reply: Reply) -> AsyncIterator[None]:
        """Waits until the reply may begin, and holds its slot until the block is left."""
        await self._wait(reply)
        try:
            yield
        finally:
            self._running[reply.row.user_id] -= 1
            self._running += Counter()  # drops the zeros
            self._admit()

    async def _wait(self, reply: Reply) -> None:
        turn = self._waiting[reply] = asyncio.get_running_loop().create_future()
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(reply, None) is None:  # it had just been admitted
                self._running[reply.row.user_id] -= 1
            self._admit()
            raise

    def _fits(self, user_id: str) -> bool:
        if self._most and self._running.total() >= self._most:
            return False
        return not self._most_per_user or self._running[user_id] < self._most_per_user

    def _admit(self) -> None:
        """Starts every reply that fits, and gives the others their new place."""
        for reply, turn in list(self._waiting.items()):
            if not turn.cancelled() and self._fits(reply.row.user_id):  # one just stopped leaves by itself
                self._running[reply.row.user_id] += 1
                reply.queue(0)
                del self._waiting[reply]
                turn.set_result(None)
        for place, reply in enumerate(self._waiting, 1):
            reply.queue(place)
