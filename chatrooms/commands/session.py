"""`session tail ID`, `session send ID TEXT`, `session assign ID USER`: message sessions, over the public API."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from urllib.parse import quote

from chatrooms.client import Client, Event
from chatrooms.commands.connect import harmless, lines_of, parser, run
from chatrooms.commands.talk import as_json


def main(argv: Sequence[str]) -> int:
    """`session tail|send|assign ID …`; returns the exit status."""
    options = parser("session", "Read and write message sessions. Without --token you are a visitor.")
    actions = options.add_subparsers(dest="action", required=True, metavar="tail|send|assign")
    tail = actions.add_parser("tail", help="follow a session until Ctrl-C")
    tail.add_argument("session")
    tail.add_argument("--history", type=int, default=0, metavar="N", help="earlier messages to show, up to 200")
    tail.add_argument("--json", action="store_true", help="print one JSON object per event")
    send = actions.add_parser("send", help="write a message; with - as TEXT, each line of standard input")
    send.add_argument("session")
    send.add_argument("text")
    assign = actions.add_parser("assign", help="assign a session to a user; needs the token of a program")
    assign.add_argument("session")
    assign.add_argument("user", help="the userId")
    assign.add_argument("--with-history", action="store_true", help="include the messages so far")
    args = options.parse_args(argv)
    return run({"tail": _tail, "send": _send, "assign": _assign}[args.action](args))


async def _tail(args: Namespace) -> None:
    async with Client(args.url, args.token) as client:
        async for event in client.session(args.session, history=args.history):
            line = as_json(event) if args.json else _as_text(event)
            if line:
                print(line, flush=True)


async def _send(args: Namespace) -> None:
    async with Client(args.url, args.token) as client:
        for line in lines_of(args.text):
            answer = await client.call("POST", "/api/messages", {"sessionId": args.session, "content": line})
            print(answer["data"]["id"], flush=True)


async def _assign(args: Namespace) -> None:
    async with Client(args.url, args.token) as client:
        body = {"userId": args.user, "withHistory": args.with_history}
        await client.call("PUT", f"/api/sessions/{quote(args.session, safe='')}", body)


def _as_text(event: Event) -> str:
    data = event.data
    if data["type"] == "message":
        said = data["data"]
        who = "bot" if said["isFromBot"] else "human" if said["isHuman"] else "user"
        return harmless(f"{said['createdAt']} {who}: {said['content']}")
    if data["type"] == "connected":
        return harmless(f"* {data['message']}")
    return harmless(f"* {data['error']}") if data["type"] == "error" else ""
