"""Queries about accounts."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.clock import now_ms
from chatrooms.errors import Conflict
from chatrooms.names import folded
from chatrooms.storage.database import Database, Transaction

_COLUMNS = "user_id, username, email, password_hash, role, state"


class Account(NamedTuple):
    """A registered user. `state` is active, disabled or deleted."""

    user_id: str
    username: str
    email: str | None
    password_hash: str
    role: str
    state: str


class AccountQueries:
    """What is asked about accounts outside a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_name(self, folded_name: str) -> Account | None:
        return await self._one("folded_name = $1", folded_name)

    async def by_email(self, email: str) -> Account | None:
        return await self._one("email = $1", email)

    async def by_id(self, user_id: str) -> Account | None:
        return await self._one("user_id = $1 and state <> 'deleted'", user_id)

    async def _one(self, condition: str, value: str) -> Account | None:
        rows = await self._database.fetch(f"select {_COLUMNS} from accounts where {condition}", value)
        return Account._make(rows[0]) if rows else None


async def add(tx: Transaction, account: Account) -> None:
    """Adds an account. Raises Conflict `name-taken` when its name or email is."""
    # In one statement: sign-ups and upgrades of guests are not under the same lock.
    sql = f"""insert into accounts ({_COLUMNS}, folded_name, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict do nothing returning user_id"""
    if not await tx.fetch(sql, *account, folded(account.username), now_ms()):
        raise Conflict("name-taken", "That name or email is taken.")


async def role_of(tx: Transaction, user_id: str) -> str | None:
    """The role of an account, or None where there is none."""
    rows = await tx.fetch("select role from accounts where user_id = $1", user_id)
    return rows[0][0] if rows else None


async def set_password(tx: Transaction, user_id: str, password_hash: str) -> None:
    await tx.execute("update accounts set password_hash = $2 where user_id = $1", user_id, password_hash)


async def set_role(tx: Transaction, user_id: str, role: str) -> None:
    await tx.execute("update accounts set role = $2 where user_id = $1", user_id, role)


async def set_state(tx: Transaction, user_id: str, state: str) -> None:
    await tx.execute("update accounts set state = $2 where user_id = $1", user_id, state)


async def erase(tx: Transaction, user_id: str) -> None:
    """Leaves of an account only that its user_id is shut out."""
    sql = """update accounts set username = null, folded_name = null, email = null, password_hash = null,
    state = 'deleted' where user_id = $1"""
    await tx.execute(sql, user_id)
