"""Passwords: Argon2id, in few threads, so that a burst of sign-ins cannot hold the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from chatrooms.errors import BadRequest, Unavailable

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
    """Hashes and verifies. `verify` takes as long for a user who is not there as for one who is."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self._pool = ThreadPoolExecutor(THREADS, "password")
        self._waiting = 0
        self._nobodys = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The hash to be stored. Raises BadRequest for a password too short or too long."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise BadRequest("bad-field", f"A password must have {SHORTEST} to {LONGEST} characters.")
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one's; `stored` is None for a user who is not there."""
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
            raise Unavailable("unavailable", "Too many sign-ins at once.", 2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1
