"""The pulse: what happens to streams by the clock — heartbeats, expiry, write deadlines."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable

from chatrooms.clock import now_ms
from chatrooms.core.encoding import Encoding
from chatrooms.core.stream import Stream
from chatrooms.listeners import tell

UNHEARD = 1.5  # heartbeats without an acknowledgement after which a peer is gone: seen at the second
MIN_UNHEARD = 2.0  # seconds; networks may be slow
TICK = 0.25  # seconds between looks at the clock
WARNING = 60.0  # seconds before its end that a stream is told (section 3, token-expiring)


class Pulse:
    """Beats for every stream that was added.

    Each stream gets its heartbeat at its own phase, so that those that opened together (after a
    restart, say) do not beat together.
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
        self._phases: list[list[Stream]] = [[] for _ in range(max(1, round(heartbeat / self._tick)))]
        self._phase = 0
        self._due: dict[int, list[Stream]] = {}
        self._due_from = math.floor(clock())
        self._stalled: set[Stream] = set()
        self._next = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        # After a pause of the process, what was missed is not made up for.
        self._next = max(self._next + self._tick, self._loop.time())
        self._timer = self._loop.call_at(self._next, self._on_tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(self, stream: Stream) -> None:
        """Takes a stream that has started."""
        if self._heartbeat:
            random.choice(self._phases).append(stream)
        self.schedule(stream)

    def schedule(self, stream: Stream, extended: bool = False) -> None:
        """Looks at the stream when its warning or its end is due; to be called when that moved.

        One that was just extended by a short token is warned after half of it: at once, the
        answer to a warning would bring the next.
        """
        if stream.expires_at:
            left = stream.expires_at - self._clock()
            warning = left / 2 if extended else WARNING
            due = stream.expires_at if stream.warned else stream.expires_at - min(WARNING, warning)
            if due <= self._clock():
                self._loop.call_soon(self._expire, stream)
            else:
                self._due.setdefault(max(math.ceil(due), self._due_from), []).append(stream)

    def stalled(self, stream: Stream) -> None:
        """Ends the stream if its socket takes nothing for `write_timeout`."""
        self._stalled.add(stream)

    def _on_tick(self) -> None:
        self.start()
        if self._heartbeat:
            self._beat()
        if self._stalled:
            self._end_stalled()
        now = math.floor(self._clock())
        while self._due_from <= now:
            for stream in self._due.pop(self._due_from, ()):
                tell(self._expire, stream)
            self._due_from += 1

    def _beat(self) -> None:
        self._phase = (self._phase + 1) % len(self._phases)
        streams = self._phases[self._phase]
        if not streams:
            return
        beat = {"timestamp": now_ms()}
        frames: dict[Encoding, bytes] = {}
        longest = max(MIN_UNHEARD, UNHEARD * self._heartbeat)
        for stream in streams:
            if stream.unheard(longest):
                stream.abandon()
            else:
                encoding = stream.topic.encoding
                frame = frames[encoding] = frames.get(encoding) or encoding.signal("heartbeat", beat)
                stream.write(frame)
        streams[:] = [stream for stream in streams if stream.open]

    def _end_stalled(self) -> None:
        limit = self._loop.time() - self._write_timeout
        for stream in list(self._stalled):
            if not stream.open or not stream.stalled_at:
                self._stalled.discard(stream)
            elif self._write_timeout and stream.stalled_at <= limit:
                stream.abandon()

    def _expire(self, stream: Stream) -> None:
        left = stream.expires_at - self._clock()
        if not stream.open or left > WARNING:
            return  # ended, or extended: then it was scheduled anew
        if left <= 0:
            self._on_expired(stream)
        elif not stream.warned:
            stream.warned = True
            self._on_expiring(stream)
            self.schedule(stream)
