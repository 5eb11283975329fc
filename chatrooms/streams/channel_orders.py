"""Changes to channels that another node has, as durable events of the topic `control`.

Nothing is sticky: a call about a channel may come to any node. Its id names the node that has it; the
one that is asked verifies who subscribes and passes on identities, never tokens or tickets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from chatrooms.errors import Forbidden, NotFound, TooLarge, Unauthorized
from chatrooms.limits import RateLimit
from chatrooms.log.event import CONTROL, Event
from chatrooms.log.log import Log
from chatrooms.streams.channels import Channel, Channels, Subscription
from chatrooms.streams.shared import ChannelIds

CHANGED = "subscriptions-changed"
CHANGES = 200  # of one channel in CHANGE_PERIOD
CHANGE_PERIOD = 10.0  # seconds
ORDER_BYTES = 32 << 10  # of a change that goes to another node, and stays in the log


class Order(msgspec.Struct, rename="camel", omit_defaults=True):
    """What to add to a channel and which key to remove, `by` whom; nodes that do not have it let it pass."""

    channel: str
    add: tuple[Subscription, ...] = ()
    remove: str = ""
    by: str = ""


class ChannelOrders:
    """Changes the set of a channel, on whatever node it is; `is_alive` says whether there is a node of that name."""

    def __init__(
        self, log: Log, channels: Channels, ids: ChannelIds, node: str,
        is_alive: Callable[[str], Awaitable[bool]],
    ) -> None:  # fmt: skip
        self._ids = ids
        self._node = node
        self._changes = RateLimit(CHANGES, CHANGE_PERIOD)
        self._log = log
        self._channels = channels
        self._is_alive = is_alive

    async def check(self, id: str) -> None:
        """Raises NotFound for a channel that cannot exist, TooMany, Unavailable without the database."""
        if self._channels.get(id) is None and not await self._on_another_node(id):
            raise NotFound("not-found", "There is no such stream.")
        self._changes.spend(id)  # who holds a connection could fill the log with orders

    async def add(self, id: str, wanted: Sequence[Subscription]) -> None:
        """Adds subscriptions: each is answered in the stream.

        A key in use is its user's: others' subscriptions of it are Forbidden, and what nobody was verified
        for raises why; neither is told in the stream, whose reader would take it for the end of its own. Where
        another node has the channel they are left out there. Raises TooLarge, Unavailable.
        """
        await self._give(Order(id, add=tuple(wanted)))

    async def remove(self, id: str, key: str, user_id: str) -> None:
        """Ends the subscription that a user has under a key, if there is one.

        With "" for whoever knows the channel's id: then the key stays the user's whose it was. Raises
        Forbidden; Unauthorized when no more keys can be kept so; Unavailable.
        """
        await self._give(Order(id, remove=key, by=user_id))

    async def _on_another_node(self, id: str) -> bool:
        node = self._ids.node_of(id)
        return node is not None and node != self._node and await self._is_alive(node)

    async def _give(self, order: Order) -> None:
        channel = self._channels.get(order.channel)
        if channel is None:
            data = msgspec.json.encode(order)
            if len(data) > ORDER_BYTES:
                raise TooLarge("too-large", f"Through another node, subscriptions have at most {ORDER_BYTES} bytes.")
            await self._log.append([Event(CHANGED, data, (CONTROL,))])
            return
        if order.remove and order.by and channel.held_by_others(order.remove, order.by):
            raise _not_yours()
        if order.remove and not order.by and not channel.may_reserve():
            raise Unauthorized("token-missing", "A token is required: too many keys were removed without one.")
        for subscription in order.add:
            if not _may_add(channel, subscription):
                raise subscription.refusal.problem() if subscription.refusal else _not_yours()
        self._follow(order)

    def apply(self, event: Event) -> None:
        """Changes the channel that an order of any node is about, if it is here."""
        if event.type == CHANGED:
            self._follow(msgspec.json.decode(event.data, type=Order))

    def _follow(self, order: Order) -> None:
        channel = self._channels.get(order.channel)
        if channel is None:
            return
        if order.remove and _may_remove(channel, order):
            channel.remove(order.remove, reserve=not order.by)
        self._channels.add(channel, [subscription for subscription in order.add if _may_add(channel, subscription)])


def _may_remove(channel: Channel, order: Order) -> bool:
    return not channel.held_by_others(order.remove, order.by) if order.by else channel.may_reserve()


def _may_add(channel: Channel, subscription: Subscription) -> bool:
    return not channel.held_by_others(subscription.key, subscription.who.user_id if subscription.who else "")


def _not_yours() -> Forbidden:
    return Forbidden("forbidden", "Another user has this key.")
