"""Channels: the connections of this process that carry several streams, and changes to their sets."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from functools import partial

from chatrooms.channels.channel import Channel, Coming
from chatrooms.channels.ids import ChannelIds
from chatrooms.channels.subscription import Refusal, Subscription
from chatrooms.core.hub import RETRY_AFTER, Hub
from chatrooms.core.outlet import Outlet
from chatrooms.errors import Conflict, Problem, Unavailable
from chatrooms.options import Options
from chatrooms.rooms.entrance import Entrance
from chatrooms.rooms.rooms import Rooms

MAX_SUBSCRIPTIONS = 20  # on one connection, those that are about to be let in included

_TOO_MANY = f"A connection carries {MAX_SUBSCRIPTIONS} subscriptions at most."

log = logging.getLogger(__name__)


class Channels:
    """All channels by id."""

    def __init__(self, hub: Hub, rooms: Rooms, entrance: Entrance, ids: ChannelIds, options: Options) -> None:
        self._hub = hub
        self._rooms = rooms
        self._entrance = entrance
        self._ids = ids
        self._heartbeat: float = options.heartbeat
        self._most: int = options.max_streams
        self._channels: dict[str, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._channels)

    def get(self, id: str) -> Channel | None:
        return self._channels.get(id)

    def check_open(self) -> None:
        """Raises Unavailable when no more connections are taken."""
        self._hub.check_draining()
        if self._most and len(self._channels) >= self._most:
            raise Unavailable("full", "The server is full.", RETRY_AFTER)

    def open(self, sock: socket.socket, head: bytes, wanted: Sequence[Subscription]) -> None:
        """Makes a socket a channel with these subscriptions. `head` is the response head."""
        outlet = Outlet(sock, head, self._hub.write_timeout)
        id = self._ids.new()
        channel = Channel(id, outlet, self._hub, self._heartbeat, partial(self._channels.pop, id, None))
        self._channels[id] = channel
        outlet.start()
        self.add(channel, wanted)

    def add(self, channel: Channel, wanted: Sequence[Subscription]) -> None:
        """Begins to let in subscriptions: each is answered in the stream, by `system` or `refused`."""
        for subscription in wanted:
            key, who = subscription.key, subscription.who
            if key not in channel.keys and len(channel.keys) >= MAX_SUBSCRIPTIONS:
                channel.refuse(key, Refusal.of(Conflict("too-many-subscriptions", _TOO_MANY)))
                continue
            task = asyncio.create_task(self._subscribe(channel, subscription))
            channel.coming[key] = Coming(task, who.user_id if who else "")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def end(self, reason: str) -> None:
        """Ends all that are left."""
        for channel in list(self._channels.values()):
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
            channel.settle()

    async def _open(self, channel: Channel, subscription: Subscription) -> None:
        """Lets one in, as GET /events does. Other families of streams have their place here."""
        key, wish, who, refusal = subscription
        if refusal is not None:
            raise refusal.problem()
        assert who is not None
        seat = self._entrance.seat(who, wish)
        start = await self._entrance.start(who, seat, wish)
        await self._entrance.admit(who, seat)
        if not channel.is_coming(key, asyncio.current_task()) or not channel.open:
            return  # taken back, or given anew, while it was looked at
        channel.make_way(key)
        self._rooms.open(partial(channel.stream, key), seat, start)
