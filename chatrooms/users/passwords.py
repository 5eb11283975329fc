"""Passwords: Argon2id, in few threads, so that a burst of sign-ins cannot hold the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from chatrooms.errors import BadRequest, Unavailable
from chatrooms.identity import Identity
from chatrooms.limits import Backoff, RateLimit
from chatrooms.log.database import Database, Transaction
from chatrooms.options import Options

SHORTEST = 8  # characters
LONGEST = 1024
THREADS = 2
MAX_WAITING = 100  # hashes; beyond it a sign-in is refused, not queued

# OWASP's recommendation for Argon2id.
MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1

T = TypeVar("T")


class Passwords:
    """Hashes and verifies. `verify` takes as long for an unknown user as for a known one."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self._pool = ThreadPoolExecutor(THREADS, "password")
        self._waiting = 0
        self._nobodys = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The hash to store. Raises BadRequest for a password that is too short or too long."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise BadRequest("bad-field", f"A password must have {SHORTEST} to {LONGEST} characters.")
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password matches the stored hash; `stored` is None for an unknown user."""
        right = await self._run(lambda: self._matches(stored or self._nobodys, password[: LONGEST + 1]))
        return right and stored is not None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (Argon2Error, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("unavailable", "Too many sign-ins at once: try again in a moment.", 2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


MINUTE, HOUR, DAY = 60.0, 3600.0, 86400
STRANGERS = 10  # times `signin-rate`: attempts per hour at one account from all unknown devices together
KNOWN = 90 * DAY  # seconds after its last sign-in for which a device is known
KNOWN_DEVICES = 20  # per account, addresses included; the least recent are forgotten


class Caller(NamedTuple):
    """Where a sign-in comes from: `device` is the value of a cookie, "" without one."""

    address: str
    device: str = ""


class Guesses:
    """Counts attempts, each as failed until it is reported as right. `signin-rate` 0 turns all of it off."""

    def __init__(self, database: Database, secret: str, options: Options, clock: Callable[[], float] = time.time):
        self._database = database
        self._key = hmac.digest(secret.encode(), b"chatrooms known devices", hashlib.sha256)
        self._clock = clock
        rate = options.signins_a_minute
        self._addresses = RateLimit(rate, MINUTE)
        self._strangers = RateLimit(rate * STRANGERS, HOUR)
        self._nobodys = RateLimit(rate * STRANGERS, HOUR)  # separate: made-up names must not push real ones out
        self._failures = Backoff(rate)

    def sign_up(self, address: str) -> None:
        """Counts a sign-up, with the sign-ins of its address. Raises TooMany."""
        self._addresses.spend(address)

    async def sign_in(self, name: str, user_id: str, caller: Caller) -> None:
        """Counts an attempt at the account of that name; `user_id` is "" if there is none. Raises TooMany."""
        by_address, by_cookie = self._devices(caller)
        # Looked up for unknown names, too: they must take as long.
        known = await known_devices(self._database, user_id, (by_address, by_cookie), self._now() - KNOWN)
        if by_cookie in known:
            return self._failures.attempt(f"{by_cookie} {name}")
        self._addresses.spend(caller.address)
        self._failures.attempt(f"{by_address} {name}")
        if by_address not in known:
            (self._strangers if user_id else self._nobodys).spend(name)

    async def signed_in(self, name: str, user_id: str, caller: Caller) -> None:
        """The attempt succeeded: the device is known from now on."""
        by_address, by_cookie = self._devices(caller)
        for device in (by_address, by_cookie):
            self._failures.succeed(f"{device} {name}")
        await self.know(user_id, caller)

    async def know(self, user_id: str, caller: Caller) -> None:
        """Remembers the device as one of that user's."""
        by_address, by_cookie = self._devices(caller)
        seen = (by_address, by_cookie) if caller.device else (by_address,)
        async with self._database.appending() as tx:
            await add_devices(tx, user_id, seen, self._now(), KNOWN_DEVICES)

    def confirm(self, who: Identity) -> None:
        """Counts an attempt at their own password by a signed-in user, separately. Raises TooMany."""
        self._failures.attempt(who.session)

    def confirmed(self, who: Identity) -> None:
        """The attempt succeeded."""
        self._failures.succeed(who.session)

    async def forget(self, tx: Transaction, user_id: str) -> None:
        """Forgets all devices of that user."""
        await forget_devices(tx, user_id)

    async def forget_expired(self) -> None:
        """Removes devices that have not signed in for a long time."""
        async with self._database.appending() as tx:
            await forget_devices_before(tx, self._now() - KNOWN)

    def _devices(self, caller: Caller) -> tuple[str, str]:
        """The keys of its address and of its cookie, which cannot be confused."""
        return self._hash("address", caller.address), self._hash("cookie", caller.device)

    def _hash(self, kind: str, value: str) -> str:
        return hmac.digest(self._key, f"{kind} {value}".encode(), hashlib.sha256).hex()[:32]

    def _now(self) -> int:
        return int(self._clock())


async def known_devices(database: Database, user_id: str, devices: Sequence[str], since: int) -> set[str]:
    """Which of two devices have been seen since that time (seconds since 1970)."""
    sql = "select device from known_devices where user_id = $1 and device in ($2, $3) and seen_at >= $4"
    return {device for (device,) in await database.fetch(sql, user_id, *devices, since)}


async def add_devices(tx: Transaction, user_id: str, devices: Sequence[str], now: int, most: int) -> None:
    """Stores devices, keeping only the most recent ones of a user."""
    sql = """insert into known_devices (user_id, device, seen_at) values ($1, $2, $3)
    on conflict (user_id, device) do update set seen_at = excluded.seen_at"""
    await tx.executemany(sql, [(user_id, device, now) for device in devices])
    newest = "select device from known_devices where user_id = $1 order by seen_at desc limit $2"
    await tx.execute(f"delete from known_devices where user_id = $1 and device not in ({newest})", user_id, most)


async def forget_devices(tx: Transaction, user_id: str) -> None:
    await tx.execute("delete from known_devices where user_id = $1", user_id)


async def forget_devices_before(tx: Transaction, time: int) -> None:
    await tx.execute("delete from known_devices where seen_at < $1", time)
