"""The bus over PostgreSQL's LISTEN and NOTIFY, on a connection of its own outside the pool."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from contextlib import suppress

import asyncpg

from chatrooms.cluster.bus.base import ALL, MAX_WAITING, Joiner, OnHealth, OnMessage, split
from chatrooms.errors import StartFailure

PREFIX = "chatrooms_"
MAX_PAYLOAD = 7_999  # bytes that a NOTIFY takes
BATCH = 500  # notifications in one statement
PING = 5.0  # seconds between two pings: nothing else detects a dead connection
TIMEOUT = 3.0  # seconds for one statement, or a connection
RETRY = (0.1, 2.0)  # seconds until the next try to connect, the first and the longest

log = logging.getLogger(__name__)


class PostgresBus:
    """One connection that listens and notifies; it is renewed when it ends."""

    carries_events = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()
        self._joiner = Joiner()
        self._numbers = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None
        self._closing = False

    async def open(self, node: str, on_message: OnMessage, on_health: OnHealth) -> None:
        self._node, self._deliver, self._on_health = node, on_message, on_health
        try:
            self._connection = await self._connect()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, TimeoutError) as error:
            raise StartFailure(f"the bus cannot be reached: {error or type(error).__name__}") from None
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        self._closing = True
        self._wake.set()
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, TIMEOUT)
        if self._connection is not None:
            self._connection.terminate()

    def send(self, channel: str, message: bytes) -> None:
        self._waiting.append((channel, message))
        self._wake.set()

    async def _run(self) -> None:
        """Sends waiting messages, with a new connection whenever the previous one has ended."""
        while not self._closing:
            try:
                await self._work()
            except Exception as error:
                if self._closing:
                    return
                log.warning("the bus is away: %s", error or type(error).__name__)
                self._on_health(False)
                await self._reconnect()

    async def _work(self) -> None:
        connection = self._connection
        assert connection is not None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PING):
                    await self._wake.wait()
            self._wake.clear()
            if connection.is_closed():
                raise ConnectionError("the connection has ended")
            if not self._waiting:
                await connection.execute("select 1")
            while self._waiting:
                await self._notify(connection)
            if self._closing:
                return

    async def _notify(self, connection: asyncpg.Connection) -> None:
        channels: list[str] = []
        payloads: list[str] = []
        while self._waiting and len(channels) < BATCH:
            channel, message = self._waiting.popleft()
            # Equal payloads of one transaction would be told once: the number makes each its own.
            for part in split(message, f"{self._node}-{next(self._numbers)}", MAX_PAYLOAD):
                channels.append(PREFIX + channel)
                payloads.append(part.decode())
        sql = "select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) as t (channel, payload)"
        await connection.execute(sql, channels, payloads)

    async def _reconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        delay, longest = RETRY
        while not self._closing:
            await asyncio.sleep(delay)
            try:
                self._connection = await self._connect()
            except Exception as error:
                log.debug("the bus is still away: %s", error)
                delay = min(2 * delay, longest)
            else:
                self._wake.set()
                self._on_health(True)
                return

    async def _connect(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self._url, timeout=TIMEOUT, command_timeout=TIMEOUT,
            # Nothing sent here has to survive a crash, so there is no waiting for the disk.
            server_settings={"application_name": "chatrooms bus", "synchronous_commit": "off"},
        )  # fmt: skip
        connection.add_termination_listener(lambda _: self._wake.set())
        for channel in (ALL, self._node):
            await connection.add_listener(PREFIX + channel, self._on_message)
        return connection

    def _on_message(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        try:
            message = self._joiner.join(payload.encode())
        except ValueError:
            log.warning("ignored a message on the bus that is not from chatrooms")
            return
        if message is not None:
            self._deliver(message)
