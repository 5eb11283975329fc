"""Shared by commands that talk to a server: its address, the caller's name and token, how refusals are shown."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

from chatrooms import names
from chatrooms.client import Client, Refused
from chatrooms.names import is_reserved

URL = "http://127.0.0.1:4000"


def parser(command: str, description: str) -> ArgumentParser:
    """The parser of a command, with the server's options and their defaults."""
    made = ArgumentParser(prog=f"chatrooms {command}", description=description, parents=[_server_options()])
    url, token = os.environ.get("CHATROOMS_URL", URL), os.environ.get("CHATROOMS_TOKEN", "")
    made.set_defaults(url=url, username=own_name(), token=token)
    return made


def add_command(commands: Any, name: str, help: str) -> ArgumentParser:
    """A subcommand; the server's options may stand before or after its name."""
    description = f"{help[0].upper()}{help[1:]}."
    made: ArgumentParser = commands.add_parser(name, help=help, description=description, parents=[_server_options()])
    return made


def _server_options() -> ArgumentParser:
    """A parent of parsers: the options for the server's address and the caller's name and token.

    They have no defaults here: those of a subcommand would replace what was given before it.
    """
    options = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    options.add_argument("--url", help=f"the server (or CHATROOMS_URL; default {URL})")
    options.add_argument("--username", help="the name to use (default: your login name)")
    options.add_argument("--token", help="an access token (or CHATROOMS_TOKEN); without one you are a guest")
    return options


def own_name() -> str:
    """The login name; a reserved one, such as root, has this machine's name appended."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for this user
        name = "somebody"
    shown = f"{name} at {socket.gethostname()}" if is_reserved(name) else name
    return shown[: names.MAX_USERNAME]


@asynccontextmanager
async def connected(args: Namespace, patience: float | None = None) -> AsyncIterator[Client]:
    """A client with the given token, else a new guest; `patience` as in Client.

    Raises Refused, OSError.
    """
    async with Client(args.url, args.token, args.username, patience=patience) as client:
        if not args.token:
            await client.sign_in_as_guest(args.username)
        yield client


def run(job: Coroutine[Any, Any, int | None]) -> int:
    """Runs a command; returns its exit status: 1, after one line, when the server refuses or is unreachable."""
    try:
        return asyncio.run(job) or 0
    except (Refused, OSError) as problem:
        print(f"chatrooms: {problem}", file=sys.stderr)
        return 1


def lines_of(text: str) -> Iterator[str]:
    """What to send: the text, or for `-` the lines of standard input; blank lines are skipped."""
    lines = (line.rstrip("\n") for line in sys.stdin) if text == "-" else iter([text])
    return (line for line in lines if line.strip())


def harmless(text: str) -> str:
    """A text made safe for a terminal: control characters other than line ends become U+FFFD."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
