"""Orders about streams on other nodes: replaced, left, extended.

Each is a durable event of the topic `control`, which every node applies: no request has to reach a particular
node, and no bus can lose one. None is written when the user is on no other node.
"""

from __future__ import annotations

import asyncio
import logging
import time

import msgspec

from chatrooms.identity import Identity
from chatrooms.limits import RateLimit
from chatrooms.log.event import CONTROL, Event
from chatrooms.log.log import Log
from chatrooms.rooms.rooms import Rooms, topic_of
from chatrooms.streams.hub import Hub, closing

REPLACED = "stream-replaced"
LEFT = "client-left"
EXTENDED = "streams-extended"
ORDERS = 60  # to leave or extend, per user in ORDER_PERIOD: each is a row of the log
ORDER_PERIOD = 10.0  # seconds

log = logging.getLogger(__name__)


class StreamOrder(msgspec.Struct, rename="camel", omit_defaults=True):
    """Which streams it is about, and which node gave it. Times are in seconds since 1970."""

    node: str
    user_id: str
    client_id: str
    room_id: str = ""
    session: str = ""
    username: str = ""  # empty for guests
    expires_at: float = 0.0
    given_at: float = 0.0


class OrderLog:
    """Writes this node's orders to the log."""

    def __init__(self, log: Log, node: str) -> None:
        self.node = node
        self._log = log
        self._writing: set[asyncio.Task[None]] = set()

    async def write(self, type: str, order: StreamOrder) -> None:
        """Returns when the order is durable. Raises Unavailable."""
        await self._log.append([Event(type, msgspec.json.encode(order), (CONTROL,))])

    def replaced(self, room_id: str, user_id: str, client_id: str) -> None:
        """Ends the same client's stream on other nodes, now that it has one here."""
        order = StreamOrder(self.node, user_id, client_id, room_id, given_at=time.time())
        writing = asyncio.create_task(self._try_to_write(REPLACED, order))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _try_to_write(self, type: str, order: StreamOrder) -> None:
        try:
            await self.write(type, order)
        except Exception as error:  # the old stream ends once its peer is found to be gone
            log.debug("an order was not written: %s", error)


class Orders:
    """Ends and extends streams on whatever node they are, and applies the orders of other nodes."""

    def __init__(self, orders: OrderLog, hub: Hub, rooms: Rooms) -> None:
        self._orders = orders
        self._hub = hub
        self._rooms = rooms
        self._node = orders.node
        self._rate = RateLimit(ORDERS, ORDER_PERIOD)

    async def leave(self, room_id: str, user_id: str, client_id: str) -> None:
        """Ends a client's streams in a room, on whatever node. Raises TooMany, Unavailable."""
        self._rooms.leave(room_id, user_id, client_id)
        if self._rooms.is_elsewhere(user_id, room_id):
            self._rate.spend(user_id)
            await self._orders.write(LEFT, StreamOrder(self._node, user_id, client_id, room_id))

    async def extend(self, who: Identity, client_id: str) -> bool:
        """Extends the streams of a user's client to the expiry of its new token; false when there are none.

        Raises TooMany, Unavailable.
        """
        found = self._rooms.extend(who, client_id) > 0
        if self._rooms.is_elsewhere(who.user_id):
            self._rate.spend(who.user_id)
            name = "" if who.guest else who.username or ""
            order = StreamOrder(
                self._node, who.user_id, client_id, session=who.session, username=name, expires_at=who.expires_at
            )
            await self._orders.write(EXTENDED, order)
            found = True
        return found

    def apply(self, event: Event) -> None:
        """Applies an order of another node; to be called with each event of the topic `control`."""
        if event.type not in (REPLACED, LEFT, EXTENDED):
            return
        order = msgspec.json.decode(event.data, type=StreamOrder)
        if order.node == self._node:
            return
        if event.type == REPLACED:
            stream = self._hub.stream_of(topic_of(order.room_id), order.user_id, order.client_id)
            # A stream opened here since then is the newer one.
            if stream is not None and stream.opened_at < order.given_at:
                stream.finish(closing("replaced", False))
        elif event.type == LEFT:
            self._rooms.leave(order.room_id, order.user_id, order.client_id)
        else:
            name = order.username or None
            self._rooms.extend(Identity(order.user_id, name, "user", order.expires_at, order.session), order.client_id)
