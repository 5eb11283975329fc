"""`notify USER TYPE JSON`: tells a user something, over the public API."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from chatrooms.client import Client, Refused
from chatrooms.commands.talk import URL
from chatrooms.errors import ConfigError


def main(argv: Sequence[str]) -> int:
    """Prints the notification's id. Raises ConfigError without a token, and for what is no JSON."""
    parser = ArgumentParser(prog="chatrooms notify", description="Tell a user something, beside all rooms.")
    parser.add_argument("user", help="the user's id")
    parser.add_argument("type", help="the name of the event, as task_updated")
    parser.add_argument("data", metavar="JSON", nargs="?", default="{}", help="what to tell (default {})")
    parser.add_argument("--session", metavar="ID", help="only for who reads this session's notifications, or all")
    parser.add_argument("--source-client", metavar="ID", help="the client whose change this is: it may ignore it")
    parser.add_argument("--url", default=os.environ.get("CHATROOMS_URL", URL), help=f"the server (default {URL})")
    parser.add_argument(
        "--token", default=os.environ.get("CHATROOMS_TOKEN", ""),
        help="an access token of role service or admin (or CHATROOMS_TOKEN)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if not args.token:
        raise ConfigError("--token is needed; `chatrooms token ID --role service` prints one")
    try:
        data = json.loads(args.data)
    except ValueError as error:
        raise ConfigError(f"{args.data!r} is not JSON: {error}") from None
    body = {"userId": args.user, "type": args.type, "data": data}
    body |= {"sessionId": args.session} if args.session else {}
    body |= {"sourceClientId": args.source_client} if args.source_client else {}
    try:
        print(asyncio.run(_notify(args.url, args.token, body)))
    except (Refused, OSError) as problem:
        print(f"chatrooms: {problem}", file=sys.stderr)
        return 1
    return 0


async def _notify(url: str, token: str, body: object) -> str:
    async with Client(url, token) as client:
        answer = await client.call("POST", "/api/notifications", body)
        id: str = answer["id"]
        return id
