"""Slow mode: at most one message of a user in so many seconds, whichever node takes it."""

from __future__ import annotations

from collections.abc import Sequence

from chatrooms.errors import TooMany
from chatrooms.log.database import Transaction
from chatrooms.log.event import Event
from chatrooms.log.group import Command
from chatrooms.rooms.rules import forget_posts, known_keys, last_post, note_post


def paced(room_id: str, user_id: str, interval: float, events: Sequence[Event], now: int) -> Command:
    """The check that goes before the messages of a user in a room with slow mode.

    Messages that are in the log already do not count: saying one again is harmless. Raises TooMany
    `slow-mode`. `interval` in seconds, `now` in milliseconds since 1970.
    """

    async def command(tx: Transaction) -> list[Event]:
        new = await _new(tx, events)
        if new:
            await _take_turn(tx, room_id, user_id, interval, now, new)
        return []

    return command


def turn(room_id: str, user_id: str, interval: float, now: int) -> Command:
    """The same for what makes a message without being one: who asks for a reply has it speak. Raises TooMany."""

    async def command(tx: Transaction) -> list[Event]:
        await _take_turn(tx, room_id, user_id, interval, now, 1)
        return []

    return command


async def _take_turn(tx: Transaction, room_id: str, user_id: str, interval: float, now: int, new: int) -> None:
    length = int(interval * 1000)
    last = await last_post(tx, room_id, user_id)
    wait = 0 if last is None else last + length - now
    if wait > 0 or new > 1:
        sentence = f"This room is in slow mode: one message every {interval:g} s."
        raise TooMany("slow-mode", sentence, max(wait, 1) / 1000)
    await forget_posts(tx, room_id, now - length)
    await note_post(tx, room_id, user_id, now)


async def _new(tx: Transaction, events: Sequence[Event]) -> int:
    """How many of the events would be new in the log."""
    keys = {event.key for event in events if event.key is not None}
    keyless = sum(event.key is None for event in events)
    return keyless + len(keys) - (len(await known_keys(tx, sorted(keys))) if keys else 0)
