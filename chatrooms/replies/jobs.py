"""AI replies as jobs: one generation, any number of readers; closing a connection stops nothing."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections import Counter
from contextlib import aclosing
from typing import Protocol, cast

import msgspec

from chatrooms.ai.base import Prompt, Provider, ProviderError, Turn, Usage, fitting
from chatrooms.cluster import LEASE_INTERVAL
from chatrooms.errors import Conflict, NotFound, TooLarge, Unavailable
from chatrooms.identity import Identity
from chatrooms.log.event import Event
from chatrooms.logs import notify
from chatrooms.options import Options
from chatrooms.replies.queue import ReplyQueue
from chatrooms.replies.reply import COMPLETE, CUT_SHORT, ERROR, STOPPED, STREAMING, Ending, Reply, StoredReply
from chatrooms.replies.store import STOP, ReplyFollower, ReplyStore, Stop

SAVE_INTERVAL = 0.25  # seconds between two writes of new pieces
FINISH_RETRY = 1.0  # seconds between attempts to write the end of a reply while the database is away
CLOSING_TIME = 5.0  # seconds for the last writes when the server stops
NOBODY = "server"  # the `by` of a reply that was stopped because nobody read it

_ID = re.compile(r"[\w-]{1,64}\Z", re.ASCII)

log = logging.getLogger(__name__)


class Ask(msgspec.Struct):
    """The part of a prompt that is stored, so that it can be asked again."""

    message: str
    history: list[Turn] = []


class Watcher(Protocol):
    """Follows a reply from its start, on behalf of its room. Exceptions are logged and change nothing."""

    def on_start(self, reply: Reply) -> None:
        """Called before the first piece."""

    def on_end(self, reply: Reply, ending: Ending) -> None:
        """Called after the last piece, before its message is written."""


class Replies:
    """The replies of this process: starts, finds, stops and repeats them. The caller checks rights.

    `ended` counts ended replies by state; `tokens` sums the completion tokens
    that providers reported.
    """

    def __init__(self, store: ReplyStore, provider: Provider, options: Options) -> None:
        self._store = store
        self._provider = provider
        self._options = options
        self._queue = ReplyQueue(options)
        self._elsewhere = ReplyFollower(store, options.ai_orphan)
        self._running: dict[str, Reply] = {}
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._generations: dict[str, asyncio.Task[Ending]] = {}
        self._orders: dict[str, Ending] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._closing = False
        self.ended: Counter[str] = Counter()
        self.tokens = 0

    async def open(self, alone: bool) -> None:
        """Ends the replies of dead nodes and starts saving running ones. Raises Unavailable."""
        await self._store.end_orphans(alone)
        self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Ends all generations as `interrupted`; their text so far is kept."""
        self._closing = True
        if self._ticking is not None:
            self._ticking.cancel()
        for reply in list(self._running.values()):
            self._end(reply, CUT_SHORT)
        if self._jobs:
            await asyncio.wait(list(self._jobs.values()), timeout=CLOSING_TIME)
        self._elsewhere.close()
        await self._provider.close()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def readers(self) -> int:
        """Readers of running replies; a room's own feed counts as one of them."""
        return sum(reply.readers for reply in self._running.values())

    @property
    def waiting(self) -> int:
        return self._queue.waiting

    def in_memory(self, reply_id: str) -> Reply:
        """A running reply. Raises KeyError."""
        return self._running[reply_id]

    def of_conversation(self, user_id: str, conversation_id: str) -> Reply | None:
        """The newest running reply of a user's conversation."""
        wanted = (user_id, conversation_id)
        replies = [r for r in self._running.values() if (r.row.user_id, r.row.conversation_id) == wanted]
        return replies[-1] if replies else None

    async def start(
        self, who: Identity, name: str, prompt: Prompt, conversation_id: str | None,
        room_id: str | None = None, question: int | None = None, watcher: Watcher | None = None,
    ) -> Reply:  # fmt: skip
        """Starts generating a reply to `question`, the seq of a room's message, or to the prompt alone.

        Raises TooLarge, TooMany `too-many-replies`, Unavailable.
        """
        prompt = self._fitting(prompt)
        self._queue.check(who.user_id)
        if self._closing:
            raise Unavailable("draining", "The server is stopping.", 5)
        kept = "" if question else msgspec.json.encode(Ask(prompt.message, list(prompt.history))).decode()
        row = StoredReply(
            secrets.token_urlsafe(12), who.user_id, name, conversation_id or secrets.token_urlsafe(12),
            room_id, question, kept, prompt.model, prompt.temperature,
        )  # fmt: skip
        await self._store.add(row)
        reply = self._running[row.id] = Reply(row)
        if watcher is not None:
            notify(watcher.on_start, reply)
        self._jobs[row.id] = asyncio.create_task(self._run(reply, prompt, watcher))
        if self._closing:  # since it was asked: `close` has ended the others
            self._end(reply, CUT_SHORT)
        return reply

    async def find(self, reply_id: str) -> Reply:
        """A reply, running or ended, however long ago. Raises NotFound, Unavailable."""
        reply = self._running.get(reply_id)
        if reply is None:
            if not _ID.match(reply_id):
                raise NotFound("not-found", "There is no such reply.")
            row = await self._store.find(reply_id)
            reply = self._running.get(reply_id)  # it may have been started during the query
            if reply is None and row is None:
                raise NotFound("not-found", "There is no such reply.")
            if reply is None and row is not None:
                reply = self._elsewhere.reply(row) if row.state == STREAMING else Reply.ended(row)
        return cast(Reply, reply)

    async def stop(self, reply: Reply, by: str) -> None:
        """Ends a reply and its generation, and returns when that is durable. Does nothing if it has ended.

        A reply written by another node ends there, a moment later.
        """
        job = self._jobs.get(reply.id)
        if job is not None:
            self._end(reply, Ending(STOPPED, by))
            await asyncio.wait([job], timeout=CLOSING_TIME)
        elif reply.ending is None:
            await self._store.order(Stop(reply.id, by))

    async def stop_by_id(self, reply_id: str, by: str) -> None:
        """Stops a reply that may no longer exist."""
        try:
            await self.stop(await self.find(reply_id), by)
        except NotFound:
            pass

    def apply(self, event: Event) -> None:
        """Ends a reply that was stopped on another node."""
        if event.type == STOP:
            order = msgspec.json.decode(event.data, type=Stop)
            if reply := self._running.get(order.reply_id):
                self._end(reply, Ending(STOPPED, order.by))

    def asked(self, reply: Reply) -> Prompt:
        """The prompt of a private reply, or of one in a room that answers no message there.

        Raises Conflict while it runs; NotFound if the prompt was erased with it.
        """
        check_ended(reply)
        if not reply.row.prompt:
            raise NotFound("not-found", "The question has been deleted.")
        ask = msgspec.json.decode(reply.row.prompt, type=Ask)
        return Prompt(ask.message, ask.history, reply.row.model, reply.row.temperature)

    def _fitting(self, prompt: Prompt) -> Prompt:
        most = self._options.max_prompt_bytes
        left = most - len(prompt.message.encode())
        if most and left < 0:
            raise TooLarge("too-large", f"The prompt is longer than {most} bytes.")
        history = fitting(prompt.history, max(left, 1)) if most else prompt.history
        return prompt._replace(history=history)

    # The job

    async def _run(self, reply: Reply, prompt: Prompt, watcher: Watcher | None) -> None:
        """Generates a reply, writes its end, then notifies its readers."""
        generation = self._generations[reply.id] = asyncio.create_task(self._generate(reply, prompt))
        if reply.id in self._orders:  # stopped before it could begin
            generation.cancel()
        await asyncio.wait([generation])
        ending = self._orders.pop(reply.id, CUT_SHORT) if generation.cancelled() else generation.result()
        del self._generations[reply.id]
        try:
            await self._finish(reply, ending, watcher)
        finally:
            reply.end(ending)  # whatever went wrong, its readers must not wait forever
            del self._running[reply.id], self._jobs[reply.id]
            self._orders.pop(reply.id, None)

    async def _finish(self, reply: Reply, ending: Ending, watcher: Watcher | None) -> None:
        self.ended[ending.state] += 1
        if watcher is not None:
            notify(watcher.on_end, reply, ending)
        while True:
            try:
                await self._store.finish(reply.written(ending), reply.usage)
            except Exception as error:
                log.warning("cannot write the end of a reply yet: %s", type(error).__name__)
            else:
                break
            reply.end(ending)
            if self._closing:
                break
            await asyncio.sleep(FINISH_RETRY)

    def _end(self, reply: Reply, ending: Ending) -> None:
        if reply.id in self._orders:
            return
        self._orders[reply.id] = ending
        generation = self._generations.get(reply.id)
        if generation is not None:
            generation.cancel()

    async def _generate(self, reply: Reply, prompt: Prompt) -> Ending:
        try:
            async with self._queue.turn(reply), asyncio.timeout(self._options.ai_timeout or None):
                return await self._take(reply, prompt)
        except TimeoutError:
            return Ending(ERROR, code="ai-timeout", sentence="The model server took too long.")
        except ProviderError as error:
            return Ending(ERROR, code=error.code, sentence=error.sentence)
        except Exception as error:  # its text may quote the prompt
            log.error("a reply failed: %s", type(error).__name__)
            return Ending(ERROR, code="internal", sentence="The reply failed.")

    async def _take(self, reply: Reply, prompt: Prompt) -> Ending:
        loop = asyncio.get_running_loop()
        size, most, idle = 0, self._options.max_reply_bytes, self._options.ai_idle
        async with asyncio.timeout(self._options.ai_first_token or None) as limit:
            async with aclosing(self._provider.reply(prompt)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    limit.reschedule(loop.time() + idle if idle else None)
                    if isinstance(piece, Usage):
                        reply.usage = piece
                        self.tokens += piece.completion_tokens
                        continue
                    text = piece.replace("\0", "")  # PostgreSQL's text takes no NUL
                    size += len(text.encode())
                    if most and size > most:
                        return Ending(ERROR, code="too-large", sentence="The reply grew too long.")
                    if text:
                        reply.add(text)
        return Ending(COMPLETE)

    # Periodic work

    async def _tick(self) -> None:
        renew_at = time.monotonic() + LEASE_INTERVAL
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            try:
                await self._stop_unread()
                await self._save()
                if time.monotonic() > renew_at:
                    renew_at = time.monotonic() + LEASE_INTERVAL
                    await self._store.renew()
                    await self._store.end_orphans(alone=False)
            except Exception as error:  # the database is away: tried again at the next tick
                log.debug("cannot save replies: %s", type(error).__name__)

    async def _save(self) -> None:
        grown = [r for r in self._running.values() if r.ending is None and r.stored < len(r.pieces)]
        if grown:
            await self._store.save(grown)

    async def _stop_unread(self) -> None:
        """Stops the private replies that nobody has read for a while, on this node or another."""
        for reply in list(self._running.values()):
            if reply.row.room_id is None and self._is_unread(reply):
                reads = await self._store.reads(reply.id)
                if reads != reply.reads_elsewhere:
                    reply.reads_elsewhere = reads
                    reply.touch()
                elif self._is_unread(reply):  # a reader may have come meanwhile
                    self._end(reply, Ending(STOPPED, NOBODY))

    def _is_unread(self, reply: Reply) -> bool:
        limit = self._options.ai_orphan
        return bool(limit and reply.unread_at) and time.monotonic() - reply.unread_at > limit


def check_ended(reply: Reply) -> None:
    """Raises Conflict for a reply that is still being written."""
    if reply.ending is None:
        raise Conflict("conflict", "The reply is still being written: stop it first.")
