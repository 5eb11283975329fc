"""`tail`, `send`, `notify`, `session`: rooms, notifications and sessions in the terminal, over the public API."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Sequence
from urllib.parse import quote

from chatrooms.client import Client, Event
from chatrooms.commands.connect import add_command, connected, harmless, lines_of, parser, run
from chatrooms.errors import ConfigError

PATIENCE = 30.0  # seconds for which a message is retried


def tail(argv: Sequence[str]) -> int:
    """`tail ROOM`: shows a room live, until interrupted."""
    options = parser("tail", "Follow a room until Ctrl-C.")
    options.add_argument("room")
    options.add_argument("--history", type=int, default=20, metavar="N", help="earlier messages to show (default 20)")
    options.add_argument("--json", action="store_true", help="print one JSON object per event")
    return run(_tail(options.parse_args(argv)))


def send(argv: Sequence[str]) -> int:
    """`send ROOM TEXT`: sends a message; with - as text, one for each line of standard input."""
    options = parser("send", "Post a message to a room; with - as TEXT, each line of standard input.")
    options.add_argument("room")
    options.add_argument("text")
    return run(_send(options.parse_args(argv)))


def notify(argv: Sequence[str]) -> int:
    """`notify USER TYPE JSON`: prints the notification's id. Raises ConfigError for bad JSON or a missing token."""
    options = parser("notify", "Send a notification to a user.")
    options.add_argument("user", help="the user's id")
    options.add_argument("type", help="the name of the event, for example task_updated")
    options.add_argument("data", metavar="JSON", nargs="?", default="{}", help="the data to send (default {})")
    options.add_argument("--session", metavar="ID", help="only for readers of this session's notifications, or of all")
    options.add_argument("--source-client", metavar="ID", help="the client that made the change; it may ignore it")
    args = options.parse_args(argv)
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


def session(argv: Sequence[str]) -> int:
    """`session tail ID`, `session send ID TEXT`, `session assign ID USER`; returns the exit status."""
    options = parser("session", "Read and write message sessions. Without --token you are a visitor.")
    actions = options.add_subparsers(dest="action", required=True, metavar="tail|send|assign")
    tail = add_command(actions, "tail", "follow a session until Ctrl-C")
    tail.add_argument("session")
    tail.add_argument("--history", type=int, default=0, metavar="N", help="earlier messages to show, up to 200")
    tail.add_argument("--json", action="store_true", help="print one JSON object per event")
    send = add_command(actions, "send", "write a message; with - as TEXT, each line of standard input")
    send.add_argument("session")
    send.add_argument("text")
    assign = add_command(actions, "assign", "assign a session to a user; needs the token of a program")
    assign.add_argument("session")
    assign.add_argument("user", help="the userId")
    assign.add_argument("--with-history", action="store_true", help="include the messages so far")
    args = options.parse_args(argv)
    return run({"tail": _tail_session, "send": _send_to_session, "assign": _assign_session}[args.action](args))


async def _tail(args: Namespace) -> None:
    async with connected(args) as client:
        await _show(client.room(args.room, history=args.history), _room_line, args.json)


async def _tail_session(args: Namespace) -> None:
    async with Client(args.url, args.token) as client:
        await _show(client.session(args.session, history=args.history), _session_line, args.json)


async def _show(events: AsyncIterator[Event], line_of: Callable[[Event], str], as_json: bool) -> None:
    async for event in events:
        if as_json:
            print(json.dumps({"event": event.type, "id": event.id, "data": event.data}), flush=True)
        elif line := line_of(event):
            print(harmless(line), flush=True)


async def _send(args: Namespace) -> None:
    async with connected(args, PATIENCE) as client:
        for line in lines_of(args.text):
            print((await client.send(args.room, line))["id"], flush=True)


async def _send_to_session(args: Namespace) -> None:
    async with Client(args.url, args.token) as client:
        for line in lines_of(args.text):
            answer = await client.call("POST", "/api/messages", {"sessionId": args.session, "content": line})
            print(answer["data"]["id"], flush=True)


async def _assign_session(args: Namespace) -> None:
    async with Client(args.url, args.token) as client:
        body = {"userId": args.user, "withHistory": args.with_history}
        await client.call("PUT", f"/api/sessions/{quote(args.session, safe='')}", body)


async def _notify(args: Namespace, body: object) -> None:
    async with connected(args) as client:
        print((await client.call("POST", "/api/notifications", body))["id"])


def _room_line(event: Event) -> str:
    """A room's event as a line to read; "" for one that is not shown."""
    data = event.data
    name = f"{data.get('username')}{' (guest)' if data.get('guest') else ''}"
    if event.type == "room-message":
        return f"{_clock(data)} {name}: {data['message']}"
    if event.type == "message-edited":
        return f"{_clock(data)} * edited: {data['message']}"
    if event.type in ("user-joined", "user-left"):
        return f"{_clock(data)} * {name} {event.type.removeprefix('user-')} ({data['onlineCount']} here)"
    if event.type == "system":
        return f"* {data['message']} {data['onlineCount']} here."
    return f"* closed: {data['reason']}" if event.type == "closing" else ""


def _session_line(event: Event) -> str:
    data = event.data
    if data["type"] == "message":
        said = data["data"]
        who = "bot" if said["isFromBot"] else "human" if said["isHuman"] else "user"
        return f"{said['createdAt']} {who}: {said['content']}"
    if data["type"] == "connected":
        return f"* {data['message']}"
    return f"* {data['error']}" if data["type"] == "error" else ""


def _clock(data: dict[str, int]) -> str:
    return time.strftime("%H:%M:%S", time.localtime(data["timestamp"] / 1000))
