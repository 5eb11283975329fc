"""Verifies tokens and tickets, and refuses those that were revoked.

Revoked sessions and blocked users (accounts disabled or deleted) are kept in memory, because every request asks
for them; the database has the truth. Orders of this and other nodes arrive as events of the topic `control`;
changes made by other programs are seen by `reload`.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from chatrooms.errors import Unauthorized, Unavailable
from chatrooms.identity import Identity
from chatrooms.limits import RateLimit
from chatrooms.log.database import Database, Row, Transaction
from chatrooms.log.event import CONTROL, Event
from chatrooms.log.log import Log
from chatrooms.streams.hub import Hub
from chatrooms.streams.stream import Stream
from chatrooms.users.tokens import Tokens

TICKET_TTL = 30  # seconds
TICKETS = 120  # of one user in a minute
SKEW = 60  # seconds by which the clocks of nodes may differ: revocations are kept that much longer
REVOKED = "session-revoked"
RENEWED = "session-renewed"
BLOCKED = "user-blocked"
CHANGED = "accounts-changed"


class _Order(msgspec.Struct, rename="camel"):
    """The data of a `session-revoked`, `session-renewed` or `user-blocked` event.

    `expires_at` is that of the session's last token. Older nodes name no user with a session.
    """

    session: str = ""
    successor: str = ""
    user_id: str = ""
    expires_at: float = math.inf  # for orders of older nodes, which do not say: until the next reload


class Authenticator:
    """Tokens and tickets in, identities out."""

    def __init__(
        self, database: Database, log: Log, hub: Hub, tokens: Tokens, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._log = log
        self._hub = hub
        self._tokens = tokens
        self._clock = clock
        self._revoked: dict[str, float] = {}  # session: when its last token expires by itself
        self._blocked: set[str] = set()
        self._reloading = asyncio.Lock()
        self._meanwhile: list[Event] = []  # orders that arrived during a reload
        self._ticket_rate = RateLimit(TICKETS, 60.0)
        self.stale = False  # whether another program has changed revocations or accounts

    async def reload(self) -> None:
        """Reads revoked sessions and blocked users, and ends their streams."""
        async with self._reloading:
            self.stale = False
            self._meanwhile.clear()
            try:
                revoked = await revoked_sessions(self._database)
                blocked = await blocked_users(self._database)
            except BaseException:
                self.stale = True
                raise
            self._revoked, self._blocked = revoked, blocked
            for event in self._meanwhile:  # newer than what was read
                self._remember(event)
            if self._shut_out(self._hub.streams):
                # The order that passes them to another session may not have arrived yet. Without it, they end.
                with suppress(Unavailable):
                    await self._log.append(())
        self._end_streams(self._hub.streams)

    def verify(self, token: str) -> Identity:
        """The identity that a token proves. Raises Unauthorized."""
        who = self._tokens.verify(token)
        self.check(who)
        return who

    def check(self, who: Identity) -> None:
        """Raises Unauthorized `token-revoked` for a revoked session or a blocked user."""
        if who.session in self._revoked or who.user_id in self._blocked:
            raise Unauthorized("token-revoked", "This sign-in has ended: sign in again.")

    async def ticket(self, who: Identity) -> str:
        """A ticket good for one use within TICKET_TTL seconds, so that no token has to stand in a URL."""
        self._ticket_rate.spend(who.user_id)
        ticket = secrets.token_urlsafe(24)
        row = (who.user_id, who.username, who.role, who.session, who.expires_at, int(who.guest))
        async with self._database.transaction() as tx:
            await add_ticket(tx, _hash(ticket), row, int(self._clock()) + TICKET_TTL)
        return ticket

    async def redeem(self, ticket: str) -> Identity:
        """The identity a ticket was issued to; using it up. Raises Unauthorized."""
        async with self._database.transaction() as tx:
            row = await take_ticket(tx, _hash(ticket), int(self._clock()))
        if row is None:
            raise Unauthorized("ticket-invalid", "The ticket is unknown, used or older than 30 seconds.")
        user_id, username, role, session, expires_at, guest = row
        who = Identity(user_id, username, role, expires_at, session, bool(guest))
        if who.expires_at <= self._clock():
            raise Unauthorized("token-expired", "The token behind the ticket has expired.")
        self.check(who)
        return who

    async def forget_expired(self) -> None:
        """Removes expired tickets and revocations."""
        now = int(self._clock())
        async with self._database.transaction() as tx:
            await forget_expired_tickets(tx, now)
        async with self._database.appending() as tx:
            await forget_expired_revocations(tx, now - SKEW)
        self._revoked = {session: end for session, end in self._revoked.items() if end >= now - SKEW}

    def forget(self) -> None:
        """The database has lost events: revocations and accounts are read again soon."""
        self.stale = True

    def apply(self, event: Event) -> None:
        """Applies an order to revoke, renew or block, of any node, and ends the streams concerned."""
        if event.type == CHANGED:
            self.stale = True
        elif event.type in (REVOKED, RENEWED, BLOCKED):
            if self._reloading.locked():
                self._meanwhile.append(event)
            order = self._remember(event)
            self._end_streams(self._hub.streams_of(order.user_id) if order.user_id else self._hub.streams)

    def _remember(self, event: Event) -> _Order:
        order = msgspec.json.decode(event.data, type=_Order)
        if event.type == BLOCKED:
            self._blocked.add(order.user_id)
        else:
            if event.type == RENEWED:
                self._pass_on(order)
            self._revoked[order.session] = max(order.expires_at, self._revoked.get(order.session, 0.0))
        return order

    def _pass_on(self, order: _Order) -> None:
        """Gives a renewed session's streams to its successor."""
        for stream in self._hub.streams_of(order.user_id):
            if stream.session == order.session:
                stream.session = order.successor

    def _end_streams(self, streams: Iterable[Stream]) -> None:
        """Ends those of the streams whose session is revoked or whose user is blocked."""
        for stream in self._shut_out(streams):
            stream.end("revoked", False)

    def _shut_out(self, streams: Iterable[Stream]) -> list[Stream]:
        return [s for s in streams if s.session in self._revoked or s.user_id in self._blocked]


def revoked(session: str, user_id: str, expires_at: int) -> Event:
    """The order to end the streams of a user's session and refuse its tokens until they expire (seconds since 1970)."""
    data = {"session": session, "userId": user_id, "expiresAt": expires_at}
    return Event(REVOKED, msgspec.json.encode(data), (CONTROL,))


def renewed(user_id: str, session: str, successor: str, expires_at: int) -> Event:
    """The order to refuse a session's tokens until they expire, and to give its streams to its successor."""
    data = {"userId": user_id, "session": session, "successor": successor, "expiresAt": expires_at}
    return Event(RENEWED, msgspec.json.encode(data), (CONTROL,))


def blocked(user_id: str) -> Event:
    """The order to end a user's streams and refuse its tokens."""
    return Event(BLOCKED, msgspec.json.encode({"userId": user_id}), (CONTROL,))


def changed() -> Event:
    """The order to read revocations and accounts again."""
    return Event(CHANGED, b"{}", (CONTROL,))


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


_ALL = "select session, expires_at from revocations"


async def add_revocation(tx: Transaction, session: str, expires_at: int) -> None:
    """Revokes a session until all its tokens have expired (seconds since 1970)."""
    sql = """insert into revocations (session, expires_at) values ($1, $2) on conflict (session)
    do update set expires_at = excluded.expires_at where revocations.expires_at < excluded.expires_at"""
    await tx.execute(sql, session, expires_at)


async def revoked_sessions(database: Database) -> dict[str, float]:
    """The revoked sessions, each with the time at which its last token expires."""
    return {session: expires_at for session, expires_at in await database.fetch(_ALL)}


async def blocked_users(database: Database) -> set[str]:
    """The users whose account is disabled or deleted."""
    return {user_id for (user_id,) in await database.fetch("select user_id from accounts where state <> 'active'")}


async def forget_expired_revocations(tx: Transaction, now: int) -> None:
    await tx.execute("delete from revocations where expires_at < $1", now)


async def add_ticket(tx: Transaction, hash: str, who: Row, expires_at: int) -> None:
    """Keeps a ticket; `who` is (user_id, username, role, session, token_expires_at, guest)."""
    sql = """insert into tickets (hash, user_id, username, role, session, token_expires_at, guest,
    expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)"""
    await tx.execute(sql, hash, *who, expires_at)


async def take_ticket(tx: Transaction, hash: str, now: int) -> Row | None:
    """Removes a ticket and returns whose it was, in the order of `add_ticket`; None when it is not valid."""
    sql = """delete from tickets where hash = $1
    returning user_id, username, role, session, token_expires_at, guest, expires_at"""
    rows = await tx.fetch(sql, hash)
    return rows[0][:6] if rows and rows[0][6] > now else None


async def forget_expired_tickets(tx: Transaction, now: int) -> None:
    await tx.execute("delete from tickets where expires_at < $1", now)
