"""Accounts: guests, sign-up, sign-in, passwords, and their end."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from chatrooms import names
from chatrooms.errors import Conflict, Forbidden, NotFound, Unauthorized
from chatrooms.identity import Identity
from chatrooms.limits import RateLimit
from chatrooms.log.database import Database, Transaction
from chatrooms.log.event import Event, purged
from chatrooms.log.log import Log
from chatrooms.names import is_reserved
from chatrooms.options import Options
from chatrooms.users.authenticator import blocked
from chatrooms.users.passwords import MINUTE, Caller, Guesses, Passwords
from chatrooms.users.signins import SignedIn, SignIns
from chatrooms.users.store import Account, AccountQueries, add, erase, hold, set_password


class Erasure(Protocol):
    """Removes what an account leaves behind besides messages in rooms."""

    async def begin(self, tx: Transaction, user_id: str, /) -> None:
        """Removes what goes with the commit that ends the account, and notes that the rest is to follow."""

    async def finish(self, database: Database, user_id: str, /) -> None:
        """Removes the rest. Raises Unavailable; then it is tried again later."""


class Accounts:
    """The registered users of a server, and its guests.

    `shown` says whether a name looks like that of a registered user who is in a room.
    """

    def __init__(
        self, database: Database, log: Log, signins: SignIns, secret: str, options: Options,
        shown: Callable[[str], bool], erasure: Erasure,
    ) -> None:  # fmt: skip
        self._database = database
        self._log = log
        self._signins = signins
        self._stored = AccountQueries(database)
        self._shown = shown
        self._erasure = erasure
        self._passwords = Passwords()
        self._guests = options.guests
        self._guest_rate = RateLimit(options.guests_a_minute, MINUTE)
        self._guesses = Guesses(database, secret, options)

    async def open(self) -> None:
        """Indexes names so that they can be compared. Raises Unavailable."""
        await self._stored.index_names()

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
        check_free(username)
        if self._shown(username) or await self._stored.looks_taken(username):
            raise Conflict("name-taken", "That name, or one that looks like it, belongs to a registered user.")
        return await self._signins.begin(f"guest-{secrets.token_hex(8)}", username, "user", guest=True)

    async def sign_up(
        self, username: str, email: str, password: str, address: str, who: Identity | None = None
    ) -> SignedIn:
        """A new account; a guest of this server (`who`) becomes it, and keeps its userId and everything it has.

        Raises BadRequest, Conflict `name-taken`, Conflict `conflict` for a caller with an account,
        TooMany for the address.
        """
        username, email = names.username(username), names.email(email)
        self._guesses.sign_up(address)
        check_free(username)
        if who is not None and await self._stored.by_id(who.user_id) is not None:
            raise Conflict("conflict", "You already have an account: sign out to create another one.")
        hashed = await self._passwords.hash(password)
        account = new_account(username, email, hashed, "user")
        if who is not None and who.guest:
            account = account._replace(user_id=who.user_id)
            signed_in = await self._signins.upgrade(who, account)
            await self._guesses.know(account.user_id, Caller(address))
            return signed_in

        async def command(tx: Transaction) -> list[Event]:
            await add(tx, account)
            return []

        await self._log.append((), command)
        await self._guesses.know(account.user_id, Caller(address))
        return await self._signins.begin(account.user_id, account.username, account.role)

    async def sign_in(self, name: str, password: str, caller: Caller) -> SignedIn:
        """A sign-in by user name or email.

        Raises Unauthorized, the same and after the same time for an unknown name and a wrong
        password; Forbidden `account-disabled`; TooMany after too many guesses.
        """
        folded = names.folded(name)
        account = await self._find(name)
        await self._guesses.sign_in(folded, account.user_id if account else "", caller)
        if not await self._passwords.verify(account.password_hash if account else None, password):
            raise Unauthorized("credentials-invalid", "The name or the password is wrong.")
        assert account is not None
        if account.state != "active":
            raise Forbidden("account-disabled", "This account is disabled.")
        signed_in = await self._signins.begin(account.user_id, account.username, account.role, account)
        await self._guesses.signed_in(folded, account.user_id, caller)
        return signed_in

    async def change_password(self, who: Identity, current: str, new: str, caller: Caller) -> SignedIn:
        """A new password. All sign-ins of the account end except the one this begins; other devices are forgotten.

        Raises Unauthorized if the current one is wrong, BadRequest if the new one is unacceptable, NotFound for
        a user without an account.
        """
        account = await self._own(who, current)
        hashed = await self._passwords.hash(new)

        async def command(tx: Transaction) -> list[Event]:
            if not await hold(tx, account):
                raise Unauthorized("credentials-invalid", "The password has just been changed.")
            await set_password(tx, account.user_id, hashed)
            await self._guesses.forget(tx, account.user_id)
            return await self._signins.end_all(tx, account.user_id)

        await self._log.append((), command)
        await self._guesses.know(account.user_id, caller)
        return await self._signins.begin(account.user_id, account.username, account.role)

    async def delete(self, who: Identity, password: str) -> None:
        """Removes the caller's account and everything that is its own; its messages in rooms stay.

        That is personal data, memberships, sign-ins, invites, tasks with their results, private AI replies,
        notifications, and the messages of the sessions it owns. Returns when all is gone; what a failure leaves
        is removed by the next round of housekeeping. Raises Unauthorized for a wrong password, NotFound for a
        user without an account.
        """
        account = await self._own(who, password)

        async def command(tx: Transaction) -> list[Event]:
            await erase(tx, account.user_id)
            await self._erasure.begin(tx, account.user_id)
            await self._guesses.forget(tx, account.user_id)
            return [blocked(account.user_id), purged(), *await self._signins.end_all(tx, account.user_id)]

        await self._log.append((), command)
        await self._erasure.finish(self._database, account.user_id)

    async def forget_expired(self) -> None:
        """Forgets devices that have not signed in for a long time."""
        await self._guesses.forget_expired()

    async def _find(self, name: str) -> Account | None:
        """By name or email. Both are looked up, or the time taken would tell which emails are known."""
        by_email = await self._stored.by_email(name.strip().casefold()) if "@" in name else None
        by_name = await self._stored.by_name(names.folded(name))
        return by_email or by_name

    async def _own(self, who: Identity, password: str) -> Account:
        account = await self._stored.by_id(who.user_id)
        if account is None:
            raise NotFound("not-found", "This user has no account here.")
        self._guesses.confirm(who)
        if not await self._passwords.verify(account.password_hash, password):
            raise Unauthorized("credentials-invalid", "The password is wrong.")
        self._guesses.confirmed(who)
        return account


def check_free(username: str) -> None:
    """Raises Conflict `name-taken` for a name that speaks for the server, or looks like one."""
    if is_reserved(username):
        raise Conflict("name-taken", "That name is reserved.")


def new_account(username: str, email: str | None, password_hash: str, role: str) -> Account:
    """An account that is not stored yet; `username` and `email` are normalised."""
    return Account(f"user-{secrets.token_hex(8)}", username, email, password_hash, role, "active")
