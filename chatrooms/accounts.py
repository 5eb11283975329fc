"""Accounts: signing in, and staying signed in.

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

from chatrooms import names
from chatrooms.errors import Forbidden, Unauthorized
from chatrooms.limits import RateLimit
from chatrooms.options import Options
from chatrooms.storage import families
from chatrooms.storage.database import SQLite
from chatrooms.tokens import Tokens

MINUTE = 60.0


class SignedIn(NamedTuple):
    """What a sign-in gives. `expires_in` is the access token's time in seconds."""

    token: str
    refresh_token: str
    expires_in: int
    user_id: str
    username: str | None
    role: str


class Accounts:
    """Signs people in and renews their tokens."""

    def __init__(
        self, database: SQLite, tokens: Tokens, secret: str, options: Options,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._database = database
        self._tokens = tokens
        self._key = hmac.digest(secret.encode(), b"chatrooms refresh tokens", hashlib.sha256)
        self._token_ttl: float = options.token_ttl
        self._refresh_ttl: float = options.refresh_ttl
        self._guests = options.guests
        self._guest_rate = RateLimit(options.guests_a_minute, MINUTE)
        self._clock = clock

    async def guest(self, username: str, address: str) -> SignedIn:
        """A new user with that name and no password.

        Raises Forbidden `guests-off`, BadRequest for the name, TooMany for the caller's address.
        """
        if not self._guests:
            raise Forbidden("guests-off", "Guests are not allowed here: sign in instead.")
        username = names.username(username)
        self._guest_rate.spend(address)
        return await self._begin(f"guest-{secrets.token_hex(8)}", username, "user")

    async def refresh(self, refresh_token: str) -> SignedIn:
        """New tokens for a refresh token. Raises Unauthorized `refresh-invalid`."""
        name, number = self._parse(refresh_token)
        async with self._database.transaction() as tx:
            family = await families.find(tx, name)
            if family is None or family.revoked or family.expires_at <= self._clock():
                raise _refused()
            if number < family.used:
                await families.revoke(tx, name)
            else:
                await families.use(tx, name, number, self._refresh_expiry())
        if number < family.used:
            raise _refused()
        return self._signed_in(family, number + 1)

    async def forget_expired(self) -> None:
        """Removes sign-ins that can no longer be renewed."""
        async with self._database.transaction() as tx:
            await families.forget_expired(tx, int(self._clock()))

    async def _begin(self, user_id: str, username: str, role: str) -> SignedIn:
        name = secrets.token_urlsafe(12)
        family = families.Family(name, user_id, username, role, -1, False, self._refresh_expiry())
        async with self._database.transaction() as tx:
            await families.add(tx, family)
        return self._signed_in(family, 0)

    def _signed_in(self, family: families.Family, number: int) -> SignedIn:
        token = self._tokens.sign(family.user_id, family.username, family.role, self._token_ttl, family.family)
        renewal = f"{family.family}.{number}.{self._mac(family.family, number)}"
        return SignedIn(token, renewal, int(self._token_ttl), family.user_id, family.username, family.role)

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

    def _refresh_expiry(self) -> int:
        return int(self._clock() + self._refresh_ttl)


def _refused() -> Unauthorized:
    return Unauthorized("refresh-invalid", "The refresh token is not valid any more: sign in again.")
