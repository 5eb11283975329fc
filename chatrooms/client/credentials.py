"""Credentials: the token in use, and where the next one comes from."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

EARLY = 30.0  # seconds before its end that a token is renewed, or a fifth of its life if that is less

Source = Callable[[], Awaitable[str]]


class Credentials:
    """Holds a token that is renewed before it ends, once for all that wait.

    The next one comes from `source`, or by `refresh` with the refresh token that came with the last.
    """

    def __init__(self, token: str, refresh_token: str, source: Source | None, refresh: Callable[[str], Any]) -> None:
        self.token = ""
        self.refresh_token = refresh_token
        self._source = source
        self._refresh = refresh
        self._renewing: asyncio.Task[None] | None = None
        self._renew_at = float("inf")
        self._take(token)

    @property
    def renewable(self) -> bool:
        return bool(self._source or self.refresh_token)

    def keep(self, tokens: dict[str, Any]) -> None:
        """Takes the answer of a sign-in."""
        self.refresh_token = tokens["refreshToken"]
        self._take(tokens["token"])

    async def fresh(self) -> str:
        """A token that is good for a while, or "" for none. Raises Refused, OSError."""
        if self.renewable and (not self.token or time.time() >= self._renew_at):
            await self._renew()
        return self.token

    async def renew(self, refused: str) -> bool:
        """Gets another token than the one that was refused; False when there is none."""
        if self.token == refused:
            if not self.renewable:
                return False
            await self._renew()
        return self.token != refused

    async def _renew(self) -> None:
        """One at a time; whoever gives up waiting does not stop it for the others."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._get_next())
        await asyncio.shield(self._renewing)

    async def _get_next(self) -> None:
        if self._source is not None:
            self._take(await self._source())
        else:
            self.keep(await self._refresh(self.refresh_token))

    def _take(self, token: str) -> None:
        self.token = token
        ends_at = expiry(token)
        self._renew_at = ends_at - min(EARLY, (ends_at - time.time()) / 5)


def expiry(token: str) -> float:
    """When a JWT ends, in seconds since 1970; infinity when it does not say. Nothing is verified."""
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (ValueError, LookupError, TypeError):
        return float("inf")
