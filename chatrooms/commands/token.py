"""`token`: prints a signed access token, for trying things and for back ends."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from pathlib import Path

from chatrooms import kinds, names
from chatrooms.datadir import stored_secret
from chatrooms.errors import BadRequest
from chatrooms.options import Options
from chatrooms.users.tokens import ROLES, Tokens


def main(argv: Sequence[str]) -> int:
    """Prints a token that the server takes; what it would not, ends with status 2."""
    parser = ArgumentParser(prog="chatrooms token", description="Print a token signed with the server's secret.")
    parser.add_argument("user_id", metavar="USER_ID", type=_as(names.user_id), help="the user's id")
    parser.add_argument("--username", type=_as(names.username), help="the only name the user may use; default: any")
    parser.add_argument("--role", choices=ROLES, default="user")
    parser.add_argument("--ttl", type=kinds.seconds, default=86400.0, help="lifetime in seconds (default 86400)")
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


def _as(check: Callable[[str], str]) -> Callable[[str], str]:
    """What a check of names makes of an argument."""

    def argument(value: str) -> str:
        try:
            return check(value)
        except BadRequest as problem:
            raise ArgumentTypeError(problem.sentence) from None

    return argument
