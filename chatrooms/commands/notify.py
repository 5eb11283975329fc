"""`notify USER TYPE JSON`: tells a user something, over the public API."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from chatrooms.commands.connect import add_options, connected, run
from chatrooms.errors import ConfigError


def main(argv: Sequence[str]) -> int:
    """Prints the notification's id. Raises ConfigError without a token, and for what is no JSON."""
    parser = ArgumentParser(prog="chatrooms notify", description="Send a notification to a user.")
    parser.add_argument("user", help="the user's id")
    parser.add_argument("type", help="the name of the event, for example task_updated")
    parser.add_argument("data", metavar="JSON", nargs="?", default="{}", help="the data to send (default {})")
    parser.add_argument("--session", metavar="ID", help="only for readers of this session's or of all notifications")
    parser.add_argument("--source-client", metavar="ID", help="the client that made the change; it may ignore it")
    add_options(parser)
    args = parser.parse_args(argv)
    if not args.token:
        raise ConfigError("--token is required; `chatrooms token ID --role service` prints one")
    try:
        data = json.loads(args.data)
    except ValueError as error:
        raise ConfigError(f"{args.data!r} is not JSON: {error}") from None
    body = {"userId": args.user, "type": args.type, "data": data}
    body |= {"sessionId": args.session} if args.session else {}
    body |= {"sourceClientId": args.source_client} if args.source_client else {}
    return run(_notify(args, body))


async def _notify(args: Namespace, body: object) -> None:
    async with connected(args) as client:
        print((await client.call("POST", "/api/notifications", body))["id"])
