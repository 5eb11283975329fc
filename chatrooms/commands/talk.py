"""`tail ROOM` and `send ROOM TEXT`: a chat in the terminal, over the public API."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Sequence

from chatrooms.client import Event
from chatrooms.commands.connect import connected, harmless, lines_of, parser, run

PATIENCE = 30.0  # seconds for which a message is sent again


def tail(argv: Sequence[str]) -> int:
    """Shows a room as it goes, until interrupted."""
    options = parser("tail", "Follow a room until Ctrl-C.")
    options.add_argument("room")
    options.add_argument("--history", type=int, default=20, metavar="N", help="earlier messages to show (default 20)")
    options.add_argument("--json", action="store_true", help="print one JSON object per event")
    args = options.parse_args(argv)
    return run(_tail(args))


def send(argv: Sequence[str]) -> int:
    """Says something; with - as text, each line of standard input."""
    options = parser("send", "Post a message to a room; with - as TEXT, each line of standard input.")
    options.add_argument("room")
    options.add_argument("text")
    args = options.parse_args(argv)
    return run(_send(args))


async def _tail(args: Namespace) -> None:
    async with connected(args) as client:
        async for event in client.room(args.room, history=args.history):
            line = as_json(event) if args.json else _as_text(event)
            if line:
                print(line, flush=True)


async def _send(args: Namespace) -> None:
    async with connected(args, PATIENCE) as client:
        for line in lines_of(args.text):
            print((await client.send(args.room, line))["id"], flush=True)


def as_json(event: Event) -> str:
    return json.dumps({"event": event.type, "id": event.id, "data": event.data})


def _as_text(event: Event) -> str:
    """One line for a person; control characters of others must not reach the terminal."""
    data = event.data
    name = f"{data.get('username')}{' (guest)' if data.get('guest') else ''}"
    if event.type == "room-message":
        line = f"{_clock(data)} {name}: {data['message']}"
    elif event.type == "message-edited":
        line = f"{_clock(data)} * edited: {data['message']}"
    elif event.type in ("user-joined", "user-left"):
        line = f"{_clock(data)} * {name} {event.type.removeprefix('user-')} ({data['onlineCount']} here)"
    elif event.type == "system":
        line = f"* {data['message']} {data['onlineCount']} here."
    elif event.type == "closing":
        line = f"* closed: {data['reason']}"
    else:
        return ""
    return harmless(line)


def _clock(data: dict[str, int]) -> str:
    return time.strftime("%H:%M:%S", time.localtime(data["timestamp"] / 1000))
