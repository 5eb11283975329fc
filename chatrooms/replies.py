"""AI replies as jobs: one generation, any number of readers; a closed connection stops nothing."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator

from chatrooms.ai.base import Prompt, Provider
from chatrooms.errors import NotFound, Unavailable
from chatrooms.tokens import Identity

KEPT = 1000  # finished replies that can still be read
MAX_RUNNING = 1000
RETRY_AFTER = 5.0  # seconds, for who comes when MAX_RUNNING are being generated

log = logging.getLogger(__name__)


class Reply:
    """One reply: its pieces so far, and its state.

    state   `streaming`, then `complete`, `stopped` or `error`
    fault   (code, sentence) when the state is `error`
    """

    def __init__(self, user_id: str, conversation_id: str) -> None:
        self.id = secrets.token_urlsafe(12)
        self.user_id = user_id
        self.conversation_id = conversation_id
        self.pieces: list[str] = []
        self.state = "streaming"
        self.stopped_by = ""
        self.fault: tuple[str, str] | None = None
        self._news = asyncio.Event()

    async def read(self, after: int) -> AsyncIterator[tuple[int, str]]:
        """The (index, text) pairs after an index (-1: all), as they come, until the reply ends."""
        index = after + 1
        while True:
            while index < len(self.pieces):
                yield index, self.pieces[index]
                index += 1
            if self.state != "streaming":
                return
            await self._news.wait()

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        self._tell()

    def end(self, state: str) -> None:
        """Ends the reply, once."""
        if self.state == "streaming":
            self.state = state
            self._tell()

    def _tell(self) -> None:
        """Wakes the readers that wait now; those that come later see what there is."""
        self._news.set()
        self._news = asyncio.Event()


class Replies:
    """The replies of this process."""

    def __init__(self, provider: Provider, max_bytes: int) -> None:
        self._provider = provider
        self._max_bytes = max_bytes
        self._replies: OrderedDict[str, Reply] = OrderedDict()
        self._jobs: dict[str, asyncio.Task[None]] = {}

    def start(self, who: Identity, prompt: Prompt, conversation_id: str | None) -> Reply:
        """Begins to generate a reply. Raises Unavailable `full` when too many are being generated."""
        if len(self._jobs) >= MAX_RUNNING:
            raise Unavailable("full", "Too many replies are being generated.", RETRY_AFTER)
        reply = Reply(who.user_id, conversation_id or secrets.token_urlsafe(12))
        self._replies[reply.id] = reply
        self._forget_old()
        job = self._jobs[reply.id] = asyncio.create_task(self._generate(reply, prompt))
        job.add_done_callback(lambda _: self._jobs.pop(reply.id, None))
        return reply

    def get(self, who: Identity, reply_id: str) -> Reply:
        """A reply, running or finished. Raises NotFound for those of others, too."""
        reply = self._replies.get(reply_id)
        if reply is None or (reply.user_id != who.user_id and not who.trusted):
            raise NotFound("not-found", "There is no such reply.")
        return reply

    def stop(self, who: Identity, reply_id: str) -> None:
        """Ends a reply and its generation; what there is of it is kept. Raises NotFound."""
        reply = self.get(who, reply_id)
        reply.stopped_by = who.username or who.user_id
        reply.end("stopped")
        if job := self._jobs.get(reply_id):
            job.cancel()

    async def close(self) -> None:
        """Ends all generations."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _generate(self, reply: Reply, prompt: Prompt) -> None:
        size = 0
        try:
            async for piece in self._provider.reply(prompt):
                size += len(piece.encode())
                if self._max_bytes and size > self._max_bytes:
                    reply.fault = ("too-large", "The reply grew too long.")
                    return reply.end("error")
                reply.add(piece)
            reply.end("complete")
        except asyncio.CancelledError:
            reply.end("stopped")
            raise
        except Exception as error:
            log.error("reply failed: %s", type(error).__name__)
            reply.fault = ("internal", "The reply failed.")
            reply.end("error")

    def _forget_old(self) -> None:
        """Finished replies go, oldest first, when there are too many."""
        for reply_id in list(self._replies)[: max(0, len(self._replies) - KEPT)]:
            if self._replies[reply_id].state != "streaming":
                del self._replies[reply_id]
