"""`task create|update|watch`: tasks from the terminal, over the public API."""

from __future__ import annotations

import shutil
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from chatrooms.commands.connect import add_command, connected, harmless, parser, run
from chatrooms.commands.program import bar, run_program
from chatrooms.tasks.task import COMPLETED, STATES

CLEAR = "\r\x1b[K"  # go to the start of the line and erase it


def main(argv: Sequence[str]) -> int:
    options = parser("task", "Create, change and watch tasks; run a program as one.")
    commands = options.add_subparsers(metavar="COMMAND", required=True)
    create = _command(commands, "create", "create a task and print its id", _create)
    create.add_argument("title")
    create.add_argument("--id", help="its id (default: chosen by the server)")
    update = _command(commands, "update", "change a task", _update)
    update.add_argument("id")
    update.add_argument("--state", choices=STATES)
    update.add_argument("--progress", type=float, metavar="PERCENT")
    update.add_argument("--estimated-time", type=float, metavar="SECONDS")
    update.add_argument("--error", metavar="SENTENCE", help="with --state failed or cancelled")
    watch = _command(commands, "watch", "follow a task until it ends; status 1 unless it completed", _watch)
    watch.add_argument("id")
    program = _command(commands, "run", "run a program and report the progress it prints", run_program)
    program.add_argument("--title", help="its title (default: the command)")
    program.add_argument("--id", help="its id (default: chosen by the server)")
    program.add_argument("command", nargs=REMAINDER, metavar="-- COMMAND", help="the program and its arguments")
    args = options.parse_args(argv)
    return run(args.job(args))


def _command(commands: Any, name: str, help: str, job: Any) -> ArgumentParser:
    made = add_command(commands, name, help)
    made.set_defaults(job=job)
    return made


async def _create(args: Namespace) -> None:
    async with connected(args) as client:
        body = {"title": args.title, **({"task_id": args.id} if args.id else {})}
        print((await client.call("POST", "/api/v1/tasks", body))["task_id"])


async def _update(args: Namespace) -> None:
    wanted = {name: getattr(args, name) for name in ("state", "progress", "estimated_time", "error")}
    body = {name: value for name, value in wanted.items() if value is not None}
    async with connected(args) as client:
        print(_line(await client.call("PATCH", f"/api/v1/tasks/{quote(args.id, safe='')}", body)))


async def _watch(args: Namespace) -> int:
    """Draws a moving bar in a terminal, else prints a line for each change."""
    moving = sys.stdout.isatty()
    task: dict[str, Any] = {}
    async with connected(args) as client:
        async for event in client.task(args.id):
            if event.type not in ("progress", "complete", "error"):
                continue
            task = event.data
            width = shutil.get_terminal_size().columns - 1
            line = _line(task)
            print(f"{CLEAR}{line[:width]}" if moving else line, end="" if moving else "\n", flush=True)
    if moving:
        print()
    return 0 if task.get("state") == COMPLETED else 1


def _line(task: dict[str, Any]) -> str:
    """A task as one line."""
    parts = [bar(task["progress"]), harmless(task["title"]), task["state"]]
    if task["state"] == "running" and task["estimated_time"]:
        parts.append(f"{task['estimated_time']:.0f} s left")
    if "error" in task:
        parts.append(harmless(" ".join(task["error"].split())))
    return "  ".join(parts)
