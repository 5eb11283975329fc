"""Moderation: kicks, bans, mutes, moderators, and slow mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chatrooms.errors import BadRequest, Conflict, TooMany
from chatrooms.identity import TRUSTED_ROLES, Identity
from chatrooms.log.database import Database, Row, Transaction
from chatrooms.log.event import Event
from chatrooms.log.group import Command
from chatrooms.rooms import invites
from chatrooms.rooms.audit import Acts
from chatrooms.rooms.message import add_room
from chatrooms.rooms.rules import (
    BAN,
    MUTE,
    Act,
    Rank,
    Rules,
    count_restrictions,
    forbidden,
    forget_ended,
    lift,
    remove_member,
    restrict,
    restricted,
    set_member,
)
from chatrooms.streams.hub import Hub
from chatrooms.users import store

MAX_RESTRICTIONS = 10_000  # bans and mutes of one room at the same time


class _Words(NamedTuple):
    """What the audit log calls the beginning and the end of a restriction."""

    begun: str
    ended: str


_WORDS = {BAN: _Words("banned", "unbanned"), MUTE: _Words("muted", "unmuted")}


class Moderation:
    """What owners, moderators and trusted programs can do to the users of a room.

    One can act only against users of a lower rank, and never against service and admin: refused if their account
    or stream is known here, without effect otherwise.
    All methods raise Forbidden, TooMany and Unavailable.
    """

    def __init__(self, acts: Acts, hub: Hub, database: Database) -> None:
        self._acts = acts
        self._hub = hub
        self._database = database

    def now(self) -> int:
        """The clock by which bans and mutes end, in milliseconds since 1970."""
        return self._acts.now()

    async def page(self, room_id: str, kind: str, after: str, limit: int) -> list[Row]:
        """The next banned or muted users, in order of user id after one, and until when (None: forever)."""
        return await restricted(self._database, room_id, kind, after, limit, self._acts.now())

    async def kick(self, who: Identity, room_id: str, user_id: str) -> None:
        """Ends a user's streams and membership in a room; present invites no longer admit that user.

        Raises BadRequest for oneself.
        """
        _check_other(who, user_id)

        async def change(tx: Transaction, rules: Rules) -> Act:
            await self._check_below(tx, rules, who, user_id)
            await _put_out(tx, room_id, user_id, self._acts.now())
            return Act(room_id, "kicked", who.user_id, self._acts.now(), user_id)

        await self._acts.run(who, room_id, Rank.MODERATOR, change, user_id)

    async def restrict(self, who: Identity, room_id: str, kind: str, user_id: str, seconds: float | None) -> int | None:
        """Bans or mutes a user, for a time or forever (None); returns when it ends.

        A ban ends membership, too. Raises BadRequest for oneself; Conflict when there are too many.
        """
        _check_other(who, user_id)
        now = self._acts.now()
        until = None if seconds is None else now + max(1, int(seconds * 1000))

        async def change(tx: Transaction, rules: Rules) -> Act:
            await self._check_below(tx, rules, who, user_id)
            await forget_ended(tx, room_id, now)
            if await count_restrictions(tx, room_id) >= MAX_RESTRICTIONS:
                raise Conflict("conflict", f"This room has {MAX_RESTRICTIONS} bans and mutes: lift some.")
            await add_room(tx, room_id, now)
            await restrict(tx, room_id, kind, user_id, until)
            if kind == BAN:
                await _put_out(tx, room_id, user_id, now)
            return Act(room_id, _WORDS[kind].begun, who.user_id, now, user_id, until)

        await self._acts.run(who, room_id, Rank.MODERATOR, change, user_id)
        return until

    async def lift(self, who: Identity, room_id: str, kind: str, user_id: str) -> None:
        """Ends a ban or mute; harmless when there is none."""

        async def change(tx: Transaction, rules: Rules) -> Act | None:
            if rules.rank(who) <= rules.rank_of(user_id):  # moderators cannot unmute themselves
                raise forbidden()
            if user_id not in (rules.bans if kind == BAN else rules.mutes):
                return None
            await lift(tx, room_id, kind, user_id)
            return Act(room_id, _WORDS[kind].ended, who.user_id, self._acts.now(), user_id)

        await self._acts.run(who, room_id, Rank.MODERATOR, change, user_id)

    async def promote(self, who: Identity, room_id: str, user_id: str) -> None:
        """Makes a user a moderator and thereby a member. Raises Conflict for the owner."""

        async def change(tx: Transaction, rules: Rules) -> Act | None:
            _check_not_owner(rules, user_id)
            if rules.rank_of(user_id) == Rank.MODERATOR:
                return None
            now = self._acts.now()
            await add_room(tx, room_id, now)
            await set_member(tx, room_id, user_id, Rank.MODERATOR, now)
            return Act(room_id, "moderator-added", who.user_id, now, user_id)

        await self._acts.run(who, room_id, Rank.OWNER, change, user_id)

    async def demote(self, who: Identity, room_id: str, user_id: str) -> None:
        """Makes a moderator an ordinary member; harmless for anybody else."""

        async def change(tx: Transaction, rules: Rules) -> Act | None:
            if rules.rank_of(user_id) != Rank.MODERATOR:
                return None
            now = self._acts.now()
            await set_member(tx, room_id, user_id, Rank.MEMBER, now)
            return Act(room_id, "moderator-removed", who.user_id, now, user_id)

        await self._acts.run(who, room_id, Rank.OWNER, change, user_id)

    async def _check_below(self, tx: Transaction, rules: Rules, who: Identity, user_id: str) -> None:
        """Raises Forbidden if `who` may not act against that user."""
        if rules.rank(who) <= rules.rank_of(user_id):
            raise forbidden()
        if not who.trusted:
            known = any(stream.trusted for stream in self._hub.streams_of(user_id))
            if known or await store.role_of(tx, user_id) in TRUSTED_ROLES:
                raise forbidden()


async def _put_out(tx: Transaction, room_id: str, user_id: str, now: int) -> None:
    await remove_member(tx, room_id, user_id)
    await invites.note_kick(tx, room_id, user_id, now)


def _check_other(who: Identity, user_id: str) -> None:
    if user_id == who.user_id:
        raise BadRequest("bad-request", "You cannot do that to yourself.")


def _check_not_owner(rules: Rules, user_id: str) -> None:
    if user_id == rules.owner:
        raise Conflict("conflict", "The owner of a room cannot have another role in it.")


# Slow mode: at most one message of a user in so many seconds, whichever node takes it.


def slowed(room_id: str, user_id: str, interval: float, events: Sequence[Event], now: int) -> Command:
    """The check before a user's messages in a room with slow mode.

    Messages already in the log do not count: a retry is harmless. Raises TooMany
    `slow-mode`. `interval` in seconds, `now` in milliseconds since 1970.
    """

    async def command(tx: Transaction) -> list[Event]:
        new = await _new(tx, events)
        if new:
            await _take_turn(tx, room_id, user_id, interval, now, new)
        return []

    return command


def slowed_turn(room_id: str, user_id: str, interval: float, now: int) -> Command:
    """The same for a request that causes a message, such as a question to the assistant. Raises TooMany."""

    async def command(tx: Transaction) -> list[Event]:
        await _take_turn(tx, room_id, user_id, interval, now, 1)
        return []

    return command


async def _take_turn(tx: Transaction, room_id: str, user_id: str, interval: float, now: int, new: int) -> None:
    length = int(interval * 1000)
    last = await _last_post(tx, room_id, user_id)
    wait = 0 if last is None else last + length - now
    if wait > 0 or new > 1:
        sentence = f"This room is in slow mode: one message every {interval:g} s."
        raise TooMany("slow-mode", sentence, max(wait, 1) / 1000)
    await _forget_posts(tx, room_id, now - length)
    await _note_post(tx, room_id, user_id, now)


async def _new(tx: Transaction, events: Sequence[Event]) -> int:
    """How many of the events would be new in the log."""
    keys = {event.key for event in events if event.key is not None}
    keyless = sum(event.key is None for event in events)
    return keyless + len(keys) - (len(await _known_keys(tx, sorted(keys))) if keys else 0)


async def _last_post(tx: Transaction, room_id: str, user_id: str) -> int | None:
    """When a user last wrote in a room with slow mode, if that still counts."""
    rows = await tx.fetch("select posted_at from slow_posts where room_id = $1 and user_id = $2", room_id, user_id)
    return int(rows[0][0]) if rows else None


async def _note_post(tx: Transaction, room_id: str, user_id: str, now: int) -> None:
    await tx.execute(
        "insert into slow_posts (room_id, user_id, posted_at) values ($1, $2, $3) "
        "on conflict (room_id, user_id) do update set posted_at = excluded.posted_at",
        room_id, user_id, now,
    )  # fmt: skip


async def _forget_posts(tx: Transaction, room_id: str, before: int) -> None:
    """Removes posts that no longer count for slow mode."""
    await tx.execute("delete from slow_posts where room_id = $1 and posted_at <= $2", room_id, before)


async def _known_keys(tx: Transaction, keys: Sequence[str]) -> set[str]:
    """Which of the keys (at most 500) are already in the log."""
    places = ", ".join(f"${n}" for n in range(1, len(keys) + 1))
    rows = await tx.fetch(f"select key from events where key in ({places})", *keys)
    return {key for (key,) in rows}
