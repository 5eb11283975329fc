"""`tail ROOM` and `send ROOM TEXT`: a chat in the terminal, over the public API."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Sequence

from chatrooms.commands.connect import connected, harmless, parser, run
from chatrooms.sse import ServerEvent


def tail(argv: Sequence[str]) -> int:
    """Shows a room as it goes, until interrupted."""
    options = parser("tail", "Show a room as it goes. Ends with Ctrl-C.")
    options.add_argument("room")
    options.add_argument("--history", type=int, default=20, metavar="N", help="earlier messages shown (default 20)")
    options.add_argument("--json", action="store_true", help="one JSON object an event instead of text")
    args = options.parse_args(argv)
    return run(_tail(args))


def send(argv: Sequence[str]) -> int:
    """Says something; with - as text, each line of standard input."""
    options = parser("send", "Say something in a room; with - as TEXT, each line of standard input.")
    options.add_argument("room")
    options.add_argument("text")
    args = options.parse_args(argv)
    return run(_send(args))


async def _tail(args: Namespace) -> None:
    async with connected(args) as client:
        async for event in client.room(args.room, args.history):
            line = _as_json(event) if args.json else _as_text(event)
            if line:
                print(line, flush=True)


async def _send(args: Namespace) -> None:
    async with connected(args) as client:
        lines = (line.rstrip("\n") for line in sys.stdin) if args.text == "-" else [args.text]
        for line in lines:
            if line.strip():
                print((await client.send(args.room, line))["id"], flush=True)


def _as_json(event: ServerEvent) -> str:
    return json.dumps({"event": event.type, "id": event.last_event_id, "data": json.loads(event.data)})


def _as_text(event: ServerEvent) -> str:
    """One line for a person; control characters of others must not reach the terminal."""
    data = json.loads(event.data)
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
    return "\n".join(harmless(part) for part in line.split("\n"))


def _clock(data: dict[str, int]) -> str:
    return time.strftime("%H:%M:%S", time.localtime(data["timestamp"] / 1000))
