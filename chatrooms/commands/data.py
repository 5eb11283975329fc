"""`backup`, `restore`, `retention`: care of the data."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chatrooms import options
from chatrooms.datadir import Folder, lock
from chatrooms.errors import ConfigError
from chatrooms.log import FILE, database_of
from chatrooms.log.backup import copy, put_back
from chatrooms.log.database import Database
from chatrooms.log.log import Log
from chatrooms.server.housekeeping import Outcome, do_chores, run_out


def backup(argv: Sequence[str]) -> int:
    """`backup FILE`: the server may run meanwhile."""
    parser = _parser("backup", "Copy the database to a new file; the server may be running.")
    parser.add_argument("file", type=Path)
    args = parser.parse_args(argv)
    size = copy(_data_dir(args.data_dir) / FILE, args.file)
    print(f"{args.file}: {size} bytes")
    return 0


def restore(argv: Sequence[str]) -> int:
    """`restore FILE`: the server must not run."""
    parser = _parser("restore", "Replace the database of a stopped server with a backup, and begin a new epoch.")
    parser.add_argument("file", type=Path)
    args = parser.parse_args(argv)
    data_dir = _data_dir(args.data_dir)
    with lock(data_dir):
        epoch = put_back(args.file, data_dir / FILE)
    print(f"restored {args.file} as epoch {epoch}")
    return 0


def retention(argv: Sequence[str]) -> int:
    """`retention`: removes what is old once; a running server does so by itself every hour."""
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
    """The same as a server does. Others that run on the database hear of it over the log."""
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


def _parser(command: str, description: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"chatrooms {command}", description=description)
    parser.add_argument("--data-dir", help="the server's data folder (default ./data)")
    return parser


def _data_dir(given: str | None) -> Path:
    settings = options.Options({"data_dir": given}, os.environ)
    if settings.database_url:
        raise ConfigError("back up and restore a PostgreSQL database with pg_dump and pg_restore")
    return Path(settings.data_dir)
