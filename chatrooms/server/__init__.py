"""One server: how it starts, drains and stops."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path

from chatrooms.cluster.bus.base import Worker
from chatrooms.options import Options
from chatrooms.server.housekeeping import run_housekeeping
from chatrooms.server.parts import Parts

SHARE = 1.0  # seconds between two times that a worker publishes its metrics and counts to the others
WATCH = 0.5  # seconds between two checks for changes by other programs
LAST_CHORE = 5.0  # seconds a housekeeping chore may still take when the server stops
DRAIN_STEP = 0.05  # seconds between two batches of streams that are ended in a drain

log = logging.getLogger(__name__)


class Server(Parts):
    """A server that starts once, drains and stops. Raises ConfigError as Parts does."""

    def __init__(self, options: Options, data_dir: Path | None, worker: Worker | None = None) -> None:
        super().__init__(options, data_dir, worker)
        self.ready = False
        self.draining = False
        self._starting: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Opens everything and begins to serve; harmless when already started.

        Raises ConfigError; StartFailure or Unavailable when the database or the bus does not answer: try again.
        """
        if self.ready:
            return
        starting = self._starting = self._starting or asyncio.create_task(self._start())
        try:
            await asyncio.shield(starting)
        except Exception:
            if self._starting is starting:
                self._starting = None
            raise

    async def _start(self) -> None:
        await self.open()
        log.info("%s", self.options.which_defaults)
        self._tasks = [asyncio.create_task(run_housekeeping(self)), asyncio.create_task(self._watch_database())]
        if self._worker is not None:
            self._tasks.append(asyncio.create_task(self._share_figures()))
        self.ready = True

    async def drain(self) -> None:
        """Asks every reader to reconnect elsewhere or later, spread over the drain time.

        Replies have that time to finish, and connections that carry nothing else stay open for them.
        """
        if not self.ready:
            return
        self.draining = self.hub.draining = True
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self.options.drain
        if self.ingest is not None:
            await self.ingest.pause()
        await self._send_away()
        while loop.time() < ends_at and (self.replies.running or self.hub.streams):
            await asyncio.sleep(DRAIN_STEP)
            self.channels.end_idle("draining")

    async def _send_away(self) -> None:
        """Ends all streams but those of replies, a batch at a time."""
        streams = [stream for stream in self.hub.streams if stream.topic.in_log]
        random.shuffle(streams)
        steps = max(1, int(self.options.drain / DRAIN_STEP))
        batch = -(-len(streams) // steps) if streams else 0
        for start in range(0, len(streams), max(1, batch)):
            for stream in streams[start : start + batch]:
                channel = self.channels.get(stream.id)
                if channel is None:
                    self.opener.send_away(stream, "draining")
                else:  # with all its streams
                    channel.end("draining")
            await asyncio.sleep(DRAIN_STEP)

    async def stop(self) -> None:
        """Ends the remaining streams, commits pending writes, and releases the data folder."""
        if self.ready:
            self.ready = False
            self.draining = self.hub.draining = True  # a stream that is on its way must not open after the others ended
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=LAST_CHORE)  # or the database would be closed under one
            self.channels.end("draining")
            for stream in list(self.hub.streams):
                if stream.topic.in_log:  # replies end first, and their streams with them
                    stream.end("draining", True)
        await self.close()

    async def _share_figures(self) -> None:
        while True:
            self.metrics.share()
            self.stream_stats.share()
            await asyncio.sleep(SHARE)

    async def _watch_database(self) -> None:
        """Notices changes that other programs, such as `chatrooms user disable`, make to the database."""
        while True:
            await asyncio.sleep(WATCH)
            try:
                changed = await self.database.changed_elsewhere()
                if changed:
                    self.outbox.wake()
                if changed or self.authenticator.stale:
                    await self.authenticator.reload()
            except Exception as error:
                log.debug("the database cannot be watched: %s", error)
