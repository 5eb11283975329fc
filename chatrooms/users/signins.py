"""Sign-ins: staying signed in by refresh tokens, and signing out.

A refresh token is `<family>.<number>.<mac>`: the successor of number n is number n+1, so it is the
same each time it is asked for. A token stays good until its successor has been used; parallel tabs
and lost answers do no harm, and one that comes back later was stolen: its family ends.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from chatrooms.errors import Conflict, Unauthorized
from chatrooms.identity import Identity
from chatrooms.log.database import Database, Transaction
from chatrooms.log.event import Event
from chatrooms.log.log import Log
from chatrooms.log.retention import remove_before
from chatrooms.options import Options
from chatrooms.users.authenticator import add_revocation, renewed, revoked
from chatrooms.users.store import Account, add, hold, role_of
from chatrooms.users.tokens import Tokens


class SignedIn(NamedTuple):
    """The tokens of a sign-in. `expires_in` is the lifetime of the access token in seconds."""

    token: str
    refresh_token: str
    expires_in: int
    user_id: str
    username: str | None
    role: str
    guest: bool


class SignIns:
    """Begins, renews and ends sign-ins."""

    def __init__(
        self, database: Database, log: Log, tokens: Tokens, secret: str, options: Options,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._database = database
        self._log = log
        self._tokens = tokens
        self._key = hmac.digest(secret.encode(), b"chatrooms refresh tokens", hashlib.sha256)
        self._token_ttl: float = options.token_ttl
        self._refresh_ttl: float = options.refresh_ttl
        self._clock = clock

    async def begin(
        self, user_id: str, username: str, role: str, account: Account | None = None, guest: bool = False
    ) -> SignedIn:
        """A new sign-in of a user.

        With the account whose password was right it begins only while that is still so, or who had the old
        password could outlast the new one. Raises Unauthorized.
        """
        family = self._new(user_id, username, role, guest)

        async def command(tx: Transaction) -> list[Event]:
            if account is not None and not await hold(tx, account):
                raise Unauthorized("credentials-invalid", "The account has just changed: sign in again.")
            await add_family(tx, family)
            return []

        await self._log.append((), command)
        return self._signed_in(family, 0)

    async def upgrade(self, guest: Identity, account: Account) -> SignedIn:
        """Turns a guest into an account; returns its first sign-in, which takes over the guest's streams.

        The guest's own tokens end, also for who has copied them. Raises Conflict.
        """
        family = self._new(account.user_id, account.username, account.role)

        async def command(tx: Transaction) -> list[Event]:
            old = await find_family(tx, guest.session)
            known = await role_of(tx, guest.user_id) is not None
            if known or old is None or old.user_id != guest.user_id:
                raise Conflict("conflict", "This guest already has an account: sign in.")
            await add(tx, account)
            expiry = self._tokens_expiry()
            await end_family(tx, guest.session, expiry)
            await add_family(tx, family)
            return [renewed(guest.user_id, guest.session, family.family, expiry)]

        await self._log.append((), command)
        return self._signed_in(family, 0)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """New tokens for a refresh token. Raises Unauthorized `refresh-invalid`."""
        name, number = self._parse(refresh_token)
        family = await self._use(name, number)
        if number < family.used:
            await self.end(name, family.user_id)
            raise _refused()
        return self._signed_in(family, number + 1)

    async def _use(self, name: str, number: int) -> Family:
        """The sign-in of a refresh token, as it was before that was used. Raises Unauthorized."""
        found: list[Family] = []

        async def command(tx: Transaction) -> list[Event]:
            family = await find_family(tx, name)
            if family is None or family.expires_at <= self._clock():
                raise _refused()
            if number >= family.used:
                await use_family(tx, name, number, self._expiry())
            found.append(family)
            return []

        await self._log.append((), command)
        return found[-1]

    async def end(self, session: str, user_id: str, expires_at: float = 0.0) -> None:
        """Ends a sign-in of a user: its refresh tokens, its access tokens, and its streams.

        `expires_at` is that of its longest token, when that was made elsewhere.
        """
        until = max(self._tokens_expiry(), int(expires_at) + 1)

        async def command(tx: Transaction) -> list[Event]:
            await end_family(tx, session, until)
            return [revoked(session, user_id, until)]

        await self._log.append((), command)

    async def end_all(self, tx: Transaction, user_id: str) -> list[Event]:
        """Ends all sign-ins of a user within a command of the log; returns the events to append."""
        until = self._tokens_expiry()
        return [revoked(session, user_id, until) for session in await end_families(tx, user_id, until)]

    async def forget_expired(self) -> None:
        """Removes sign-ins that can no longer be renewed."""
        await forget_expired_families(self._database, int(self._clock()))

    def _new(self, user_id: str, username: str, role: str, guest: bool = False) -> Family:
        name = secrets.token_urlsafe(12)
        return Family(name, user_id, username, role, -1, self._expiry(), int(guest))

    def _signed_in(self, family: Family, number: int) -> SignedIn:
        user = (family.user_id, family.username, family.role)
        guest = bool(family.guest)
        token = self._tokens.sign(*user, ttl=self._token_ttl, session=family.family, guest=guest)
        renewal = f"{family.family}.{number}.{self._mac(family.family, number)}"
        return SignedIn(token, renewal, int(self._token_ttl), *user, guest)

    def _parse(self, refresh_token: str) -> tuple[str, int]:
        family, _, rest = refresh_token.partition(".")
        number, _, mac = rest.partition(".")
        if not (number.isascii() and number.isdigit() and len(number) < 16 and mac.isascii()):
            raise _refused()
        if not hmac.compare_digest(mac, self._mac(family, int(number))):
            raise _refused()
        return family, int(number)

    def _mac(self, family: str, number: int) -> str:
        return hmac.digest(self._key, f"{family}.{number}".encode(), hashlib.sha256).hex()

    def _tokens_expiry(self) -> int:
        """When the last access token issued so far expires."""
        return int(self._clock() + self._token_ttl) + 1

    def _expiry(self) -> int:
        return int(self._clock() + self._refresh_ttl)


def _refused() -> Unauthorized:
    return Unauthorized("refresh-invalid", "The refresh token is no longer valid: sign in again.")


_FAMILY = "family, user_id, username, role, used, expires_at, guest"


class Family(NamedTuple):
    """A sign-in. `used` is the number of the newest refresh token that was used, -1 for none.

    `expires_at` is in seconds since 1970.
    """

    family: str
    user_id: str
    username: str | None
    role: str
    used: int
    expires_at: int
    guest: int


async def add_family(tx: Transaction, family: Family) -> None:
    sql = f"insert into refresh_families ({_FAMILY}) values ($1, $2, $3, $4, $5, $6, $7)"
    await tx.execute(sql, *family)


async def find_family(tx: Transaction, family: str) -> Family | None:
    rows = await tx.fetch(f"select {_FAMILY} from refresh_families where family = $1", family)
    return Family._make(rows[0]) if rows else None


async def use_family(tx: Transaction, family: str, number: int, expires_at: int) -> None:
    sql = "update refresh_families set used = $2, expires_at = $3 where family = $1"
    await tx.execute(sql, family, number, expires_at)


async def end_family(tx: Transaction, family: str, expires_at: int) -> None:
    """Ends a sign-in; its access tokens are refused until that time, when all have expired."""
    await tx.execute("delete from refresh_families where family = $1", family)
    await add_revocation(tx, family, expires_at)


async def end_families(tx: Transaction, user_id: str, expires_at: int) -> list[str]:
    """Ends all sign-ins of a user; returns them."""
    rows = await tx.fetch("select family from refresh_families where user_id = $1", user_id)
    for (family,) in rows:
        await end_family(tx, family, expires_at)
    return [family for (family,) in rows]


async def forget_expired_families(database: Database, now: int) -> int:
    """Removes sign-ins that ended before that time, in short steps; returns how many."""
    return await remove_before(database, "refresh_families", "family", "expires_at", now)
