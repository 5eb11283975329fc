"""Guesses at passwords: slow for whoever makes them, and no way to lock somebody else out.

Each device has a count of its own for each account: after some failures in a row each next try has to
wait twice as long. Devices that never signed in to the account share one more count, which bounds what
a thousand addresses guess together; that one may be used up by anybody, so it does not concern the
devices that did. A device is known by its address, or by a cookie wherever it is (as in OWASP's "Slow
Down Online Guessing Attacks with Device Cookies"); one that brings the cookie does not share the count
of its address either.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import NamedTuple

from chatrooms.identity.tokens import Identity
from chatrooms.limits import Backoff, RateLimit
from chatrooms.options import Options
from chatrooms.storage import devices
from chatrooms.storage.database import Database, Transaction

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400
STRANGERS = 10  # times `signin-rate`: guesses an hour at one account from all unknown devices together
KNOWN = 90 * DAY  # seconds since its last sign-in that a device is known
KNOWN_DEVICES = 20  # of one account, addresses included; the least recent are forgotten


class Caller(NamedTuple):
    """From where somebody signs in: `device` is what a cookie says, "" without one."""

    address: str
    device: str = ""


class Guesses:
    """Counts attempts; each counts as failed until `succeed` is told. 0 as `signin-rate` turns all off."""

    def __init__(self, database: Database, secret: str, options: Options, clock: Callable[[], float] = time.time):
        self._database = database
        self._key = hmac.digest(secret.encode(), b"chatrooms known devices", hashlib.sha256)
        self._clock = clock
        rate = options.signins_a_minute
        self._addresses = RateLimit(rate, MINUTE)
        self._strangers = RateLimit(rate * STRANGERS, HOUR)
        self._nobodys = RateLimit(rate * STRANGERS, HOUR)  # apart: names made up must not push real ones out
        self._failures = Backoff(rate)

    def sign_up(self, address: str) -> None:
        """Counts a sign-up, with the sign-ins of its address. Raises TooMany."""
        self._addresses.spend(address)

    async def sign_in(self, name: str, user_id: str, caller: Caller) -> None:
        """Counts an attempt at the account of that name; `user_id` is "" when there is none. Raises TooMany."""
        by_address, by_cookie = self._devices(caller)
        # Asked also for nobody, who must take as long.
        known = await devices.known(self._database, user_id, (by_address, by_cookie), self._now() - KNOWN)
        if by_cookie in known:
            return self._failures.attempt(f"{by_cookie} {name}")
        self._addresses.spend(caller.address)
        self._failures.attempt(f"{by_address} {name}")
        if by_address not in known:
            (self._strangers if user_id else self._nobodys).spend(name)

    async def signed_in(self, name: str, user_id: str, caller: Caller) -> None:
        """The attempt was right: the device is known from now on."""
        by_address, by_cookie = self._devices(caller)
        for device in (by_address, by_cookie):
            self._failures.succeed(f"{device} {name}")
        await self.know(user_id, caller)

    async def know(self, user_id: str, caller: Caller) -> None:
        """The device is one of that user's."""
        by_address, by_cookie = self._devices(caller)
        seen = (by_address, by_cookie) if caller.device else (by_address,)
        async with self._database.appending() as tx:
            await devices.add(tx, user_id, seen, self._now(), KNOWN_DEVICES)

    def confirm(self, who: Identity) -> None:
        """Counts an attempt at one's own password by who is signed in: nobody else's count. Raises TooMany."""
        self._failures.attempt(who.session)

    def confirmed(self, who: Identity) -> None:
        """It was right."""
        self._failures.succeed(who.session)

    async def forget(self, tx: Transaction, user_id: str) -> None:
        """No device of that user is known any more."""
        await devices.forget(tx, user_id)

    async def forget_expired(self) -> None:
        """Removes the devices that did not sign in for long."""
        async with self._database.appending() as tx:
            await devices.forget_before(tx, self._now() - KNOWN)

    def _devices(self, caller: Caller) -> tuple[str, str]:
        """What stands for its address and for its cookie. Neither can be taken for the other."""
        return self._hash("address", caller.address), self._hash("cookie", caller.device)

    def _hash(self, kind: str, value: str) -> str:
        return hmac.digest(self._key, f"{kind} {value}".encode(), hashlib.sha256).hex()[:32]

    def _now(self) -> int:
        return int(self._clock())
