"""The authenticator: lets in who proves who they are and has not been shut out since.

Who is shut out (sessions signed out, accounts disabled or deleted) is held in memory, because it is
asked at every request; the database has the truth. Orders of this and other nodes come as events of
the topic `control`; what another program did to the database is seen by `reload`.
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
SKEW = 60  # seconds by which the clocks of nodes may differ: so long is kept who is shut out
REVOKED = "session-revoked"
RENEWED = "session-renewed"
BLOCKED = "user-blocked"
CHANGED = "accounts-changed"


class _Order(msgspec.Struct, rename="camel"):
    """The data of a `session-revoked`, `session-renewed` or `user-blocked` event.

    `expires_at` is that of the session's last token. Nodes of before name no user with a session.
    """

    session: str = ""
    successor: str = ""
    user_id: str = ""
    expires_at: float = math.inf  # for nodes of before, which do not say: until the next reload


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
        self._meanwhile: list[Event] = []  # orders that came while a reload read
        self._ticket_rate = RateLimit(TICKETS, 60.0)
        self.stale = False  # whether another program has changed who is shut out

    async def reload(self) -> None:
        """Reads who is shut out, and ends their streams."""
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
                # The order that gives them to another session may not have come yet. Without it, they end.
                with suppress(Unavailable):
                    await self._log.append(())
        self._end_streams(self._hub.streams)

    def verify(self, token: str) -> Identity:
        """Who a token proves to be. Raises Unauthorized."""
        who = self._tokens.verify(token)
        self.check(who)
        return who

    def check(self, who: Identity) -> None:
        """Raises Unauthorized `token-revoked` for who has been shut out."""
        if who.session in self._revoked or who.user_id in self._blocked:
            raise Unauthorized("token-revoked", "This sign-in has ended: sign in again.")

    async def ticket(self, who: Identity) -> str:
        """A ticket that lets in once, for TICKET_TTL seconds, instead of a token in a URL."""
        self._ticket_rate.spend(who.user_id)
        ticket = secrets.token_urlsafe(24)
        row = (who.user_id, who.username, who.role, who.session, who.expires_at, int(who.guest))
        async with self._database.transaction() as tx:
            await add_ticket(tx, _hash(ticket), row, int(self._clock()) + TICKET_TTL)
        return ticket

    async def redeem(self, ticket: str) -> Identity:
        """Who a ticket was given to, once. Raises Unauthorized."""
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
        """Removes what has expired by itself."""
        now = int(self._clock())
        async with self._database.transaction() as tx:
            await forget_expired_tickets(tx, now)
        async with self._database.appending() as tx:
            await forget_expired_revocations(tx, now - SKEW)
        self._revoked = {session: end for session, end in self._revoked.items() if end >= now - SKEW}

    def forget(self) -> None:
        """The database is not what it was: who is shut out is read anew, soon."""
        self.stale = True

    def apply(self, event: Event) -> None:
        """Shuts out whom an order of this or another node names, and ends their streams."""
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
        """Its streams belong to its successor from now on; its tokens let nobody in any more."""
        for stream in self._hub.streams_of(order.user_id):
            if stream.session == order.session:
                stream.session = order.successor

    def _end_streams(self, streams: Iterable[Stream]) -> None:
        """Ends those of the streams whose readers are shut out."""
        for stream in self._shut_out(streams):
            stream.end("revoked", False)

    def _shut_out(self, streams: Iterable[Stream]) -> list[Stream]:
        return [s for s in streams if s.session in self._revoked or s.user_id in self._blocked]


def revoked(session: str, user_id: str, expires_at: int) -> Event:
    """The order to end the streams of a user's session and refuse its tokens until they expire (seconds since 1970)."""
    data = {"session": session, "userId": user_id, "expiresAt": expires_at}
    return Event(REVOKED, msgspec.json.encode(data), (CONTROL,))


def renewed(user_id: str, session: str, successor: str, expires_at: int) -> Event:
    """The order to refuse a session's tokens until they expire, and to take its streams for another's."""
    data = {"userId": user_id, "session": session, "successor": successor, "expiresAt": expires_at}
    return Event(RENEWED, msgspec.json.encode(data), (CONTROL,))


def blocked(user_id: str) -> Event:
    """The order to end a user's streams and refuse its tokens."""
    return Event(BLOCKED, msgspec.json.encode({"userId": user_id}), (CONTROL,))


def changed() -> Event:
    """The order to read again who is shut out."""
    return Event(CHANGED, b"{}", (CONTROL,))


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


_ALL = "select session, expires_at from revocations"


async def add_revocation(tx: Transaction, session: str, expires_at: int) -> None:
    """Shuts a session out until all its tokens have expired by themselves (seconds since 1970)."""
    sql = """insert into revocations (session, expires_at) values ($1, $2) on conflict (session)
    do update set expires_at = excluded.expires_at where revocations.expires_at < excluded.expires_at"""
    await tx.execute(sql, session, expires_at)


async def revoked_sessions(database: Database) -> dict[str, float]:
    """The sessions that are shut out, with the time at which the last of their tokens expires."""
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
    """Removes a ticket and returns whose it was, in the order of `add`; None when it is not good."""
    sql = """delete from tickets where hash = $1
    returning user_id, username, role, session, token_expires_at, guest, expires_at"""
    rows = await tx.fetch(sql, hash)
    return rows[0][:6] if rows and rows[0][6] > now else None


async def forget_expired_tickets(tx: Transaction, now: int) -> None:
    await tx.execute("delete from tickets where expires_at < $1", now)
