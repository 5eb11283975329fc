"""The command line: `python -m chatrooms COMMAND`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from chatrooms.commands import data, notify, serve, session, talk, task, token, user
from chatrooms.errors import ConfigError, StartFailure, Unavailable
from chatrooms.options import VERSION

COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "serve": (serve.main, "run the server"),
    "token": (token.main, "print a signed token"),
    "user": (user.main, "add and manage accounts"),
    "tail": (talk.tail, "show a room as it goes"),
    "send": (talk.send, "say something in a room"),
    "task": (task.main, "make, change and watch tasks; run a program as one"),
    "session": (session.main, "read and write message sessions"),
    "notify": (notify.main, "tell a user something, beside all rooms"),
    "backup": (data.backup, "copy the database of a running server to a file"),
    "restore": (data.restore, "replace the database by a backup, under a new epoch"),
    "retention": (data.retention, "remove events older than --retention days"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status. A bad setting is one line and status 2; what may pass, 1."""
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
        return COMMANDS[args[0]][0](args[1:])
    except ConfigError as problem:
        print(f"chatrooms: {problem}", file=sys.stderr)
        return 1 if isinstance(problem, StartFailure) else 2
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
