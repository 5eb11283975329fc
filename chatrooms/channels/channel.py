"""A channel: one connection and the streams that are subscribed on it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import NamedTuple

from chatrooms import sse
from chatrooms.channels.subscription import Refusal
from chatrooms.clock import now_ms
from chatrooms.core.hub import Hub, closing
from chatrooms.core.outlet import Outlet
from chatrooms.core.shared import SharedStream
from chatrooms.core.stream import Stream
from chatrooms.core.topic import Topic
from chatrooms.rooms.rooms import DRAIN_RETRY_MS

LINGER = 30.0  # seconds that a connection without subscriptions stays open, so that some can be added
RESERVED = 20  # keys of one connection, kept for the users whose streams were ended without a token
KEPT = 1.0  # seconds that the member of a stream is expected which gives way to another of its key
REFUSED_RETRY_MS = (5000, 15000)


class Coming(NamedTuple):
    """A subscription that is about to be let in, by the task that does so; the user is "" where nobody was verified."""

    task: object
    user_id: str


class Channel:
    """One connection. `coming` holds, by key, who is about to be let in; the newest of a key counts.

    A key whose stream was ended by nobody in particular stays its user's: who has stolen the id could else
    end a stream and put one of their own under its key.
    """

    def __init__(self, id: str, outlet: Outlet, hub: Hub, heartbeat: float, on_closed: Callable[[], object]) -> None:
        self.id = id
        self.coming: dict[str, Coming] = {}
        self._outlet = outlet
        self._hub = hub
        self._heartbeat = heartbeat
        self._on_closed = on_closed
        self._reserved: dict[str, str] = {}
        self._welcomed = False
        self._passing = False
        self._ends_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        outlet.on_empty, outlet.on_closed = self.settle, self._closed

    @property
    def open(self) -> bool:
        return self._outlet.open

    @property
    def keys(self) -> set[str]:
        """Of the open streams, and of those that are coming."""
        return self._outlet.streams.keys() | self.coming.keys()

    def held_by_others(self, key: str, user_id: str) -> bool:
        """Whether a key is anybody's but that user's."""
        if self._reserved.get(key, user_id) != user_id:
            return True
        stream, coming = self._outlet.streams.get(key), self.coming.get(key)
        if stream is not None and stream.user_id != user_id:
            return True
        return coming is not None and coming.user_id not in ("", user_id)

    def is_coming(self, key: str, task: object) -> bool:
        """Whether that task still is the one which lets in who has the key."""
        coming = self.coming.get(key)
        return coming is not None and coming.task is task

    def make_way(self, key: str) -> None:
        """Ends the stream of a key without a word: the next one of that key begins with its own `system`."""
        self._reserved.pop(key, None)
        old = self._outlet.streams.pop(key, None)
        if old is not None:
            old.close(KEPT)

    def stream(self, key: str, topic: Topic, position: int) -> Stream:
        """A stream of a topic, to be opened by the hub."""
        self._welcomed = True
        self._stop_waiting()
        stream = SharedStream(self._hub, self._outlet, key, topic, position)
        stream.id = self.id
        return stream

    def refuse(self, key: str, refusal: Refusal) -> None:
        """Tells that a subscription is not to be had."""
        self._passing = self._passing or refusal.retry_after > 0
        self._outlet.say(refusal.event(key), b"sub: %b\n" % key.encode())

    def may_reserve(self) -> bool:
        """Whether one more key can be kept for its user."""
        return len(self._reserved) < RESERVED

    def remove(self, key: str, reserve: bool) -> None:
        """Ends the subscription of a key, if there is one; with `reserve` the key stays its user's."""
        coming, stream = self.coming.pop(key, None), self._outlet.streams.get(key)
        user_id = stream.user_id if stream else coming.user_id if coming else ""
        if reserve and user_id:
            self._reserved[key] = user_id
        if stream is not None:
            stream.finish(closing("unsubscribed", False))
        self.settle()

    def settle(self) -> None:
        """Looks whether anything is left: without streams it stays for a while, if it ever had one."""
        if self.coming or self._outlet.streams or not self._outlet.open or self._timer is not None:
            return
        if self._welcomed:
            self._ends_at = asyncio.get_running_loop().time() + LINGER
            self._wait()
        else:
            retry = random.randint(*REFUSED_RETRY_MS) if self._passing else None
            self._outlet.finish(closing("refused", self._passing, retry=retry))

    def end(self, reason: str) -> None:
        """Ends the connection, whose reader should come back elsewhere, and keeps the members for that time."""
        if not self._outlet.open:
            return
        retry = random.randint(*DRAIN_RETRY_MS)
        self._outlet.finish(closing(reason, True, retry=retry), retry / 1000)

    def _wait(self) -> None:
        left = self._ends_at - asyncio.get_running_loop().time()
        pause = min(left, self._heartbeat or left)
        self._timer = asyncio.get_running_loop().call_later(pause, self._beat)

    def _beat(self) -> None:
        """The heartbeats that no stream sends now."""
        if self.coming:  # it is not idle: somebody is being let in
            self._ends_at = asyncio.get_running_loop().time() + LINGER
        if asyncio.get_running_loop().time() >= self._ends_at:
            self._outlet.finish(closing("idle", False))
        else:
            self._outlet.say(sse.encode(b'{"timestamp":%d}' % now_ms(), "heartbeat"))
            self._wait()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _closed(self) -> None:
        self._stop_waiting()
        self._on_closed()
