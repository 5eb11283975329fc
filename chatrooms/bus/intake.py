"""What other programs publish on a NATS subject, taken by one node each (a queue group)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from nats.aio.msg import Msg

from chatrooms.bus.base import Take
from chatrooms.bus.nats import CLOSE_TIMEOUT, UNREACHABLE, connect, disconnect, prefix_of, settle
from chatrooms.errors import ConfigError, StartFailure
from chatrooms.listeners import tell

GROUP = "ingest"

log = logging.getLogger(__name__)


class NatsIntake:
    """A connection of its own, so that what comes in cannot hold up the doorbell.

    Core NATS keeps nothing: what is published while no node listens is lost, and so is what a node holds
    when it dies.
    """

    def __init__(self, url: str, subject: str) -> None:
        self._url = url
        self._subject = subject
        self._client: Any = None
        self._subscription: Any = None
        self._closing = False
        self._answers: set[asyncio.Task[None]] = set()

    async def open(self, take: Take) -> None:
        """Begins to take messages. Raises StartFailure when the server cannot be reached."""
        self._take = take
        try:
            self._client = await connect(self._url, self._lost, self._found)
            group = prefix_of(self._url) + GROUP
            self._subscription = await self._client.subscribe(self._subject, queue=group, cb=self._heard)
            await settle(self._client)
        except UNREACHABLE as error:
            kind = ConfigError if isinstance(error, ValueError) else StartFailure
            raise kind(f"--nats-ingest: NATS cannot be reached: {error or type(error).__name__}") from None

    async def pause(self) -> None:
        """Takes no more, once what has come already is taken; answers can still be given."""
        if self._subscription is not None:
            with suppress(Exception):
                await asyncio.wait_for(self._subscription.drain(), CLOSE_TIMEOUT)
            self._subscription = None

    async def close(self) -> None:
        await self.pause()
        self._closing = True
        if self._answers:
            await asyncio.wait(self._answers, timeout=CLOSE_TIMEOUT)
        if self._client is not None:
            with suppress(Exception):
                await self._client.flush(CLOSE_TIMEOUT)
        await disconnect(self._client)

    async def _heard(self, message: Msg) -> None:
        tell(self._take, message.data, lambda answer: self._answer(message, answer))

    def _answer(self, message: Msg, answer: bytes) -> None:
        if message.reply:
            task = asyncio.create_task(self._respond(message, answer))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _respond(self, message: Msg, answer: bytes) -> None:
        try:
            await message.respond(answer)
        except Exception as error:  # away: the publisher will not have waited
            log.debug("not answered: %s", error)

    async def _lost(self) -> None:
        if not self._closing:
            log.warning("NATS is away: what is published on %s is lost", self._subject)

    async def _found(self) -> None:
        log.info("NATS is back")
