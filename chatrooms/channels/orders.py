"""Changes to channels that another node has, as durable events of the topic `control`.

Nothing is sticky: a call about a channel may come to any node. Its id names the node that has it; the
one that is asked verifies who subscribes and passes on identities, never tokens or tickets.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chatrooms.channels.channels import Channels
from chatrooms.channels.subscription import Subscription
from chatrooms.core.hub import Hub
from chatrooms.errors import NotFound
from chatrooms.event import CONTROL, Event
from chatrooms.storage import presence as stored
from chatrooms.storage.database import Database
from chatrooms.storage.log import Log

CHANGED = "subscriptions-changed"


class Order(msgspec.Struct, rename="camel", omit_defaults=True):
    """What to add to a channel and what to remove; nodes that do not have it let it pass."""

    channel: str
    add: tuple[Subscription, ...] = ()
    remove: str = ""


class ChannelOrders:
    """Changes the set of a channel, on whatever node it is."""

    def __init__(self, log: Log, hub: Hub, channels: Channels, database: Database) -> None:
        self._log = log
        self._channels = channels
        self._database = database
        hub.listen(CONTROL, self._obey)

    async def check(self, id: str) -> None:
        """Raises NotFound for a channel that cannot exist, Unavailable without the database."""
        if self._channels.get(id) is None and not await self._on_another_node(id):
            raise NotFound("not-found", "There is no such stream.")

    async def add(self, id: str, wanted: Sequence[Subscription]) -> None:
        """Adds subscriptions: each is answered in the stream. Raises Unavailable."""
        await self._give(Order(id, add=tuple(wanted)))

    async def remove(self, id: str, key: str) -> None:
        """Ends the subscription of a key, if there is one. Raises Unavailable."""
        await self._give(Order(id, remove=key))

    async def _on_another_node(self, id: str) -> bool:
        node = id.partition(".")[0]
        return self._database.shared and node in await stored.nodes(self._database)

    async def _give(self, order: Order) -> None:
        if self._channels.get(order.channel) is not None:
            self._follow(order)
        else:
            await self._log.append([Event(CHANGED, msgspec.json.encode(order), (CONTROL,))])

    def _obey(self, event: Event) -> None:
        if event.type == CHANGED:
            self._follow(msgspec.json.decode(event.data, type=Order))

    def _follow(self, order: Order) -> None:
        channel = self._channels.get(order.channel)
        if channel is None:
            return
        if order.remove:
            channel.remove(order.remove)
        self._channels.add(channel, order.add)
