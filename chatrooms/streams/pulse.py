"""The pulse: what the clock does to streams — heartbeats, expiry, write deadlines."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable

from chatrooms.clock import now_ms
from chatrooms.streams.encoding import Encoding
from chatrooms.streams.stream import Stream

UNHEARD = 1.5  # heartbeats without an acknowledgement after which a peer is gone: noticed at the second
MIN_UNHEARD = 2.0  # seconds; networks may be slow
TICK = 0.25  # seconds between checks of the clock
WARNING = 60.0  # seconds before its end that a stream is warned (section 3, token-expiring)


class Pulse:
    """Beats for every added stream.

    Each stream has a heartbeat phase of its own, so that those that opened together (after a restart,
    say) do not beat together. Streams hold their places here themselves (`phase`, `due`), so that an
    ended one is let go at once, however many there are and however long its token lasts.
    """

    def __init__(
        self,
        heartbeat: float,
        write_timeout: float,
        on_expiring: Callable[[Stream], None],
        on_expired: Callable[[Stream], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._heartbeat = heartbeat
        self._write_timeout = write_timeout
        self._on_expiring = on_expiring
        self._on_expired = on_expired
        self._tick = min(TICK, heartbeat / 4) if heartbeat else TICK
        self._phases: list[dict[Stream, None]] = [{} for _ in range(max(1, round(heartbeat / self._tick)))]
        self._phase = 0
        self._due: dict[int, dict[Stream, None]] = {}
        self._due_from = math.floor(clock())
        self._stalled: set[Stream] = set()
        self._next = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        # After a pause of the process, missed beats are not made up for.
        self._next = max(self._next + self._tick, self._loop.time())
        self._timer = self._loop.call_at(self._next, self._on_tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(self, stream: Stream) -> None:
        """Takes a stream that has started."""
        if self._heartbeat:
            stream.phase = random.randrange(len(self._phases))
            self._phases[stream.phase][stream] = None
        self.schedule(stream)

    def remove(self, stream: Stream) -> None:
        """Lets go of a stream that has ended. Harmless for one that was never added."""
        self._phases[stream.phase].pop(stream, None)
        self._stalled.discard(stream)
        self._unschedule(stream)

    def schedule(self, stream: Stream, extended: bool = False) -> None:
        """Checks the stream when its warning or its end is due; call it when that has moved.

        One just extended by a short token is warned after half of it: warned at once, it would answer
        with an extension that brings the next warning.
        """
        self._unschedule(stream)
        if stream.expires_at:
            left = stream.expires_at - self._clock()
            warning = left / 2 if extended else WARNING
            due = stream.expires_at if stream.warned else stream.expires_at - min(WARNING, warning)
            if due <= self._clock():
                self._loop.call_soon(self._each, (stream,), self._expire)
            else:
                stream.due = max(math.ceil(due), self._due_from)
                self._due.setdefault(stream.due, {})[stream] = None

    def stalled(self, stream: Stream) -> None:
        """Ends the stream if its socket takes nothing for `write_timeout`."""
        self._stalled.add(stream)

    def _unschedule(self, stream: Stream) -> None:
        streams = self._due.get(stream.due)
        if streams is not None:
            streams.pop(stream, None)
            if not streams:
                del self._due[stream.due]

    def _on_tick(self) -> None:
        self.start()
        if self._heartbeat:
            self._beat()
        if self._stalled:
            self._end_stalled()
        now = math.floor(self._clock())
        while self._due_from <= now:
            self._each(self._due.pop(self._due_from, ()), self._expire)
            self._due_from += 1

    def _each(self, streams: Iterable[Stream], act: Callable[[Stream], None]) -> None:
        """Calls `act` on each; a stream for which it fails is ended, and the others never notice."""
        for stream in streams:
            try:
                act(stream)
            except Exception as error:
                stream.fail(error)

    def _beat(self) -> None:
        self._phase = (self._phase + 1) % len(self._phases)
        beat = {"timestamp": now_ms()}
        frames: dict[Encoding, bytes] = {}
        longest = max(MIN_UNHEARD, UNHEARD * self._heartbeat)

        def give(stream: Stream) -> None:
            if stream.unheard(longest):
                stream.abandon()
            else:
                encoding = stream.topic.encoding
                frame = frames[encoding] = frames.get(encoding) or encoding.signal("heartbeat", beat)
                stream.write(frame)

        self._each(list(self._phases[self._phase]), give)

    def _end_stalled(self) -> None:
        limit = self._loop.time() - self._write_timeout

        def look(stream: Stream) -> None:
            if not stream.open or not stream.stalled_at:
                self._stalled.discard(stream)
            elif self._write_timeout and stream.stalled_at <= limit:
                stream.abandon()

        self._each(list(self._stalled), look)

    def _expire(self, stream: Stream) -> None:
        left = stream.expires_at - self._clock()
        if not stream.open or left > WARNING:
            return  # ended; or extended, and so scheduled anew
        if left <= 0:
            self._on_expired(stream)
        elif not stream.warned:
            stream.warned = True
            self._on_expiring(stream)
            self.schedule(stream)
