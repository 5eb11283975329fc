"""Changes to channels on other nodes, as durable events of the topic `control`.

Nothing is sticky: a call about a channel may reach any node. The channel's id names its node; the node
that gets the call verifies who subscribes and passes on identities, never tokens or tickets.
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
CHANGES = 200  # per channel in CHANGE_PERIOD
CHANGE_PERIOD = 10.0  # seconds
ORDER_BYTES = 32 << 10  # of a change sent to another node, which stays in the log


class Order(msgspec.Struct, rename="camel", omit_defaults=True):
    """What to add to a channel and which key to remove, `by` whom; nodes without the channel ignore it."""

    channel: str
    add: tuple[Subscription, ...] = ()
    remove: str = ""
    by: str = ""


class ChannelOrders:
    """Changes the subscriptions of a channel on any node; `is_alive` says whether a node of that name is up."""

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
        self._changes.spend(id)  # else the holder of a connection could fill the log with orders

    async def add(self, id: str, wanted: Sequence[Subscription]) -> None:
        """Adds subscriptions; each is answered in the stream.

        A key in use belongs to its user: another's subscription raises Forbidden, and one without a verified
        reader raises its refusal. Neither shows in the stream, whose reader would take it for the end of its own;
        a channel on another node just leaves them out. Raises TooLarge, Unavailable.
        """
        await self._give(Order(id, add=tuple(wanted)))

    async def remove(self, id: str, key: str, user_id: str) -> None:
        """Ends a user's subscription under a key, if there is one.

        With "" it ends anybody's, for callers that know the channel's id; the key stays with its user. Raises
        Forbidden; Unauthorized when no more keys can be kept this way; Unavailable.
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
        """Applies an order from any node to its channel, if that is here."""
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
