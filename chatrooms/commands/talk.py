"""`tail ROOM` and `send ROOM TEXT`: a chat in the terminal, over the public API."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from chatrooms.client import Client, Event, Refused

URL = "http://127.0.0.1:4000"
PATIENCE = 30.0  # seconds for which a message is sent again


def tail(argv: Sequence[str]) -> int:
    """Shows a room as it goes, until interrupted."""
    parser = _parser("tail", "Show a room as it goes. Ends with Ctrl-C.")
    parser.add_argument("room")
    parser.add_argument("--history", type=int, default=20, metavar="N", help="earlier messages shown (default 20)")
    parser.add_argument("--json", action="store_true", help="one JSON object an event instead of text")
    args = parser.parse_args(argv)
    return _run(_tail(args))


def send(argv: Sequence[str]) -> int:
    """Says something; with - as text, each line of standard input."""
    parser = _parser("send", "Say something in a room; with - as TEXT, each line of standard input.")
    parser.add_argument("room")
    parser.add_argument("text")
    args = parser.parse_args(argv)
    return _run(_send(args))


async def _tail(args: Namespace) -> None:
    async with Client(args.url, args.token, args.username) as client:
        if not args.token:
            await client.sign_in_as_guest(args.username)
        async for event in client.room(args.room, history=args.history):
            line = _as_json(event) if args.json else _as_text(event)
            if line:
                print(line, flush=True)


async def _send(args: Namespace) -> None:
    async with Client(args.url, args.token, args.username, patience=PATIENCE) as client:
        if not args.token:
            await client.sign_in_as_guest(args.username)
        lines = (line.rstrip("\n") for line in sys.stdin) if args.text == "-" else [args.text]
        for line in lines:
            if line.strip():
                print((await client.send(args.room, line))["id"], flush=True)


def _parser(command: str, description: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"chatrooms {command}", description=description)
    parser.add_argument("--url", default=os.environ.get("CHATROOMS_URL", URL), help=f"the server (default {URL})")
    parser.add_argument("--username", default=getpass.getuser(), help="the name shown (default: yours here)")
    parser.add_argument(
        "--token", default=os.environ.get("CHATROOMS_TOKEN", ""),
        help="an access token (or CHATROOMS_TOKEN); without one you are a guest",
    )  # fmt: skip
    return parser


def _run(job: object) -> int:
    try:
        asyncio.run(job)  # type: ignore[arg-type]
    except (Refused, OSError) as problem:
        print(f"chatrooms: {problem}", file=sys.stderr)
        return 1
    return 0


def _as_json(event: Event) -> str:
    return json.dumps({"event": event.type, "id": event.id, "data": event.data})


def _as_text(event: Event) -> str:
    """One line for a person; control characters of others must not reach the terminal."""
    data = event.data
    if event.type == "room-message":
        line = f"{_clock(data)} {data['username']}: {data['message']}"
    elif event.type == "message-edited":
        line = f"{_clock(data)} * edited: {data['message']}"
    elif event.type in ("user-joined", "user-left"):
        line = f"{_clock(data)} * {data['username']} {event.type.removeprefix('user-')} ({data['onlineCount']} here)"
    elif event.type == "system":
        line = f"* {data['message']} {data['onlineCount']} here."
    elif event.type == "closing":
        line = f"* closed: {data['reason']}"
    else:
        return ""
    return "\n".join(_harmless(part) for part in line.split("\n"))


def _clock(data: dict[str, int]) -> str:
    return time.strftime("%H:%M:%S", time.localtime(data["timestamp"] / 1000))


def _harmless(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
