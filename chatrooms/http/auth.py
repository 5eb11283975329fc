"""Signing in and staying signed in (section 2)."""

from __future__ import annotations

import re
import secrets

import msgspec
from msgspec import UNSET, UnsetType

from chatrooms import names
from chatrooms.errors import BadRequest, NotFound
from chatrooms.http.base import COOKIE, SAFE_METHODS, Handler
from chatrooms.http.openapi import operation
from chatrooms.identity import Identity
from chatrooms.users.authenticator import TICKET_TTL
from chatrooms.users.passwords import KNOWN, Caller
from chatrooms.users.signins import SignedIn

DEVICE_COOKIE = "chatrooms_device"  # grants no access; keeps other people's guesses from locking its holder out
DEVICE_BYTES = 16
PASSWORD = "correct horse"  # in examples

_DEVICE = re.compile(r"[\w-]{22}\Z", re.ASCII)


class GuestBody(msgspec.Struct):
    """The name of a guest."""

    username: str


class SignUpBody(msgspec.Struct):
    """A new account."""

    username: str
    email: str
    password: str


class SignInBody(msgspec.Struct):
    """An account, by username or email, and its password."""

    password: str
    username: str = ""
    email: str = ""


class RefreshBody(msgspec.Struct, rename="camel"):
    """The token by which a sign-in is renewed."""

    refresh_token: str


class ExtendBody(msgspec.Struct, rename="camel"):
    """The client whose streams are to outlive their token."""

    client_id: str


class PasswordBody(msgspec.Struct, rename="camel"):
    """A change of password."""

    current_password: str
    new_password: str


class DeleteBody(msgspec.Struct):
    """The password that confirms the deletion of an account."""

    password: str


class User(msgspec.Struct, rename="camel"):
    """A user; `guest` is present only for guests without an account."""

    user_id: str
    username: str | None
    role: str
    guest: bool | UnsetType = UNSET


class CurrentUser(User, kw_only=True):
    """The user of a token, which expires at `expiresAt`, in milliseconds since 1970."""

    expires_at: int


class Tokens(msgspec.Struct, rename="camel"):
    """A sign-in; `token` is valid for `expiresIn` seconds."""

    token: str
    refresh_token: str
    expires_in: int
    user: User


class TokenPair(msgspec.Struct):
    """The tokens of a sign-in."""

    access_token: str
    refresh_token: str


class SignInTokens(Tokens):
    """A sign-in, with its tokens again in `data`, where some clients expect them."""

    data: TokenPair


class OneUseTicket(msgspec.Struct, rename="camel"):
    """A ticket, valid for `expiresIn` seconds."""

    ticket: str
    expires_in: int


class Expiry(msgspec.Struct, rename="camel"):
    """When the streams end, in milliseconds since 1970."""

    expires_at: int


class _AuthHandler(Handler):
    """Answers with tokens, and keeps the cookie of our pages in step."""

    @property
    def address(self) -> str:
        return self.access.address(self.request)

    def caller(self) -> Caller:
        """Where the call comes from. Our pages get a device cookie, which identifies them at any address."""
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
        """Sets the token cookie, for our own pages only."""
        if not self.access.ours(self.request):
            return
        self._keep_cookie(COOKIE, token, int(self.server.options.token_ttl))

    def _keep_cookie(self, name: str, value: str, ttl: int) -> None:
        secure = self.access.scheme(self.request) == "https"
        self.set_cookie(name, value, max_age=ttl, path="/", httponly=True, samesite="Lax", secure=secure)


class _EntryHandler(_AuthHandler):
    """Signs somebody in, but not for a page of another site, whose form could sign its visitors in."""

    async def prepare(self) -> None:
        await super().prepare()
        if self.request.method not in SAFE_METHODS:
            self.access.check_origin(self.request)


class Guest(_EntryHandler):
    @operation(
        {201: Tokens}, body=GuestBody, example={"username": "Ada"}, errors=("guests-off", "name-taken"),
        token="none",
    )  # fmt: skip
    async def post(self) -> None:
        """Signs in a guest."""
        body = self.body(GuestBody)
        self.answer(_tokens(await self.server.accounts.guest(body.username, self.address)), 201)


class SignUp(_EntryHandler):
    @operation(
        {201: Tokens}, body=SignUpBody, example={"username": "Ada", "email": "ada@example.org", "password": PASSWORD},
        errors=("name-taken", "conflict", "credentials-invalid"), token="optional",
    )  # fmt: skip
    async def post(self) -> None:
        """Creates an account; guests who send their token in the header keep their userId."""
        body = self.body(SignUpBody)
        accounts = self.server.accounts
        made = await accounts.sign_up(body.username, body.email, body.password, self.address, self._guest())
        self.answer(_tokens(made), 201)

    def _guest(self) -> Identity | None:
        """The guest who is signing up, if a token in the header says so. Raises Unauthorized for a bad token."""
        scheme = self.request.headers.get("Authorization", "").partition(" ")[0]
        return self.identity() if scheme.lower() == "bearer" else None


class SignIn(_EntryHandler):
    @operation(
        {200: SignInTokens}, body=SignInBody, example={"username": "Ada", "password": PASSWORD},
        errors=("credentials-invalid", "account-disabled"), token="none",
    )  # fmt: skip
    async def post(self) -> None:
        """Signs in by name or email, and sets the cookie for pages."""
        body = self.body(SignInBody)
        name = body.email or body.username
        if not name:
            raise BadRequest("bad-field", "Give username or email.")
        caller = self.caller()
        signed_in = await self.server.accounts.sign_in(name, body.password, caller)
        self.set_token_cookie(signed_in.token)
        self.keep_device(caller)
        one = _tokens(signed_in)
        pair = TokenPair(one.token, one.refresh_token)
        self.answer(SignInTokens(one.token, one.refresh_token, one.expires_in, one.user, pair))


class Refresh(_EntryHandler):
    @operation(
        {200: Tokens}, body=RefreshBody, example={"refreshToken": "q5Zc1vJ8"},
        errors=("refresh-invalid",), token="none",
    )  # fmt: skip
    async def post(self) -> None:
        """Renews a sign-in; a refresh token yields the same successor until that one has been used."""
        body = self.body(RefreshBody)
        self.give(await self.server.signins.refresh(body.refresh_token))


class SignOut(_AuthHandler):
    @operation({204: None})
    async def post(self) -> None:
        """Signs out: the tokens of this sign-in are refused from now on, and its streams end."""
        who = self.identity()
        self.server.quotas.sign_out(who)
        await self.server.signins.end(who.session, who.user_id, who.expires_at)
        self.clear_cookie(COOKIE, path="/", httponly=True, samesite="Lax")
        self.set_status(204)


class Ticket(_AuthHandler):
    @operation({201: OneUseTicket})
    async def post(self) -> None:
        """Issues a one-time ticket for a stream, so that its URL contains no token."""
        who = self.identity()
        self.answer(OneUseTicket(await self.server.authenticator.ticket(who), TICKET_TTL), 201)


class Extend(_AuthHandler):
    @operation({200: Expiry}, body=ExtendBody, example={"clientId": "tab-1"}, errors=("not-found",))
    async def post(self) -> None:
        """Keeps a client's streams open until its fresh token expires."""
        who = self.identity()
        client_id = names.client_id(self.body(ExtendBody).client_id)
        if not await self.server.orders.extend(who, client_id):
            raise NotFound("not-found", "This clientId has no open stream.")
        self.answer(Expiry(int(who.expires_at * 1000)))


class Password(_AuthHandler):
    @operation(
        {200: Tokens}, body=PasswordBody, example={"currentPassword": PASSWORD, "newPassword": "a longer horse"},
        errors=("credentials-invalid", "account-disabled", "not-found"),
    )  # fmt: skip
    async def post(self) -> None:
        """Changes the password; every other sign-in of the account ends."""
        who = self.identity()
        body = self.body(PasswordBody)
        caller = self.caller()
        signed_in = await self.server.accounts.change_password(who, body.current_password, body.new_password, caller)
        self.keep_device(caller)
        self.give(signed_in)


class Me(_AuthHandler):
    @operation({200: CurrentUser})
    async def get(self) -> None:
        """Returns the user of the token."""
        who = self.identity()
        expires_at = int(who.expires_at * 1000)
        self.answer(CurrentUser(who.user_id, who.username, who.role, _marked(who.guest), expires_at=expires_at))

    @operation(
        {204: None}, body=DeleteBody, example={"password": PASSWORD}, errors=("credentials-invalid", "not-found")
    )
    async def delete(self) -> None:
        """Deletes the account and its data; its messages in rooms stay."""
        who = self.identity()
        await self.server.accounts.delete(who, self.body(DeleteBody).password)
        self.clear_cookie(COOKIE, path="/", httponly=True, samesite="Lax")
        self.set_status(204)


def _tokens(one: SignedIn) -> Tokens:
    user = User(one.user_id, one.username, one.role, _marked(one.guest))
    return Tokens(one.token, one.refresh_token, one.expires_in, user)


def _marked(guest: bool) -> bool | UnsetType:
    return True if guest else UNSET


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
