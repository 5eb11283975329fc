"""Inboxes: for each user with an open personal stream, one merged topic over all rooms joined.

Its sources are the rooms that the user has joined and may read, and the user's own topic. Joining and
leaving change them in the step in which these become visible. When the rules of a room change so that
it must be asked anew who may read it, the topic is held, its sources are read from the database, and
its streams go on from where they are, by the rights as they are then.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from chatrooms.core.encoding import Encoding
from chatrooms.core.hub import Hub
from chatrooms.core.topic import Reader, Topic
from chatrooms.event import CONTROL, Event
from chatrooms.identity.tokens import Identity
from chatrooms.listeners import described
from chatrooms.personal.membership import JOINED, LEFT, Membership, topic_of_user
from chatrooms.personal.unnamed import UNNAMED
from chatrooms.rooms.rooms import topic_of
from chatrooms.rules.act import RULES_CHANGED, Act
from chatrooms.storage import memberships as stored
from chatrooms.storage.database import Database
from chatrooms.storage.log import Log

RETRY = 1.0  # seconds until sources that could not be read are asked for again

log = logging.getLogger(__name__)


class Inbox:
    """One user's merged topic in one encoding.

    asked    whose events it carries, as the queries take it
    rooms    the rooms joined, whether they may be read or not
    version  grows with every change, so that what was read before is not used
    """

    def __init__(self, asked: stored.Inbox) -> None:
        self.asked = asked
        self.topic: Topic
        self.rooms: set[str] = set()
        self.version = 0


class Inboxes:
    """Makes merged topics, and keeps their sources right while somebody reads them."""

    def __init__(self, hub: Hub, log: Log, database: Database) -> None:
        self._hub = hub
        self._log = log
        self._database = database
        self._inboxes: dict[str, dict[str, Inbox]] = {}  # by user and name of the topic
        self._unsettled: dict[Inbox, None] = {}
        self._settling: asyncio.Task[None] | None = None
        hub.listen(CONTROL, self._obey)

    def close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()

    def topic(self, who: Identity, encoding: Encoding) -> Topic:
        """The topic of a user's personal streams in that encoding; to be read at once, or it is of no use."""
        name = name_of(who, encoding)
        mine = self._inboxes.setdefault(who.user_id, {})
        inbox = mine.get(name)
        if inbox is None:
            inbox = mine[name] = Inbox(inbox_of(who))
            inbox.topic = self._hub.merged(name, encoding, self._reader(inbox))
            self._settle(inbox)
        return inbox.topic

    def released(self, topic: Topic, user_id: str) -> None:
        """A stream of a topic has ended: with its last one goes the inbox."""
        if topic.streams:
            return
        mine = self._inboxes.get(user_id, {})
        inbox = mine.pop(topic.name, None)
        if inbox is not None:
            self._unsettled.pop(inbox, None)
        if not mine:
            self._inboxes.pop(user_id, None)

    def _reader(self, inbox: Inbox) -> Reader:
        asked = inbox.asked  # and not the inbox: its topic would hold itself, with its tail
        return lambda after, limit: stored.read(self._database, asked, after, self._log.head, limit)

    def _settle(self, inbox: Inbox) -> None:
        """Has the sources of a topic that is held read from the database, soon."""
        self._unsettled[inbox] = None
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle_all())

    async def _settle_all(self) -> None:
        """One after the other: a room with many readers may close for all of them at once."""
        try:
            while self._unsettled:
                await self._settle_next()
        finally:
            self._settling = None

    async def _settle_next(self) -> None:
        inbox = next(iter(self._unsettled))
        try:
            await self._settle_one(inbox)
        except Exception as error:  # the database is away, say: its streams wait
            log.warning("a personal stream waits: %s", described(error))
            if inbox in self._unsettled:  # behind the others
                del self._unsettled[inbox]
                self._unsettled[inbox] = None
            await asyncio.sleep(RETRY)

    async def _settle_one(self, inbox: Inbox) -> None:
        version = inbox.version
        rooms = await stored.rooms_of(self._database, inbox.asked.user_id, inbox.asked.trusted)
        if inbox in self._unsettled and inbox.version == version:
            sources = {topic_of(room.room_id) for room in rooms if room.readable}
            inbox.rooms = {room.room_id for room in rooms}
            self._hub.release(inbox.topic, {*sources, inbox.asked.topic})
            self._unsettled.pop(inbox, None)

    def _obey(self, event: Event) -> None:
        if event.type in (JOINED, LEFT):
            self._move(Membership.of(event), event.type == JOINED)
        elif event.type == RULES_CHANGED:
            act = msgspec.json.decode(event.data, type=Act)
            if act.action == "joined" and act.user_id is not None:
                self._ask_anew(list(self._inboxes.get(act.user_id, {}).values()), act.room_id)
            elif act.private is not None and act.user_id is None:
                self._ask_anew([inbox for mine in self._inboxes.values() for inbox in mine.values()], act.room_id)

    def _move(self, membership: Membership, joined: bool) -> None:
        for inbox in self._inboxes.get(membership.user_id, {}).values():
            inbox.version += 1
            if joined:
                inbox.rooms.add(membership.room_id)
                self._hub.feed(inbox.topic, topic_of(membership.room_id))
            else:
                inbox.rooms.discard(membership.room_id)
                self._hub.starve(inbox.topic, topic_of(membership.room_id))

    def _ask_anew(self, inboxes: list[Inbox], room_id: str) -> None:
        """Who may read the room has changed: holds the topics that it may be a source of."""
        for inbox in inboxes:
            if room_id in inbox.rooms and not inbox.asked.trusted:
                inbox.version += 1
                inbox.topic.hold()
                self._settle(inbox)


def inbox_of(who: Identity) -> stored.Inbox:
    """Whose events a personal stream carries."""
    return stored.Inbox(who.user_id, who.trusted, topic_of_user(who.user_id))


def name_of(who: Identity, encoding: Encoding) -> str:
    """The name of a user's merged topic, which is the name of no topic of the log."""
    form = "unnamed" if encoding is UNNAMED else "named"
    return f"personal-{form}{'-trusted' if who.trusted else ''}:{who.user_id}"
