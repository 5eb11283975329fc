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
from chatrooms.event import Event
from chatrooms.identity.gate import renewed, revoked
from chatrooms.identity.tokens import Identity, Tokens
from chatrooms.options import Options
from chatrooms.storage import accounts, families
from chatrooms.storage.accounts import Account
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.log import Log


class SignedIn(NamedTuple):
    """What a sign-in gives. `expires_in` is the access token's time in seconds."""

    token: str
    refresh_token: str
    expires_in: int
    user_id: str
    username: str | None
    role: str


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

    async def begin(self, user_id: str, username: str, role: str) -> SignedIn:
        """A new sign-in of a user."""
        family = self._new(user_id, username, role)
        async with self._database.transaction() as tx:
            await families.add(tx, family)
        return self._signed_in(family, 0)

    async def upgrade(self, guest: Identity, account: Account) -> SignedIn:
        """The account that a guest becomes, and its first sign-in, to which the guest's streams pass.

        The guest's own tokens end, also for who has copied them. Raises Conflict.
        """
        family = self._new(account.user_id, account.username, account.role)

        async def command(tx: Transaction) -> list[Event]:
            old = await families.find(tx, guest.session)
            known = await accounts.role_of(tx, guest.user_id) is not None
            if known or old is None or old.user_id != guest.user_id:
                raise Conflict("conflict", "This guest has an account by now: sign in.")
            await accounts.add(tx, account)
            await families.end(tx, guest.session, self._tokens_expiry())
            await families.add(tx, family)
            return [renewed(guest.session, family.family)]

        await self._log.append((), command)
        return self._signed_in(family, 0)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """New tokens for a refresh token. Raises Unauthorized `refresh-invalid`."""
        name, number = self._parse(refresh_token)
        async with self._database.transaction() as tx:
            family = await families.find(tx, name)
            if family is None or family.expires_at <= self._clock():
                raise _refused()
            if number >= family.used:
                await families.use(tx, name, number, self._expiry())
        if number < family.used:
            await self.end(name)
            raise _refused()
        return self._signed_in(family, number + 1)

    async def end(self, session: str, expires_at: float = 0.0) -> None:
        """Ends a sign-in: its refresh tokens, its access tokens, and its streams.

        `expires_at` is that of its longest token, when that was made elsewhere.
        """

        async def command(tx: Transaction) -> list[Event]:
            await families.end(tx, session, max(self._tokens_expiry(), int(expires_at) + 1))
            return [revoked(session)]

        await self._log.append((), command)

    async def end_all(self, user_id: str) -> None:
        """Ends all sign-ins of a user."""

        async def command(tx: Transaction) -> list[Event]:
            return [revoked(session) for session in await families.end_all(tx, user_id, self._tokens_expiry())]

        await self._log.append((), command)

    async def forget_expired(self) -> None:
        """Removes sign-ins that can no longer be renewed."""
        async with self._database.transaction() as tx:
            await families.forget_expired(tx, int(self._clock()))

    def _new(self, user_id: str, username: str, role: str) -> families.Family:
        return families.Family(secrets.token_urlsafe(12), user_id, username, role, -1, self._expiry())

    def _signed_in(self, family: families.Family, number: int) -> SignedIn:
        user = (family.user_id, family.username, family.role)
        token = self._tokens.sign(*user, ttl=self._token_ttl, session=family.family)
        renewal = f"{family.family}.{number}.{self._mac(family.family, number)}"
        return SignedIn(token, renewal, int(self._token_ttl), *user)

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
        """When the last access token that was given out by now expires."""
        return int(self._clock() + self._token_ttl) + 1

    def _expiry(self) -> int:
        return int(self._clock() + self._refresh_ttl)


def _refused() -> Unauthorized:
    return Unauthorized("refresh-invalid", "The refresh token is not valid any more: sign in again.")
