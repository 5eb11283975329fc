"""The command line: `python -m chatrooms COMMAND`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from chatrooms.errors import ConfigError, StartFailure, Unavailable
from chatrooms.options import VERSION

# Each is imported when called: a server needs no client, and a client no server.
COMMANDS = {
    "serve": ("serve:main", "run the server"),
    "token": ("admin:token", "print a signed token"),
    "user": ("admin:user", "add and manage accounts"),
    "tail": ("talk:tail", "follow a room"),
    "send": ("talk:send", "post a message to a room"),
    "task": ("task:main", "create, change and watch tasks; run a program as one"),
    "session": ("talk:session", "read and write message sessions"),
    "notify": ("talk:notify", "send a notification to a user"),
    "backup": ("admin:backup", "copy the database of a running server to a file"),
    "restore": ("admin:restore", "replace the database with a backup and begin a new epoch"),
    "retention": ("admin:retention", "remove events older than --retention days"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status. A bad setting is one line and status 2; a passing failure, 1."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args in (["--version"], ["-V"]):
        print(f"chatrooms {VERSION}")
        return 0
    if not args or args[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if args[0] not in COMMANDS:
        print(f"chatrooms: unknown command {args[0]!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    try:
        status: int = resolve_name(f"chatrooms.commands.{COMMANDS[args[0]][0]}")(args[1:])
        return status
    except ConfigError as problem:
        print(f"chatrooms: {problem}", file=sys.stderr)
        return 1 if isinstance(problem, StartFailure) else 2
    except ModuleNotFoundError as missing:
        if missing.name != "httpx":
            raise
        print(f"chatrooms: {missing}", file=sys.stderr)
        return 2
    except Unavailable as problem:
        print(f"chatrooms: {problem.__cause__ or problem.sentence}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _usage() -> str:
    commands = "\n".join(f"  {name:<10} {help}" for name, (_, help) in COMMANDS.items())
    return f"usage: chatrooms COMMAND [options]\n\n{commands}\n\nchatrooms COMMAND --help tells more."
