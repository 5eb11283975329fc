"""`user`, `token`, `backup`, `restore`, `retention`: what operators do alongside the server.

`user` writes to the database whether or not the server runs; a running one notices within a second and
ends the streams of users who lost the right to them.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sqlite3
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from chatrooms import names, option_types, options
from chatrooms.datadir import Folder, copy, lock, put_back, stored_secret
from chatrooms.errors import BadRequest, ConfigError, Problem, StartFailure, Unavailable
from chatrooms.log import FILE, database_of
from chatrooms.log.database import Database
from chatrooms.log.log import Log
from chatrooms.options import Options
from chatrooms.server.housekeeping import Outcome, do_chores, run_out
from chatrooms.users import store
from chatrooms.users.accounts import new_account
from chatrooms.users.authenticator import changed
from chatrooms.users.passwords import Passwords
from chatrooms.users.signins import end_families
from chatrooms.users.store import Account, AccountQueries
from chatrooms.users.tokens import ROLES, Tokens

_UNUSED = {"CHATROOMS_SECRET": "no token is signed here"}  # otherwise a shared database would require it


def user(argv: Sequence[str]) -> int:
    """`user add|passwd|role|disable|enable NAME`; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    settings = Options({"data_dir": args.data_dir, "database_url": args.database_url}, {**os.environ, **_UNUSED})
    if not settings.database_url:
        Path(settings.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        print(asyncio.run(_run(args, settings)))
    except Problem as problem:
        raise (StartFailure if isinstance(problem, Unavailable) else ConfigError)(problem.sentence) from None
    except sqlite3.Error as error:
        raise ConfigError(f"the database refused the change: {error}") from None
    return 0


def token(argv: Sequence[str]) -> int:
    """`token USER_ID`: prints a token that the server accepts; an argument it would refuse exits with 2."""
    parser = ArgumentParser(prog="chatrooms token", description="Print a token signed with the server's secret.")
    parser.add_argument("user_id", metavar="USER_ID", type=_as(names.user_id), help="the user's id")
    parser.add_argument("--username", type=_as(names.username), help="the only name the user may use; default: any")
    parser.add_argument("--role", choices=ROLES, default="user")
    parser.add_argument("--ttl", type=option_types.seconds, default=86400.0, help="lifetime in seconds (default 86400)")
    parser.add_argument("--data-dir", help="the server's data folder (default ./data)")
    parser.add_argument("--secret", help="the server's secret, if it is not in the data folder")
    args = parser.parse_args(argv)
    settings = Options({"data_dir": args.data_dir, "secret": args.secret}, os.environ)
    data_dir = Path(settings.data_dir)
    if not settings.secret:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = settings.secret or stored_secret(data_dir)
    tokens = Tokens(secret, audience=settings.jwt_audience, issuer=settings.jwt_issuer)
    print(tokens.sign(args.user_id, args.username, args.role, args.ttl))
    return 0


async def _run(args: Namespace, settings: Options) -> str:
    database = database_of(settings.database_url, Path(settings.data_dir))
    await database.open()
    try:
        if args.action == "add":
            return await _add(database, args)
        return await _change(database, args, settings)
    finally:
        await database.close()


async def _add(database: Database, args: Namespace) -> str:
    email = names.email(args.email) if args.email else None
    hashed = await _hashed(_password())
    account = new_account(names.username(args.name), email, hashed, args.role)
    await AccountQueries(database).index_names()
    async with database.appending() as tx:
        await store.add(tx, account)
    return f"{account.username} is {account.user_id}, {account.role}"


async def _change(database: Database, args: Namespace, settings: Options) -> str:
    account = await _find(database, args.name)
    hashed = await _hashed(_password()) if args.action == "passwd" else ""
    async with database.appending() as tx:
        if args.action == "passwd":
            await store.set_password(tx, account.user_id, hashed)
        elif args.action == "role":
            await store.set_role(tx, account.user_id, args.role)
        else:
            await store.set_state(tx, account.user_id, "active" if args.action == "enable" else "disabled")
        # Whatever the change, tokens issued before must not outlive it.
        await end_families(tx, account.user_id, int(time.time() + settings.token_ttl) + 1)
    if database.shared:
        await _notify_nodes(database)
    return f"{account.username}: done"


async def _notify_nodes(database: Database) -> None:
    """Notifies the nodes through the log; an SQLite file is watched by its one server."""
    log = Log(database, lambda events: None)
    await log.open()
    await log.append([changed()])
    await log.close()


async def _find(database: Database, name: str) -> Account:
    stored = AccountQueries(database)
    account = await stored.by_name(names.folded(name)) or await stored.by_email(name.casefold())
    account = account or await stored.by_id(name)
    if account is None:
        raise ConfigError(f"there is no account {name!r}")
    return account


async def _hashed(password: str) -> str:
    passwords = Passwords()
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


def _password() -> str:
    """The password: from the terminal without echo, else the first line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="chatrooms user", description="Manage accounts.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, help in (
        ("add", "add an account; asks for its password"),
        ("passwd", "set a password; ends the account's sign-ins"),
        ("role", "set the role; ends the account's sign-ins"),
        ("disable", "disable an account; its streams end within a second"),
        ("enable", "enable an account again"),
    ):
        sub = actions.add_parser(action, help=help)
        sub.add_argument("name", help="user name" if action == "add" else "user name, email or user id")
        sub.add_argument("--data-dir", help="the server's data folder (default ./data)")
        sub.add_argument("--database-url", help="the server's database, if it is not in the data folder")
        if action in ("add", "role"):
            sub.add_argument("--role", choices=ROLES, default="user", required=action == "role")
        if action == "add":
            sub.add_argument("--email", help="an address that also works for signing in")
    return parser


def _as(check: Callable[[str], str]) -> Callable[[str], str]:
    """An argument type for argparse from a check of names."""

    def argument(value: str) -> str:
        try:
            return check(value)
        except BadRequest as problem:
            raise ArgumentTypeError(problem.sentence) from None

    return argument


def backup(argv: Sequence[str]) -> int:
    """`backup FILE`: works while the server runs."""
    parser = _data_parser("backup", "Copy the database to a new file; the server may be running.")
    parser.add_argument("file", type=Path)
    args = parser.parse_args(argv)
    size = copy(_data_dir(args.data_dir) / FILE, args.file)
    print(f"{args.file}: {size} bytes")
    return 0


def restore(argv: Sequence[str]) -> int:
    """`restore FILE`: the server must not run."""
    parser = _data_parser("restore", "Replace the database of a stopped server with a backup, and begin a new epoch.")
    parser.add_argument("file", type=Path)
    args = parser.parse_args(argv)
    data_dir = _data_dir(args.data_dir)
    with lock(data_dir):
        epoch = put_back(args.file, data_dir / FILE)
    print(f"restored {args.file} as epoch {epoch}")
    return 0


def retention(argv: Sequence[str]) -> int:
    """`retention`: removes old data once; a running server does so every hour."""
    parser = options.parser("chatrooms retention", "Remove everything older than --retention days, once.")
    settings = options.Options(options.overrides(parser.parse_args(argv)), os.environ)
    if not settings.retention:
        raise ConfigError("--retention: give the number of days to keep")
    folder = Folder(Path(settings.data_dir), needed=not settings.database_url)
    try:
        outcome = asyncio.run(_forget(database_of(settings.database_url, folder.path), settings))
    finally:
        folder.close()
    print(f"removed {outcome.removed.get('events', 0)} events")
    if outcome.failed:
        print(f"chatrooms: not all is removed of: {', '.join(outcome.failed)}", file=sys.stderr)
    return 1 if outcome.failed else 0


class _Store(NamedTuple):
    database: Database
    log: Log


async def _forget(database: Database, settings: options.Options) -> Outcome:
    """Removes what a server would. Servers running on the database learn of it from the log."""
    await database.open()
    try:
        log = Log(database, lambda events: None)
        await log.open()
        try:
            return await do_chores(run_out(_Store(database, log), settings))
        finally:
            await log.close()
    finally:
        await database.close()


def _data_parser(command: str, description: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"chatrooms {command}", description=description)
    parser.add_argument("--data-dir", help="the server's data folder (default ./data)")
    return parser


def _data_dir(given: str | None) -> Path:
    settings = options.Options({"data_dir": given}, os.environ)
    if settings.database_url:
        raise ConfigError("back up and restore a PostgreSQL database with pg_dump and pg_restore")
    return Path(settings.data_dir)
