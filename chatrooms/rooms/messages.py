"""Messages: written, edited, deleted, and their history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from chatrooms import names
from chatrooms.clock import now_ms
from chatrooms.errors import BadRequest, Conflict, Forbidden, NotFound
from chatrooms.event import Event, event_id, identified, parse_id
from chatrooms.identity.quotas import Quotas
from chatrooms.identity.tokens import Identity
from chatrooms.limits import RateLimit
from chatrooms.options import Options
from chatrooms.rooms import slowmode
from chatrooms.rooms.rooms import topic_of
from chatrooms.rules.act import Act
from chatrooms.rules.rules import Rank, Rules
from chatrooms.storage import messages as queries
from chatrooms.storage import replies
from chatrooms.storage.database import Transaction
from chatrooms.storage.group import Command
from chatrooms.storage.log import ERASED, Log

RATE_PERIOD = 10.0  # seconds in which `message-rate` counts
KNOWN_ROOMS = 10_000  # rooms remembered to be in the database
PAGE_BYTES = 256 << 10  # of messages in one page of history: who reads it slowly keeps it in memory
PAGES_AT_ONCE = 8  # read from the database; others wait before they are
MAX_EDITS = 100  # of one message: each edit rewrites those before it


class RoomMessage(msgspec.Struct, rename="camel", omit_defaults=True):
    """The data of a `room-message` (section 3), without its id. Times in milliseconds since 1970.

    Of an AI reply: `message_id` is the reply's, `state` how it ended when it is not complete.
    """

    room_id: str
    user_id: str
    username: str
    message: str
    timestamp: int
    client_message_id: str | None = None
    is_from_bot: bool = False
    guest: bool = False
    message_id: str | None = None
    state: str | None = None
    stopped_by: str | None = None
    edited_at: int | None = None
    deleted_at: int | None = None


class Draft(NamedTuple):
    """What a client wants to say; `client_message_id` makes saying it again harmless."""

    text: str
    client_message_id: str | None


class Posted(NamedTuple):
    """A message in the log as JSON, and whether it had been there before."""

    data: bytes
    repeated: bool


class Page(NamedTuple):
    """Some messages as JSON, oldest first, and whether there are more in the direction asked."""

    messages: list[bytes]
    has_more: bool


class Messages:
    """Writes and reads messages. Access to the room is the caller's to check."""

    def __init__(self, log: Log, stored: queries.MessageQueries, quotas: Quotas, options: Options) -> None:
        self._log = log
        self._stored = stored
        self._quotas = quotas
        self._max_bytes: int = options.max_message_bytes
        self._rate = RateLimit(options.message_rate, RATE_PERIOD)
        self._known: dict[str, None] = {}
        self._pages = asyncio.Semaphore(PAGES_AT_ONCE)

    async def post(
        self, who: Identity, username: str, room_id: str, drafts: Sequence[Draft], rules: Rules
    ) -> list[Posted]:
        """Writes messages, in one commit, and returns when they are durable.

        The same client_message_id of the same user and room is written once; the first is returned.
        Raises BadRequest, TooLarge, TooMany (`slow-mode` by the room's rules), Unavailable; then
        none is written.
        """
        events = [self._event(who, username, room_id, draft) for draft in drafts]
        self._count(who, len(events))
        pace = rules.pace(who)
        if pace:
            command: Command | None = slowmode.paced(room_id, who.user_id, pace, events, now_ms())
        else:
            command = None if room_id in self._known else self._adding(who, room_id)
        appended = await self._log.append(events, command)
        self._remember(room_id)
        return [Posted(self._with_id(done.event.data, done.event.seq), done.repeated) for done in appended]

    def check(self, who: Identity, room_id: str, draft: Draft) -> None:
        """Raises BadRequest or TooLarge for what `post` would not write."""
        self._event(who, "", room_id, draft)

    async def edit(self, who: Identity, room_id: str, message_id: str, text: str) -> bytes:
        """Replaces the text of a message; returns the message as it is now, as JSON.

        The old text leaves the log in the same commit. Raises NotFound; Conflict after MAX_EDITS;
        Forbidden for others than the author, service and admin: a moderator may take words away,
        not put them into a mouth.
        """
        seq = self._seq(message_id)
        text = names.message_text(text, self._max_bytes)
        self._count(who, 1)
        edited = b""

        async def command(tx: Transaction) -> list[Event]:
            nonlocal edited
            message = await self._owned(tx, who, room_id, seq, who.trusted)
            edits = await queries.edits_of(tx, seq)
            if len(edits) >= MAX_EDITS:
                raise Conflict("conflict", f"This message was edited {MAX_EDITS} times: write a new one.")
            message.message, message.edited_at = text, now_ms()
            edited = msgspec.json.encode(message)
            await queries.rewrite(tx, seq, "room-message", edited)
            await _rewrite_reply(tx, message)
            for earlier, data in edits:
                told = {**msgspec.json.decode(data), "message": text}
                await queries.rewrite(tx, earlier, "message-edited", msgspec.json.encode(told))
            changed = self._change("message-edited", who, room_id, seq, {"message": text})
            return [changed, *self._recorded("message-edited", who, message, seq)]

        await self._log.append((), command)
        return self._with_id(edited, seq)

    async def delete(self, who: Identity, room_id: str, message_id: str, rules: Rules) -> None:
        """Erases a message: its text, edited ones too, leaves the log in the same commit.

        Raises NotFound; Forbidden for others than the author and the room's moderators.
        """
        others = rules.rank(who) >= Rank.MODERATOR
        seq = self._seq(message_id)
        self._count(who, 1)

        async def command(tx: Transaction) -> list[Event]:
            message = await self._owned(tx, who, room_id, seq, others)
            message.message, message.deleted_at = "", now_ms()
            await queries.rewrite(tx, seq, ERASED, msgspec.json.encode(message))
            await _rewrite_reply(tx, message)
            for earlier, _ in await queries.edits_of(tx, seq):
                await queries.rewrite(tx, earlier, ERASED, b"{}")
            changed = self._change("message-deleted", who, room_id, seq, {})
            return [changed, *self._recorded("message-deleted", who, message, seq)]

        await self._log.append((), command)

    async def find(self, room_id: str, message_id: str) -> RoomMessage | None:
        """A message as it is now; None for one that is not there, or not any more."""
        position = parse_id(message_id)
        if position is None or position.epoch != self._log.epoch:
            return None
        rows = await self._stored.after(topic_of(room_id), position.seq - 1, 1, PAGE_BYTES)
        found = rows and rows[0][0] == position.seq
        return msgspec.json.decode(rows[0][1], type=RoomMessage) if found else None

    async def history(self, room_id: str, before: str, after: str, limit: int) -> Page:
        """A page of a room's messages: the last ones, those before an id, or those after one.

        It may have fewer than `limit`, of PAGE_BYTES. Raises BadRequest for an id that is none, and for both at once.
        """
        if before and after:
            raise BadRequest("bad-field", "Give before or after, not both.")
        topic = topic_of(room_id)
        if after:
            async with self._pages:
                rows = await self._stored.after(topic, self._position(after), limit + 1, PAGE_BYTES)
        else:
            seq = self._position(before) if before else self._log.head + 1
            async with self._pages:
                rows = await self._stored.before(topic, seq, limit + 1, PAGE_BYTES)
        messages = _fitting([self._with_id(data.encode(), seq) for seq, data in rows[:limit] if data is not None])
        has_more = len(rows) > len(messages)
        if not after:
            messages.reverse()
        return Page(messages, has_more)

    def forget_rooms(self) -> None:
        """Rooms that were in the database may not be there any more."""
        self._known.clear()

    def _event(self, who: Identity, username: str, room_id: str, draft: Draft) -> Event:
        text = names.message_text(draft.text, self._max_bytes)
        key = None
        if draft.client_message_id is not None:
            own = names.client_message_id(draft.client_message_id)
            key = f"{room_id}/{len(who.user_id)}/{who.user_id}/{own}"
        message = RoomMessage(room_id, who.user_id, username, text, now_ms(), draft.client_message_id, guest=who.guest)
        return Event("room-message", msgspec.json.encode(message), (topic_of(room_id),), key)

    def _change(self, type: str, who: Identity, room_id: str, seq: int, more: dict[str, str]) -> Event:
        data = {"messageId": event_id(self._log.epoch, seq), "roomId": room_id, "userId": who.user_id}
        encoded = msgspec.json.encode({**data, **more, "timestamp": now_ms()})
        return Event(type, encoded, (topic_of(room_id),), ref=seq)

    def _recorded(self, action: str, who: Identity, message: RoomMessage, seq: int) -> list[Event]:
        """The record of what was done to somebody else's message."""
        if message.user_id == who.user_id:
            return []
        id = event_id(self._log.epoch, seq)
        return [Act(message.room_id, action, who.user_id, now_ms(), message.user_id, message_id=id).record()]

    async def _owned(self, tx: Transaction, who: Identity, room_id: str, seq: int, others: bool) -> RoomMessage:
        """A message that `who` may change: an own one, or with `others` anybody's."""
        data = await queries.message_row(tx, topic_of(room_id), seq)
        if data is None:
            raise _no_message()
        message = msgspec.json.decode(data, type=RoomMessage)
        if (message.user_id != who.user_id or message.is_from_bot) and not others:
            raise Forbidden("not-author", "Only the author or a moderator may change a message.")
        return message

    def _seq(self, message_id: str) -> int:
        """The seq of a message's id. Raises NotFound for what is none of ours."""
        position = parse_id(message_id)
        if position is None or position.epoch != self._log.epoch:
            raise _no_message()
        return position.seq

    def _position(self, id: str) -> int:
        position = parse_id(id)
        if position is None or position.epoch != self._log.epoch:
            raise BadRequest("bad-id", "before and after must be ids of this server's events.")
        return position.seq

    def _count(self, who: Identity, messages: int) -> None:
        if not who.trusted:
            self._rate.spend(who.user_id, messages)

    def _adding(self, who: Identity, room_id: str) -> Command:
        async def command(tx: Transaction) -> list[Event]:
            if not await queries.has_room(tx, room_id):
                self._quotas.make_room(who)
                await queries.add_room(tx, room_id, now_ms())
            return []

        return command

    def _remember(self, room_id: str) -> None:
        if len(self._known) >= KNOWN_ROOMS:
            self._known.clear()
        self._known[room_id] = None

    def _with_id(self, data: bytes, seq: int) -> bytes:
        return identified(data, event_id(self._log.epoch, seq))


def _fitting(messages: list[bytes]) -> list[bytes]:
    """The first messages that fit into a page; one always does."""
    size = 0
    for number, message in enumerate(messages):
        size += len(message)
        if number and size > PAGE_BYTES:
            return messages[:number]
    return messages


async def _rewrite_reply(tx: Transaction, message: RoomMessage) -> None:
    """A reply says no more than its message does."""
    if message.is_from_bot and message.message_id is not None:
        await replies.rewrite(tx, message.message_id, message.message)


def _no_message() -> NotFound:
    return NotFound("not-found", "There is no such message.")
