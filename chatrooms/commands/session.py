"""`session tail ID` and `session send ID TEXT`: message sessions in the terminal, over the public API."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from chatrooms.client import Client, Event
from chatrooms.commands.connect import harmless, lines_of, parser, run
from chatrooms.commands.talk import as_json


def main(argv: Sequence[str]) -> int:
    """`session tail|send ID …`; returns the exit status."""
    options = parser("session", "Read and write message sessions. Without --token you are a visitor.")
    actions = options.add_subparsers(dest="action", required=True, metavar="tail|send")
    tail = actions.add_parser("tail", help="show a session as it goes; ends with Ctrl-C")
    tail.add_argument("session")
    tail.add_argument("--json", action="store_true", help="one JSON object an event instead of text")
    send = actions.add_parser("send", help="say something; with - as TEXT, each line of standard input")
    send.add_argument("session")
    send.add_argument("text")
    args = options.parse_args(argv)
    return run(_tail(args) if args.action == "tail" else _send(args))


async def _tail(args: Namespace) -> None:
    async with Client(args.url, args.token) as client:
        async for event in client.session(args.session):
            line = as_json(event) if args.json else _as_text(event)
            if line:
                print(line, flush=True)


async def _send(args: Namespace) -> None:
    async with Client(args.url, args.token) as client:
        for line in lines_of(args.text):
            answer = await client.call("POST", "/api/messages", {"sessionId": args.session, "content": line})
            print(answer["data"]["id"], flush=True)


def _as_text(event: Event) -> str:
    data = event.data
    if data["type"] == "message":
        said = data["data"]
        who = "bot" if said["isFromBot"] else "human" if said["isHuman"] else "user"
        return harmless(f"{said['createdAt']} {who}: {said['content']}")
    if data["type"] == "connected":
        return harmless(f"* {data['message']}")
    return harmless(f"* {data['error']}") if data["type"] == "error" else ""
