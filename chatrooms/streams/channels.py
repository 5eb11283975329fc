"""A channel: one connection and the streams subscribed on it."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from chatrooms import sse
from chatrooms.clock import now_ms
from chatrooms.errors import Conflict, Problem, Unavailable
from chatrooms.identity import Identity
from chatrooms.options import Options
from chatrooms.streams.encoding import Encoding
from chatrooms.streams.hub import RETRY_AFTER, Hub, closing
from chatrooms.streams.opening import AWAY_RETRY_MS, SOFT_RETRY_MS, Fields, MakeStream, Opener
from chatrooms.streams.shared import ChannelIds, Outlet, SharedStream, label_of
from chatrooms.streams.stream import Stream
from chatrooms.streams.topic import Topic

MAX_SUBSCRIPTIONS = 20  # per connection, including those still being opened
LINGER = 30.0  # seconds that a connection without subscriptions stays open for new ones
RESERVED = 20  # keys per connection kept for users whose streams were ended without a token
KEPT = 1.0  # seconds that a member is held while their stream gives way to another of its key

log = logging.getLogger(__name__)


class Coming(NamedTuple):
    """A subscription being opened, and the task that opens it; the user is "" if nobody was verified."""

    task: object
    user_id: str


class Channel:
    """One connection. `coming` holds, by key, the subscriptions being opened; the newest of a key counts.

    A key whose stream was ended without a token stays its user's: otherwise a thief of the id could end
    a stream and put one of their own under its key.
    """

    def __init__(
        self, id: str, sock: socket.socket, head: bytes, hub: Hub, heartbeat: float, on_closed: Callable[[], object]
    ) -> None:
        self.id = id
        self.coming: dict[str, Coming] = {}
        self._outlet = Outlet(sock, head, hub.write_timeout, self.settle, self._closed)
        self._hub = hub
        self._heartbeat = heartbeat
        self._on_closed = on_closed
        self._reserved: dict[str, str] = {}
        self._welcomed = False
        self._transient = False
        self._ends_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts watching for the peer's end."""
        self._outlet.start()

    @property
    def open(self) -> bool:
        return self._outlet.open

    @property
    def idle(self) -> bool:
        """Whether it carries no stream, and none is being opened."""
        return not (self.coming or self._outlet.streams)

    def takes(self, key: str) -> bool:
        """Whether a subscription of that key still fits."""
        keys = self._outlet.streams.keys() | self.coming.keys()
        return key in keys or len(keys) < MAX_SUBSCRIPTIONS

    def held_by_others(self, key: str, user_id: str) -> bool:
        """Whether anybody but that user holds a key."""
        if self._reserved.get(key, user_id) != user_id:
            return True
        stream, coming = self._outlet.streams.get(key), self.coming.get(key)
        if stream is not None and stream.user_id != user_id:
            return True
        return coming is not None and coming.user_id not in ("", user_id)

    def is_coming(self, key: str, task: object) -> bool:
        """Whether that task is still the newest to open the key."""
        coming = self.coming.get(key)
        return coming is not None and coming.task is task

    def make_way(self, key: str) -> None:
        """Ends the stream of a key silently: the next one of that key begins with its own `system`."""
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

    def answer(self) -> None:
        """Lets the client know the connection's id, though the streams on it may be silent."""
        self._outlet.send_head()

    def refuse(self, key: str, refusal: Refusal) -> None:
        """Reports that a subscription is refused."""
        self._transient |= refusal.retry_after > 0
        self._outlet.send_event(refusal.event(key), label_of(key))

    def say_ended(self, key: str, encoding: Encoding) -> None:
        """Reports that nothing follows, to a reader that has seen the end."""
        self._welcomed = True
        self._outlet.send_event(encoding.signal("closing", {"reason": "ended", "reconnect": False}), label_of(key))

    def may_reserve(self) -> bool:
        """Whether one more key can be kept for its user."""
        return len(self._reserved) < RESERVED

    def remove(self, key: str, reserve: bool) -> None:
        """Ends the subscription of a key, if any; with `reserve` the key stays its user's."""
        coming, stream = self.coming.pop(key, None), self._outlet.streams.get(key)
        user_id = stream.user_id if stream else coming.user_id if coming else ""
        if reserve and user_id:
            self._reserved[key] = user_id
        if stream is not None:
            stream.end("unsubscribed", False)
        self.settle()

    def settle(self) -> None:
        """Checks whether anything is left: without streams it stays for a while, if it ever had one."""
        if not self.idle or not self._outlet.open or self._timer is not None:
            return
        if self._welcomed:
            self._ends_at = asyncio.get_running_loop().time() + LINGER
            self._wait()
        else:
            retry = random.randint(*SOFT_RETRY_MS) if self._transient else None
            self._outlet.finish(closing("refused", self._transient, retry=retry))

    def end(self, reason: str) -> None:
        """Ends the connection, whose reader should come back elsewhere, and holds its members for that time."""
        if not self._outlet.open:
            return
        retry = random.randint(*AWAY_RETRY_MS)
        self._outlet.finish(closing(reason, True, retry=retry), retry / 1000)

    def _wait(self) -> None:
        left = self._ends_at - asyncio.get_running_loop().time()
        pause = min(left, self._heartbeat or left)
        self._timer = asyncio.get_running_loop().call_later(pause, self._beat)

    def _beat(self) -> None:
        """Sends the heartbeats that no stream sends now."""
        if self.coming:  # not idle: a subscription is being opened
            self._ends_at = asyncio.get_running_loop().time() + LINGER
        if asyncio.get_running_loop().time() >= self._ends_at:
            self._outlet.finish(closing("idle", False))
        else:
            self._outlet.send_event(sse.encode(b'{"timestamp":%d}' % now_ms(), "heartbeat"))
            self._wait()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _closed(self) -> None:
        self._stop_waiting()
        self._on_closed()


class Channels:
    """All channels by id."""

    def __init__(self, hub: Hub, opener: Opener, ids: ChannelIds, options: Options) -> None:
        self._hub = hub
        self._opener = opener
        self._ids = ids
        self._heartbeat: float = options.heartbeat
        self._most: int = options.max_streams
        self._channels: dict[str, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """The number of open connections."""
        return len(self._channels)

    def get(self, id: str) -> Channel | None:
        return self._channels.get(id)

    def check_open(self) -> None:
        """Raises Unavailable when no more connections are accepted."""
        self._hub.check_draining()
        if self._most and len(self._channels) >= self._most:
            raise Unavailable("full", "The server is full.", RETRY_AFTER)

    def new_id(self) -> str:
        """An id for a channel to be opened."""
        return self._ids.new()

    def open(self, id: str, sock: socket.socket, head: bytes, wanted: Sequence[Subscription]) -> None:
        """Makes a socket the channel of that id, with these subscriptions. `head` is the response head."""
        channel = Channel(id, sock, head, self._hub, self._heartbeat, partial(self._channels.pop, id, None))
        self._channels[id] = channel
        channel.start()
        self.add(channel, wanted)

    def add(self, channel: Channel, wanted: Sequence[Subscription]) -> None:
        """Starts opening subscriptions: each is answered in the stream, by `system` or `refused`."""
        for subscription in wanted:
            key, who = subscription.key, subscription.who
            if not channel.takes(key):
                sentence = f"A connection carries at most {MAX_SUBSCRIPTIONS} subscriptions."
                channel.refuse(key, Refusal.of(Conflict("too-many-subscriptions", sentence)))
                continue
            task = asyncio.create_task(self._subscribe(channel, subscription))
            channel.coming[key] = Coming(task, who.user_id if who else "")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def end(self, reason: str) -> None:
        """Ends all remaining channels."""
        for channel in list(self._channels.values()):
            channel.end(reason)

    def end_idle(self, reason: str) -> None:
        """Ends the channels that carry no stream."""
        for channel in list(self._channels.values()):
            if channel.idle:
                channel.end(reason)

    async def _subscribe(self, channel: Channel, subscription: Subscription) -> None:
        key, me = subscription.key, asyncio.current_task()
        refusal = None
        try:
            await self._open(channel, subscription)
        except Problem as problem:
            refusal = Refusal.of(problem)
        except Exception:
            log.exception("a subscription failed")
            refusal = Refusal(500, "internal", "Something went wrong on the server.", 0.0)
        if channel.is_coming(key, me):
            del channel.coming[key]
            if refusal is not None:
                channel.refuse(key, refusal)
            channel.answer()
            channel.settle()

    async def _open(self, channel: Channel, subscription: Subscription) -> None:
        key, who, me = subscription.key, subscription.who, asyncio.current_task()
        if subscription.refusal is not None:
            raise subscription.refusal.problem()
        assert who is not None
        kind = self._opener.kind(subscription.family, who, subscription.fields)

        def connect() -> tuple[MakeStream, bytes] | None:
            if not channel.is_coming(key, me) or not channel.open:
                return None  # removed or replaced while it was checked
            channel.make_way(key)
            return partial(channel.stream, key), b""

        await self._opener.admission.place()
        if not channel.open:
            return
        if not await self._opener.open(kind, subscription.position, connect) and channel.is_coming(key, me):
            channel.make_way(key)
            channel.say_ended(key, kind.encoding)


class Refusal(NamedTuple):
    """Why a subscription is refused; `retry_after` in seconds, 0 if waiting does not help."""

    status: int
    code: str
    sentence: str
    retry_after: float

    @classmethod
    def of(cls, problem: Problem) -> Refusal:
        return cls(problem.status, problem.code, problem.sentence, problem.retry_after or 0.0)

    def problem(self) -> Problem:
        """The same as a Problem, to raise."""
        problem = Problem(self.code, self.sentence, self.retry_after)
        problem.status = self.status
        return problem

    def event(self, key: str) -> bytes:
        """The `refused` event of a stream with several subscriptions."""
        data = {"key": key, "status": self.status, "code": self.code, "error": self.sentence}
        data |= {"retryAfter": self.retry_after} if self.retry_after else {}
        return sse.encode(msgspec.json.encode(data), "refused")


class Subscription(NamedTuple):
    """A stream of a family, wanted on a connection under a key, from a position ("" for none).

    `who` is its verified reader, or `refusal` says why there is none.
    """

    key: str
    family: str
    fields: Fields
    position: str
    who: Identity | None
    refusal: Refusal | None = None
