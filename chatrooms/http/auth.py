"""Signing in and staying signed in (section 2)."""

from __future__ import annotations

import re
import secrets

import msgspec

from chatrooms import names
from chatrooms.errors import BadRequest, NotFound
from chatrooms.http.base import COOKIE, SAFE_METHODS, Handler
from chatrooms.identity import Identity
from chatrooms.rooms.presence import as_guest
from chatrooms.users.authenticator import TICKET_TTL
from chatrooms.users.passwords import KNOWN, Caller
from chatrooms.users.signins import SignedIn

DEVICE_COOKIE = "chatrooms_device"  # lets nobody in; only guesses of others do not lock out who has it
DEVICE_BYTES = 16

_DEVICE = re.compile(r"[\w-]{22}\Z", re.ASCII)


class GuestBody(msgspec.Struct):
    username: str


class SignUpBody(msgspec.Struct):
    username: str
    email: str
    password: str


class SignInBody(msgspec.Struct):
    password: str
    username: str = ""
    email: str = ""


class RefreshBody(msgspec.Struct, rename="camel"):
    refresh_token: str


class ClientBody(msgspec.Struct, rename="camel"):
    client_id: str


class PasswordBody(msgspec.Struct, rename="camel"):
    current_password: str
    new_password: str


class DeleteBody(msgspec.Struct):
    password: str


class _AuthHandler(Handler):
    """Answers with tokens, and keeps the cookie of pages in step."""

    @property
    def address(self) -> str:
        return self.access.address(self.request)

    def caller(self) -> Caller:
        """From where this comes; a page of ours has a cookie by which it is known elsewhere, too, or gets one."""
        if not self.access.ours(self.request) or "Origin" not in self.request.headers:
            return Caller(self.address)
        device = self.get_cookie(DEVICE_COOKIE) or ""
        return Caller(self.address, device if _DEVICE.match(device) else secrets.token_urlsafe(DEVICE_BYTES))

    def keep_device(self, caller: Caller) -> None:
        if caller.device:
            self._keep_cookie(DEVICE_COOKIE, caller.device, KNOWN)

    def give(self, signed_in: SignedIn, status: int = 200) -> None:
        if self.get_cookie(COOKIE):
            self.set_token_cookie(signed_in.token)
        self.answer(_tokens(signed_in), status)

    def set_token_cookie(self, token: str) -> None:
        """Keeps the token for our own pages, and for nobody's else."""
        if not self.access.ours(self.request):
            return
        self._keep_cookie(COOKIE, token, int(self.server.options.token_ttl))

    def _keep_cookie(self, name: str, value: str, ttl: int) -> None:
        secure = self.access.scheme(self.request) == "https"
        self.set_cookie(name, value, max_age=ttl, path="/", httponly=True, samesite="Lax", secure=secure)


class _EntryHandler(_AuthHandler):
    """Lets somebody in, but not whom a page of another site sends: a form of it could sign its visitors in."""

    async def prepare(self) -> None:
        await super().prepare()
        if self.request.method not in SAFE_METHODS:
            self.access.check_origin(self.request)


class Guest(_EntryHandler):
    async def post(self) -> None:
        body = self.body(GuestBody)
        self.answer(_tokens(await self.server.accounts.guest(body.username, self.address)), 201)


class SignUp(_EntryHandler):
    """A new account; with a guest's token that guest becomes it."""

    async def post(self) -> None:
        body = self.body(SignUpBody)
        accounts = self.server.accounts
        made = await accounts.sign_up(body.username, body.email, body.password, self.address, self._guest())
        self.answer(_tokens(made), 201)

    def _guest(self) -> Identity | None:
        """Who signs up, if it says so by a token in the header. Raises Unauthorized for a bad one."""
        scheme = self.request.headers.get("Authorization", "").partition(" ")[0]
        return self.identity() if scheme.lower() == "bearer" else None


class SignIn(_EntryHandler):
    """Signs in by name or email; sets the cookie for pages."""

    async def post(self) -> None:
        body = self.body(SignInBody)
        name = body.email or body.username
        if not name:
            raise BadRequest("bad-field", "Give username or email.")
        caller = self.caller()
        signed_in = await self.server.accounts.sign_in(name, body.password, caller)
        self.set_token_cookie(signed_in.token)
        self.keep_device(caller)
        # The second shape is where clients of other servers look for it.
        data = {"access_token": signed_in.token, "refresh_token": signed_in.refresh_token}
        self.answer({**_tokens(signed_in), "data": data})


class Refresh(_EntryHandler):
    async def post(self) -> None:
        body = self.body(RefreshBody)
        self.give(await self.server.signins.refresh(body.refresh_token))


class SignOut(_AuthHandler):
    async def post(self) -> None:
        who = self.identity()
        self.server.quotas.sign_out(who)
        await self.server.signins.end(who.session, who.user_id, who.expires_at)
        self.clear_cookie(COOKIE, path="/", httponly=True, samesite="Lax")
        self.set_status(204)


class Ticket(_AuthHandler):
    """A one-use ticket, so that no token stands in a stream's URL."""

    async def post(self) -> None:
        who = self.identity()
        self.answer({"ticket": await self.server.authenticator.ticket(who), "expiresIn": TICKET_TTL}, 201)


class Extend(_AuthHandler):
    """Keeps the streams of a client open until its fresh token expires."""

    async def post(self) -> None:
        who = self.identity()
        client_id = names.client_id(self.body(ClientBody).client_id)
        if not await self.server.orders.extend(who, client_id):
            raise NotFound("not-found", "This clientId has no open stream.")
        self.answer({"expiresAt": int(who.expires_at * 1000)})


class Password(_AuthHandler):
    """Changes the password; every other sign-in of the account ends."""

    async def post(self) -> None:
        who = self.identity()
        body = self.body(PasswordBody)
        caller = self.caller()
        signed_in = await self.server.accounts.change_password(who, body.current_password, body.new_password, caller)
        self.keep_device(caller)
        self.give(signed_in)


class Me(_AuthHandler):
    """Who the token says you are; DELETE removes the account."""

    async def get(self) -> None:
        who = self.identity()
        user = _user(who.user_id, who.username, who.role, who.guest)
        self.answer({**user, "expiresAt": int(who.expires_at * 1000)})

    async def delete(self) -> None:
        who = self.identity()
        await self.server.accounts.delete(who, self.body(DeleteBody).password)
        self.clear_cookie(COOKIE, path="/", httponly=True, samesite="Lax")
        self.set_status(204)


def _tokens(signed_in: SignedIn) -> dict[str, object]:
    return {
        "token": signed_in.token,
        "refreshToken": signed_in.refresh_token,
        "expiresIn": signed_in.expires_in,
        "user": _user(signed_in.user_id, signed_in.username, signed_in.role, signed_in.guest),
    }


def _user(user_id: str, username: str | None, role: str, guest: bool) -> dict[str, object]:
    """A user; `guest` is there when it is one."""
    return {"userId": user_id, "username": username, "role": role, **as_guest(guest)}


ROUTES = [
    (r"/api/auth/guest", Guest),
    (r"/api/auth/refresh", Refresh),
    (r"/api/auth/extend", Extend),
    (r"/api/signup", SignUp),
    (r"/api/signin", SignIn),
    (r"/api/auth/signout", SignOut),
    (r"/api/auth/ticket", Ticket),
    (r"/api/auth/password", Password),
    (r"/api/auth/me", Me),
]
