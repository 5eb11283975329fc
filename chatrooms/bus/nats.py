"""The bus over NATS subjects."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from chatrooms.bus.base import ALL, MAX_WAITING, Health, Hear
from chatrooms.errors import ConfigError

PREFIX = "chatrooms."
CONNECT_TIMEOUT = 3.0
RECONNECT_WAIT = 0.2  # seconds between two tries, at one server
PING = 5.0  # seconds between two signs of life
PINGS_MISSED = 2
CLOSE_TIMEOUT = 2.0

log = logging.getLogger(__name__)


class NatsBus:
    """One connection to any of several servers: `nats://user:password@one:4222,nats://two:4222`.

    `tls://` asks for TLS. Subjects are `chatrooms.<cluster>.<channel>`: the path of the URL is the
    cluster, so that several may share one server.
    """

    def __init__(self, url: str) -> None:
        servers = [server.strip() for server in url.split(",")]
        self._prefix = PREFIX + (urlsplit(servers[0]).path.strip("/") or "main") + "."
        self._servers = [_without_path(server) for server in servers]
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client: Any = None

    async def open(self, node: str, hear: Hear, health: Health) -> None:
        self._hear, self._health = hear, health
        try:
            # It would try for ever.
            self._client = await asyncio.wait_for(nats.connect(self._servers, **self._settings()), CONNECT_TIMEOUT)
            for channel in (ALL, node):
                await self._client.subscribe(self._prefix + channel, cb=self._heard)
            for _ in range(2):  # a PING of nats-py overtakes what waits to be written: only the second tells
                await self._client.flush(CONNECT_TIMEOUT)
        except (NatsError, OSError, ValueError, TimeoutError) as error:
            raise ConfigError(f"--bus-url: the bus cannot be reached: {error or type(error).__name__}") from None
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._client is not None:
            with suppress(Exception):
                await asyncio.wait_for(self._client.close(), CLOSE_TIMEOUT)

    def send(self, channel: str, message: bytes) -> None:
        self._waiting.append((channel, message))
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                channel, message = self._waiting.popleft()
                try:
                    await self._client.publish(self._prefix + channel, message)
                except Exception as error:  # away for so long that its buffer is full: news of the moment
                    log.debug("not sent: %s", error)

    async def _heard(self, message: Msg) -> None:
        self._hear(message.data)

    async def _lost(self) -> None:
        log.warning("the bus is away")
        self._health(False)

    async def _found(self) -> None:
        self._health(True)

    async def _failed(self, error: Exception) -> None:
        log.debug("the bus: %s", error or type(error).__name__)

    def _settings(self) -> dict[str, Any]:
        secure = any(server.startswith("tls://") for server in self._servers)
        return {
            "connect_timeout": CONNECT_TIMEOUT, "reconnect_time_wait": RECONNECT_WAIT, "max_reconnect_attempts": -1,
            "ping_interval": PING, "max_outstanding_pings": PINGS_MISSED, "allow_reconnect": True,
            "disconnected_cb": self._lost, "reconnected_cb": self._found, "error_cb": self._failed,
            **({"tls": ssl.create_default_context()} if secure else {}),
        }  # fmt: skip


def _without_path(server: str) -> str:
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc}"
