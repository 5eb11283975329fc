"""Queries about accounts."""

from __future__ import annotations

from typing import NamedTuple

from chatrooms.clock import now_ms
from chatrooms.errors import Conflict
from chatrooms.log.database import Database, Source, Transaction
from chatrooms.names import folded, skeletons

_COLUMNS = "user_id, username, email, password_hash, role, state"
_INDEXED = "names-indexed"  # in `meta` once the names of all accounts are indexed
INDEXED_AT_ONCE = 500  # names in one transaction


class Account(NamedTuple):
    """A registered user. `state` is active, disabled or deleted."""

    user_id: str
    username: str
    email: str | None
    password_hash: str
    role: str
    state: str


class AccountQueries:
    """Queries about accounts outside a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_name(self, folded_name: str) -> Account | None:
        return await self._one("folded_name = $1", folded_name)

    async def looks_taken(self, name: str) -> bool:
        """Whether a display name looks like that of an account."""
        return await _is_taken(self._database, name)

    async def index_names(self) -> None:
        """Indexes the names of accounts from before there were skeletons, the oldest account first."""
        if await self._database.fetch("select 1 from meta where name = $1", _INDEXED):
            return
        after: tuple[int, str] | None = (-1, "")
        while after is not None:
            async with self._database.appending() as tx:
                after = await _index_some(tx, *after)

    async def by_email(self, email: str) -> Account | None:
        return await self._one("email = $1", email)

    async def by_id(self, user_id: str) -> Account | None:
        return await self._one("user_id = $1 and state <> 'deleted'", user_id)

    async def _one(self, condition: str, value: str) -> Account | None:
        rows = await self._database.fetch(f"select {_COLUMNS} from accounts where {condition}", value)
        return Account._make(rows[0]) if rows else None


async def add(tx: Transaction, account: Account) -> None:
    """Adds an account. Raises Conflict `name-taken` if its name or email is taken."""
    sql = f"""insert into accounts ({_COLUMNS}, folded_name, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict do nothing returning user_id"""
    taken = await _is_taken(tx, account.username)
    if taken or not await tx.fetch(sql, *account, folded(account.username), now_ms()):
        raise Conflict("name-taken", "That name or email is taken.")
    await _add_skeletons(tx, account.user_id, account.username)


async def role_of(tx: Transaction, user_id: str) -> str | None:
    """The role of an account, or None where there is none."""
    rows = await tx.fetch("select role from accounts where user_id = $1", user_id)
    return rows[0][0] if rows else None


async def hold(tx: Transaction, account: Account) -> bool:
    """Whether an account is active and has that password, until the end of the transaction."""
    sql = """update accounts set state = state where user_id = $1 and password_hash = $2 and state = 'active'
    returning user_id"""
    return bool(await tx.fetch(sql, account.user_id, account.password_hash))


async def set_password(tx: Transaction, user_id: str, password_hash: str) -> None:
    await tx.execute("update accounts set password_hash = $2 where user_id = $1", user_id, password_hash)


async def set_role(tx: Transaction, user_id: str, role: str) -> None:
    await tx.execute("update accounts set role = $2 where user_id = $1", user_id, role)


async def set_state(tx: Transaction, user_id: str, state: str) -> None:
    await tx.execute("update accounts set state = $2 where user_id = $1", user_id, state)


async def erase(tx: Transaction, user_id: str) -> None:
    """Erases an account except for its user_id, which stays blocked."""
    sql = """update accounts set username = null, folded_name = null, email = null, password_hash = null,
    state = 'deleted' where user_id = $1"""
    await tx.execute(sql, user_id)
    await tx.execute("delete from name_skeletons where user_id = $1", user_id)


async def _is_taken(source: Source, name: str) -> bool:
    """Looks up the name itself, too: an account has no skeletons if others had them before (`_index_some`)."""
    seen = skeletons(name)
    sql = """select 1 from name_skeletons where skeleton = $1 or skeleton = $2
    union all select 1 from accounts where folded_name = $3"""
    return bool(await source.fetch(sql, seen[0], seen[-1], folded(name)))


async def _add_skeletons(tx: Transaction, user_id: str, name: str) -> None:
    sql = "insert into name_skeletons (skeleton, user_id) values ($1, $2) on conflict do nothing"
    await tx.executemany(sql, [(skeleton, user_id) for skeleton in skeletons(name)])


async def _index_some(tx: Transaction, created_at: int, user_id: str) -> tuple[int, str] | None:
    """Indexes the next accounts after one; returns the last of them, or None when there are no more."""
    sql = """select created_at, user_id, username from accounts where username is not null
        and (created_at, user_id) > ($1, $2) order by created_at, user_id limit $3"""
    rows = await tx.fetch(sql, created_at, user_id, INDEXED_AT_ONCE)
    for _, account, name in rows:
        await _add_skeletons(tx, account, name)
    if rows:
        return rows[-1][:2]
    await tx.execute("insert into meta (name, value) values ($1, '1') on conflict do nothing", _INDEXED)
    return None
