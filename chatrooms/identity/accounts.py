"""Accounts: guests, sign-up, sign-in, passwords, and their end."""

from __future__ import annotations

import secrets

from chatrooms import names
from chatrooms.errors import Conflict, Forbidden, NotFound, Unauthorized
from chatrooms.event import Event
from chatrooms.identity.gate import blocked
from chatrooms.identity.passwords import Passwords
from chatrooms.identity.signins import SignedIn, SignIns
from chatrooms.identity.tokens import FOREIGN, Identity
from chatrooms.limits import RateLimit
from chatrooms.options import Options
from chatrooms.storage import accounts as queries
from chatrooms.storage import memberships, replies
from chatrooms.storage.accounts import Account, AccountQueries
from chatrooms.storage.database import Database, Transaction
from chatrooms.storage.log import Log

MINUTE = 60.0
GUEST = "guest-"  # how the userIds begin that guests are given


class Accounts:
    """The registered users of a server, and its guests."""

    def __init__(self, database: Database, log: Log, signins: SignIns, options: Options) -> None:
        self._database = database
        self._log = log
        self._signins = signins
        self._stored = AccountQueries(database)
        self._passwords = Passwords()
        self._guests = options.guests
        self._guest_rate = RateLimit(options.guests_a_minute, MINUTE)
        self._rate = RateLimit(options.signins_a_minute, MINUTE)

    def close(self) -> None:
        self._passwords.close()

    async def guest(self, username: str, address: str) -> SignedIn:
        """A new user with that name and no password.

        Raises Forbidden `guests-off`, BadRequest, Conflict `name-taken`, TooMany for the address.
        """
        if not self._guests:
            raise Forbidden("guests-off", "Guests are not allowed here: sign in instead.")
        username = names.username(username)
        self._guest_rate.spend(address)
        if await self._stored.by_name(names.folded(username)) is not None:
            raise Conflict("name-taken", "A registered user has that name.")
        return await self._signins.begin(f"{GUEST}{secrets.token_hex(8)}", username, "user")

    async def sign_up(
        self, username: str, email: str, password: str, address: str, who: Identity | None = None
    ) -> SignedIn:
        """A new account; a guest of this server (`who`) becomes it, and keeps its userId and all that is its.

        Raises BadRequest, Conflict `name-taken`, Conflict `conflict` for a guest that is an account by now,
        TooMany for the address.
        """
        username, email = names.username(username), names.email(email)
        self._rate.spend(f"address {address}")
        hashed = await self._passwords.hash(password)
        account = new_account(username, email, hashed, "user")
        if who is not None and came_as_guest(who):
            return await self._signins.upgrade(who, account._replace(user_id=who.user_id))
        async with self._database.transaction() as tx:
            await queries.add(tx, account)
        return await self._signins.begin(account.user_id, account.username, account.role)

    async def is_guest(self, who: Identity) -> bool:
        """Whether this is a guest of this server that has no account."""
        return came_as_guest(who) and await self._stored.by_id(who.user_id) is None

    async def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """A sign-in by user name or email.

        Raises Unauthorized, the same and after the same time for an unknown name and a wrong
        password; Forbidden `account-disabled`; TooMany for the address and for the name.
        """
        folded = names.folded(name)
        self._rate.spend(f"address {address}")
        self._rate.spend(f"name {folded}")
        account = await self._find(name)
        if not await self._passwords.verify(account.password_hash if account else None, password):
            raise Unauthorized("credentials-invalid", "The name or the password is wrong.")
        assert account is not None
        if account.state != "active":
            raise Forbidden("account-disabled", "This account is disabled.")
        return await self._signins.begin(account.user_id, account.username, account.role)

    async def change_password(self, who: Identity, current: str, new: str) -> SignedIn:
        """A new password; all sign-ins of the account end but the one this begins.

        Raises Unauthorized for a wrong current one, BadRequest for a bad new one, NotFound for a
        user without an account.
        """
        account = await self._own(who, current)
        hashed = await self._passwords.hash(new)
        async with self._database.transaction() as tx:
            await queries.set_password(tx, account.user_id, hashed)
        await self._signins.end_all(account.user_id)
        return await self._signins.begin(account.user_id, account.username, account.role)

    async def delete(self, who: Identity, password: str) -> None:
        """Removes the caller's account, its private AI replies and what it tells of a person; its messages stay.

        Raises Unauthorized for a wrong password, NotFound for a user without an account.
        """
        account = await self._own(who, password)

        async def command(tx: Transaction) -> list[Event]:
            await queries.erase(tx, account.user_id)
            await replies.forget_private(tx, account.user_id)
            await memberships.remove_all(tx, account.user_id)
            return [blocked(account.user_id)]

        await self._log.append((), command)
        await self._signins.end_all(account.user_id)

    async def _find(self, name: str) -> Account | None:
        if "@" in name:
            account = await self._stored.by_email(name.strip().casefold())
            if account is not None:
                return account
        return await self._stored.by_name(names.folded(name))

    async def _own(self, who: Identity, password: str) -> Account:
        account = await self._stored.by_id(who.user_id)
        if account is None:
            raise NotFound("not-found", "This user has no account here.")
        self._rate.spend(f"name {names.folded(account.username)}")
        if not await self._passwords.verify(account.password_hash, password):
            raise Unauthorized("credentials-invalid", "The password is wrong.")
        return account


def new_account(username: str, email: str | None, password_hash: str, role: str) -> Account:
    """An account that is not stored yet; `username` and `email` are normalised."""
    return Account(f"user-{secrets.token_hex(8)}", username, email, password_hash, role, "active")


def came_as_guest(who: Identity) -> bool:
    """Whether this server once let that user in as a guest; a token made elsewhere may claim any userId."""
    return who.user_id.startswith(GUEST) and not who.session.startswith(FOREIGN)
