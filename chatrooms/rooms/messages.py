"""Messages: written, edited, deleted, and their history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from chatrooms import names
from chatrooms.clock import now_ms
from chatrooms.errors import BadRequest, Conflict, Forbidden, NotFound
from chatrooms.identity import Identity
from chatrooms.limits import Quotas
from chatrooms.log.database import Source, Transaction
from chatrooms.log.event import Event, event_id, identified, parse_id
from chatrooms.log.group import Command
from chatrooms.log.log import ERASED, Log
from chatrooms.options import Options
from chatrooms.rooms.message import (
    Draft,
    MessagePage,
    MessageQueries,
    Posted,
    RoomMessage,
    add_room,
    decoded,
    edits_of,
    fitting,
    has_room,
    message_of_reply,
    message_row,
    replies_after,
    rewrite_message,
)
from chatrooms.rooms.moderation import slowed, slowed_turn
from chatrooms.rooms.rooms import topic_of
from chatrooms.rooms.rules import Act, Rank, Rules

KNOWN_ROOMS = 10_000  # rooms known to be in the database
QUOTABLE = 2000  # messages after one among which answers may quote it: twice what the offline assistant reads
PAGE_BYTES = 256 << 10  # of messages in one page of history: a slow reader keeps it in memory
PAGES_AT_ONCE = 8  # pages read from the database concurrently
MAX_EDITS = 100  # per message: each edit rewrites the earlier ones


class Answers(Protocol):
    """The rows of AI replies, which change with the messages they answer or have become."""

    async def answers_to(self, source: Source, question: int, /) -> list[tuple[str, bool]]:
        """The replies to a message: (id, whether it is still being written) each."""

    async def asker(self, source: Source, reply_id: str, /) -> str | None:
        """The user who asked for a reply."""

    async def rewrite_reply(self, tx: Transaction, reply_id: str, text: str, /) -> None:
        """Replaces the text of a reply that has ended."""


Quotes = Callable[[str, str, str], bool]  # (answer, username, text): whether the answer quotes that


class Messages:
    """Writes and reads messages. Access to the room is the caller's to check."""

    def __init__(
        self, log: Log, stored: MessageQueries, quotas: Quotas, options: Options, answers: Answers, quotes: Quotes
    ) -> None:
        self._log = log
        self._answers = answers
        self._quotes = quotes
        self._stored = stored
        self._quotas = quotas
        self._max_bytes: int = options.max_message_bytes
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
        self._quotas.write(who, len(events))
        pace = rules.pace(who)
        if pace:
            command: Command | None = slowed(room_id, who.user_id, pace, events, now_ms())
        else:
            command = None if room_id in self._known else self._adding(who, room_id)
        appended = await self._log.append(events, command)
        self._remember(room_id)
        return [Posted(self._with_id(done.event.data, done.event.seq), done.repeated) for done in appended]

    async def take_turn(self, who: Identity, room_id: str, rules: Rules) -> None:
        """Counts a request that causes a message, such as a question to the assistant, as a message.

        Raises TooMany `slow-mode`, Unavailable.
        """
        pace = rules.pace(who)
        if pace:
            await self._log.append((), slowed_turn(room_id, who.user_id, pace, now_ms()))

    def check(self, who: Identity, room_id: str, draft: Draft) -> None:
        """Raises BadRequest or TooLarge if `post` would."""
        self._event(who, "", room_id, draft)

    async def edit(self, who: Identity, room_id: str, message_id: str, text: str) -> bytes:
        """Replaces the text of a message; returns the new message as JSON.

        The old text leaves the log in the same commit. Raises NotFound; Conflict after MAX_EDITS;
        Forbidden for anybody but the author, service and admin: a moderator may remove words, not put them into
        somebody's mouth.
        """
        seq = self._seq(message_id)
        text = names.message_text(text, self._max_bytes)
        self._quotas.write(who)
        edited = b""

        async def command(tx: Transaction) -> list[Event]:
            nonlocal edited
            message = await self._owned(tx, who, room_id, seq, who.trusted)
            edits = await edits_of(tx, seq)
            if len(edits) >= MAX_EDITS:
                raise Conflict("conflict", f"This message has been edited {MAX_EDITS} times: write a new one.")
            message.message, message.edited_at = text, now_ms()
            edited = msgspec.json.encode(message)
            await rewrite_message(tx, seq, "room-message", edited)
            await self._rewrite_reply(tx, message)
            for earlier, data in edits:
                told = {**msgspec.json.decode(data), "message": text}
                await rewrite_message(tx, earlier, "message-edited", msgspec.json.encode(told))
            changed = self._change("message-edited", who, room_id, seq, {"message": text})
            return [changed, *self._recorded("message-edited", who, message, seq)]

        await self._log.append((), command)
        return self._with_id(edited, seq)

    async def delete(self, who: Identity, room_id: str, message_id: str, rules: Rules) -> list[str]:
        """Erases a message, the AI replies to it, and those of the offline assistant that quote it.

        Their text, edited ones too, leaves the log in the same commit.
        Returns the ids of the replies to it that are still being written: the caller's to stop. Raises
        NotFound; Forbidden for others than the author (of an AI reply: who asked) and the room's moderators.
        """
        others = rules.rank(who) >= Rank.MODERATOR
        seq = self._seq(message_id)
        self._quotas.write(who)
        running: list[str] = []

        async def command(tx: Transaction) -> list[Event]:
            message = await self._message(tx, room_id, seq)
            if not others and not await self._is_own(tx, who, message):
                raise _not_author()
            text = message.message
            events = await self._erase(tx, who, seq, message)
            for reply_id, unfinished in await self._answers.answers_to(tx, seq):
                running.extend([reply_id] if unfinished else [])
                if answer := await message_of_reply(tx, reply_id):
                    events += await self._erase(tx, who, answer[0], decoded(answer[1]))
            for later, data in await replies_after(tx, topic_of(room_id), seq, QUOTABLE):
                if self._quotes((reply := decoded(data)).message, message.username, text):
                    events += await self._erase(tx, who, later, reply)
            return events

        await self._log.append((), command)
        return running

    async def _erase(self, tx: Transaction, who: Identity, seq: int, message: RoomMessage) -> list[Event]:
        """Removes the text of a message from the log; returns the events that announce it."""
        message.message, message.deleted_at = "", now_ms()
        await rewrite_message(tx, seq, ERASED, msgspec.json.encode(message))
        await self._rewrite_reply(tx, message)
        for earlier, _ in await edits_of(tx, seq):
            await rewrite_message(tx, earlier, ERASED, b"{}")
        changed = self._change("message-deleted", who, message.room_id, seq, {})
        return [changed, *self._recorded("message-deleted", who, message, seq)]

    async def find(self, room_id: str, message_id: str) -> RoomMessage | None:
        """A message in its present form; None if it does not exist or was deleted."""
        position = parse_id(message_id)
        if position is None or position.epoch != self._log.epoch:
            return None
        rows = await self._stored.after(topic_of(room_id), position.seq - 1, 1, PAGE_BYTES)
        found = rows and rows[0][0] == position.seq
        return msgspec.json.decode(rows[0][1], type=RoomMessage) if found else None

    async def history(self, room_id: str, before: str, after: str, limit: int) -> MessagePage:
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
        messages = fitting(
            [self._with_id(data.encode(), seq) for seq, data in rows[:limit] if data is not None], PAGE_BYTES
        )
        has_more = len(rows) > len(messages)
        if not after:
            messages.reverse()
        return MessagePage(messages, has_more)

    def forget_rooms(self) -> None:
        """The database has lost events: rooms in it may be gone."""
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
        """The audit record of an act on somebody else's message."""
        if message.user_id == who.user_id:
            return []
        id = event_id(self._log.epoch, seq)
        return [Act(message.room_id, action, who.user_id, now_ms(), message.user_id, message_id=id).record()]

    async def _owned(self, tx: Transaction, who: Identity, room_id: str, seq: int, others: bool) -> RoomMessage:
        """A message that `who` may edit: their own, or anybody's with `others`."""
        message = await self._message(tx, room_id, seq)
        if (message.user_id != who.user_id or message.is_from_bot) and not others:
            raise _not_author()
        return message

    async def _message(self, tx: Transaction, room_id: str, seq: int) -> RoomMessage:
        """A message of a room. Raises NotFound."""
        data = await message_row(tx, topic_of(room_id), seq)
        if data is None:
            raise _no_message()
        return decoded(data)

    def _seq(self, message_id: str) -> int:
        """The seq of a message id. Raises NotFound for anything else."""
        position = parse_id(message_id)
        if position is None or position.epoch != self._log.epoch:
            raise _no_message()
        return position.seq

    def _position(self, id: str) -> int:
        position = parse_id(id)
        if position is None or position.epoch != self._log.epoch:
            raise BadRequest("bad-id", "before and after must be ids of this server's events.")
        return position.seq

    def _adding(self, who: Identity, room_id: str) -> Command:
        async def command(tx: Transaction) -> list[Event]:
            if not await has_room(tx, room_id):
                self._quotas.make_room(who)
                await add_room(tx, room_id, now_ms())
            return []

        return command

    def _remember(self, room_id: str) -> None:
        if len(self._known) >= KNOWN_ROOMS:
            self._known.clear()
        self._known[room_id] = None

    def _with_id(self, data: bytes, seq: int) -> bytes:
        return identified(data, event_id(self._log.epoch, seq))

    async def _rewrite_reply(self, tx: Transaction, message: RoomMessage) -> None:
        """Makes the reply behind a message say what the message says."""
        if message.is_from_bot and message.message_id is not None:
            await self._answers.rewrite_reply(tx, message.message_id, message.message)

    async def _is_own(self, tx: Transaction, who: Identity, message: RoomMessage) -> bool:
        """Whether these are the caller's words: a message, or an AI reply they asked for, which may quote them."""
        if not message.is_from_bot:
            return message.user_id == who.user_id
        return message.message_id is not None and await self._answers.asker(tx, message.message_id) == who.user_id


def _not_author() -> Forbidden:
    return Forbidden("not-author", "Only the author or a moderator may change a message.")


def _no_message() -> NotFound:
    return NotFound("not-found", "There is no such message.")
