"""Signing in and staying signed in (section 2)."""

from __future__ import annotations

import msgspec

from chatrooms import names
from chatrooms.accounts import SignedIn
from chatrooms.errors import NotFound
from chatrooms.handlers.base import Handler


class GuestBody(msgspec.Struct):
    username: str


class RefreshBody(msgspec.Struct, rename="camel"):
    refresh_token: str


class ExtendBody(msgspec.Struct, rename="camel"):
    client_id: str


class Guest(Handler):
    async def post(self) -> None:
        body = self.body(GuestBody)
        address = self.access.address(self.request)
        self.answer(_tokens(await self.server.accounts.guest(body.username, address)), 201)


class Refresh(Handler):
    async def post(self) -> None:
        body = self.body(RefreshBody)
        self.answer(_tokens(await self.server.accounts.refresh(body.refresh_token)))


class Extend(Handler):
    """Keeps the streams of a client open until its fresh token expires."""

    async def post(self) -> None:
        who = self.identity()
        client_id = names.client_id(self.body(ExtendBody).client_id)
        if not self.server.rooms.extend(who.user_id, client_id, who.expires_at):
            raise NotFound("not-found", "This clientId has no open stream.")
        self.answer({"expiresAt": int(who.expires_at * 1000)})


def _tokens(signed_in: SignedIn) -> dict[str, object]:
    return {
        "token": signed_in.token,
        "refreshToken": signed_in.refresh_token,
        "expiresIn": signed_in.expires_in,
        "user": {"userId": signed_in.user_id, "username": signed_in.username, "role": signed_in.role},
    }


ROUTES = [
    (r"/api/auth/guest", Guest),
    (r"/api/auth/refresh", Refresh),
    (r"/api/auth/extend", Extend),
]
