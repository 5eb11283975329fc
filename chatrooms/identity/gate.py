"""The gate: lets in who proves who they are and has not been shut out since.

Who is shut out (sessions signed out, accounts disabled or deleted) is held in memory, because it is
asked at every request; the database has the truth. Orders of this and other nodes come as events of
the topic `control`; what another program did to the database is seen by `reload`.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable

import msgspec

from chatrooms.core.hub import Hub
from chatrooms.errors import Unauthorized
from chatrooms.event import CONTROL, Event
from chatrooms.identity.tokens import Identity, Tokens
from chatrooms.limits import RateLimit
from chatrooms.storage import revocations, tickets
from chatrooms.storage.database import Database

TICKET_TTL = 30  # seconds
TICKETS = 120  # of one user in a minute
REVOKED = "session-revoked"
RENEWED = "session-renewed"
BLOCKED = "user-blocked"
CHANGED = "accounts-changed"


class _Order(msgspec.Struct, rename="camel"):
    """The data of a `session-revoked`, `session-renewed` or `user-blocked` event."""

    session: str = ""
    successor: str = ""
    user_id: str = ""


class Gate:
    """Tokens and tickets in, identities out."""

    def __init__(self, database: Database, hub: Hub, tokens: Tokens, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._hub = hub
        self._tokens = tokens
        self._clock = clock
        self._revoked: set[str] = set()
        self._blocked: set[str] = set()
        self._ticket_rate = RateLimit(TICKETS, 60.0)
        self.stale = False  # whether another program has changed who is shut out
        hub.listen(CONTROL, self._obey)

    async def reload(self) -> None:
        """Reads who is shut out, and ends their streams."""
        self.stale = False
        try:
            self._revoked = await revocations.sessions(self._database)
            self._blocked = await revocations.blocked_users(self._database)
        except BaseException:
            self.stale = True
            raise
        self._end_streams()

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
        row = (who.user_id, who.username, who.role, who.session, who.expires_at)
        async with self._database.transaction() as tx:
            await tickets.add(tx, _hash(ticket), row, int(self._clock()) + TICKET_TTL)
        return ticket

    async def redeem(self, ticket: str) -> Identity:
        """Who a ticket was given to, once. Raises Unauthorized."""
        async with self._database.transaction() as tx:
            row = await tickets.take(tx, _hash(ticket), int(self._clock()))
        if row is None:
            raise Unauthorized("ticket-invalid", "The ticket is unknown, used or older than 30 seconds.")
        user_id, username, role, session, expires_at = row
        who = Identity(user_id, username, role, expires_at, session)
        if who.expires_at <= self._clock():
            raise Unauthorized("token-expired", "The token behind the ticket has expired.")
        self.check(who)
        return who

    async def forget_expired(self) -> None:
        """Removes what has expired by itself."""
        now = int(self._clock())
        async with self._database.transaction() as tx:
            await tickets.forget_expired(tx, now)
            await revocations.forget_expired(tx, now)

    def _obey(self, event: Event) -> None:
        if event.type == REVOKED:
            self._revoked.add(msgspec.json.decode(event.data, type=_Order).session)
            self._end_streams()
        elif event.type == RENEWED:
            self._renew(msgspec.json.decode(event.data, type=_Order))
        elif event.type == BLOCKED:
            self._blocked.add(msgspec.json.decode(event.data, type=_Order).user_id)
            self._end_streams()
        elif event.type == CHANGED:
            self.stale = True

    def _renew(self, order: _Order) -> None:
        """Its streams belong to its successor from now on; its tokens let nobody in any more."""
        for stream in self._hub.streams:
            if stream.session == order.session:
                stream.session = order.successor
        self._revoked.add(order.session)

    def _end_streams(self) -> None:
        gone = [s for s in self._hub.streams if s.session in self._revoked or s.user_id in self._blocked]
        for stream in gone:
            stream.end("revoked", False)


def revoked(session: str) -> Event:
    """The order to end a session's streams and refuse its tokens."""
    return Event(REVOKED, msgspec.json.encode({"session": session}), (CONTROL,))


def renewed(session: str, successor: str) -> Event:
    """The order to refuse a session's tokens, and to take its streams for another's."""
    return Event(RENEWED, msgspec.json.encode({"session": session, "successor": successor}), (CONTROL,))


def blocked(user_id: str) -> Event:
    """The order to end a user's streams and refuse its tokens."""
    return Event(BLOCKED, msgspec.json.encode({"userId": user_id}), (CONTROL,))


def changed() -> Event:
    """The order to read again who is shut out."""
    return Event(CHANGED, b"{}", (CONTROL,))


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
