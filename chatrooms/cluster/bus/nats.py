"""The bus over NATS subjects."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from chatrooms.cluster.bus.base import ALL, MAX_WAITING, OnHealth, OnMessage, OnPublished
from chatrooms.errors import ConfigError, StartFailure
from chatrooms.logs import notify

PREFIX = "chatrooms."
CONNECT_TIMEOUT = 3.0
RECONNECT_WAIT = 0.2  # seconds between two attempts at one server
PING = 5.0  # seconds between two signs of life
PINGS_MISSED = 2
CLOSE_TIMEOUT = 2.0
UNREACHABLE = (NatsError, OSError, ValueError, TimeoutError)

Callback = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


class NatsBus:
    """One connection to any of several servers: `nats://user:password@one:4222,nats://two:4222`.

    `tls://` asks for TLS. Subjects are `chatrooms.<cluster>.<channel>`: the path of the URL is the
    cluster, so that several may share one server.
    """

    carries_events = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = prefix_of(url)
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client: Any = None
        self._closing = False

    async def open(self, node: str, on_message: OnMessage, on_health: OnHealth) -> None:
        self._deliver, self._on_health = on_message, on_health
        try:
            self._client = await connect(self._url, self._on_disconnected, self._on_reconnected)
            for channel in (ALL, node):
                await self._client.subscribe(self._prefix + channel, cb=self._on_message)
            await settle(self._client)
        except UNREACHABLE as error:
            kind = ConfigError if isinstance(error, ValueError) else StartFailure
            raise kind(f"--bus-url: the bus cannot be reached: {error or type(error).__name__}") from None
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        self._closing = True
        if self._task is not None:
            self._task.cancel()
        await disconnect(self._client)

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

    async def _on_message(self, message: Msg) -> None:
        notify(self._deliver, message.data)

    async def _on_disconnected(self) -> None:
        if not self._closing:
            log.warning("the bus is away")
            self._on_health(False)

    async def _on_reconnected(self) -> None:
        self._on_health(True)


async def connect(url: str, lost: Callback, found: Callback) -> Any:
    """A connection to one of the servers, renewed whenever it ends. Raises one of UNREACHABLE."""
    servers = [_without_path(server) for server in _servers(url)]
    secure = any(server.startswith("tls://") for server in servers)
    failures: list[Exception] = []

    async def failed(error: Exception) -> None:
        failures.append(error)
        log.debug("NATS: %s", error or type(error).__name__)

    connecting = nats.connect(
        servers, connect_timeout=CONNECT_TIMEOUT, reconnect_time_wait=RECONNECT_WAIT, max_reconnect_attempts=-1,
        ping_interval=PING, max_outstanding_pings=PINGS_MISSED, allow_reconnect=True,
        disconnected_cb=lost, reconnected_cb=found, error_cb=failed,
        **({"tls": ssl.create_default_context()} if secure else {}),
    )  # fmt: skip
    trying = asyncio.create_task(connecting)  # it would retry forever
    await asyncio.wait([trying], timeout=CONNECT_TIMEOUT)
    while not trying.done():  # one `cancel` may get lost in nats-py, when it has just failed again
        trying.cancel()
        await asyncio.wait([trying], timeout=RECONNECT_WAIT)
    if not trying.cancelled():
        return trying.result()
    # A refusal says more than the broken pipe that follows it.
    telling = [error for error in failures if isinstance(error, NatsError | ssl.SSLError)] or failures
    raise telling[-1] if telling and isinstance(telling[-1], UNREACHABLE) else TimeoutError


async def settle(client: Any) -> None:
    """Returns when the server knows of all subscriptions so far."""
    for _ in range(2):  # a PING of nats-py overtakes what waits to be written: only the second tells
        await client.flush(CONNECT_TIMEOUT)


async def disconnect(client: Any) -> None:
    """Ends a connection; harmless when there is none."""
    if client is not None:
        with suppress(Exception):
            await asyncio.wait_for(client.close(), CLOSE_TIMEOUT)


def prefix_of(url: str) -> str:
    """What the subjects of a cluster begin with: `chatrooms.<cluster>.`."""
    return PREFIX + (urlsplit(_servers(url)[0]).path.strip("/") or "main") + "."


def _servers(url: str) -> list[str]:
    return [server.strip() for server in url.split(",")]


def _without_path(server: str) -> str:
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc}"


GROUP = "ingest"


class NatsIntake:
    """A connection of its own, so that incoming messages cannot hold up the bus.

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

    async def open(self, on_published: OnPublished) -> None:
        """Begins to take messages. Raises StartFailure when the server cannot be reached."""
        self._deliver = on_published
        try:
            self._client = await connect(self._url, self._on_disconnected, self._on_reconnected)
            group = prefix_of(self._url) + GROUP
            self._subscription = await self._client.subscribe(self._subject, queue=group, cb=self._on_message)
            await settle(self._client)
        except UNREACHABLE as error:
            kind = ConfigError if isinstance(error, ValueError) else StartFailure
            raise kind(f"--nats-ingest: NATS cannot be reached: {error or type(error).__name__}") from None

    async def pause(self) -> None:
        """Takes no further messages after those already received; answers can still be given."""
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

    async def _on_message(self, message: Msg) -> None:
        notify(self._deliver, message.data, lambda answer: self._answer(message, answer))

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

    async def _on_disconnected(self) -> None:
        if not self._closing:
            log.warning("NATS is away: what is published on %s is lost", self._subject)

    async def _on_reconnected(self) -> None:
        log.info("NATS is back")
