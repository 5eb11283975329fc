"""`task create|update|watch|run`: tasks from the terminal, over the public API; any program as one."""

from __future__ import annotations

import asyncio
import codecs
import re
import shutil
import signal
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO
from urllib.parse import quote

from chatrooms.client import Client, Refused
from chatrooms.commands.connect import add_command, connected, harmless, parser, run
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


REPORT_INTERVAL = 0.25  # seconds between two reports of progress
TRIES = 6  # attempts to report the end
RETRY = 1.0  # seconds between attempts
NOT_FOUND = 127  # a shell's exit status for a missing command


async def run_program(args: Namespace) -> int:
    """Runs the program; returns its exit status. Raises Refused, OSError when the task cannot be made."""
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        print("chatrooms task run: give the command after --", file=sys.stderr)
        return 2
    async with connected(args) as client:
        body = {"title": args.title or " ".join(command)[:100], **({"task_id": args.id} if args.id else {})}
        task = await client.call("POST", "/api/v1/tasks", body)
        print(f"chatrooms: task {task['task_id']}", file=sys.stderr, flush=True)
        return await _Program(client, task["task_id"]).run(command)


class _Program:
    """One run: cancelling the task ends the program; interrupting the command ends both."""

    def __init__(self, client: Client, task_id: str) -> None:
        self._client = client
        self._task_id = task_id
        self._path = f"/api/v1/tasks/{quote(task_id, safe='')}"
        self._meter = Meter()
        self._further = asyncio.Event()

    async def run(self, command: list[str]) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:
            print(f"chatrooms: {command[0]}: {error.strerror}", file=sys.stderr)
            await self._finish({"state": "failed", "error": f"{command[0]}: {error.strerror}"})
            return NOT_FOUND
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _end, process)
        beside = [asyncio.create_task(self._report()), asyncio.create_task(self._watch_for_end(process))]
        try:
            status = await self._pass_through(process)
        except asyncio.CancelledError:  # Ctrl-C, which the program has received, too
            _end(process)
            await self._finish({"state": "cancelled", "error": "It was interrupted."})
            raise
        finally:
            for task in beside:
                task.cancel()
        await self._finish(_ending(command[0], status))
        return status if status >= 0 else 128 - status  # as in a shell

    async def _pass_through(self, process: asyncio.subprocess.Process) -> int:
        assert process.stdout is not None and process.stderr is not None
        await asyncio.gather(
            self._pump(process.stdout, sys.stdout.buffer), self._pump(process.stderr, sys.stderr.buffer)
        )
        return await process.wait()

    async def _pump(self, source: asyncio.StreamReader, target: BinaryIO) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while chunk := await source.read(1 << 16):
            target.write(chunk)
            target.flush()
            if self._meter.feed(decoder.decode(chunk)):
                self._further.set()

    async def _report(self) -> None:
        """Reports progress to the server; if the server is unreachable, the next report does."""
        await self._send_change({"state": "running"})
        while True:
            await self._further.wait()
            self._further.clear()
            await self._send_change({"progress": self._meter.percent})
            await asyncio.sleep(REPORT_INTERVAL)

    async def _watch_for_end(self, process: asyncio.subprocess.Process) -> None:
        """Ends the program when somebody else ends the task."""
        async for event in self._client.task(self._task_id):
            if event.type == "error":
                print("chatrooms: the task was ended", file=sys.stderr, flush=True)
                _end(process)

    async def _send_change(self, change: dict[str, Any]) -> bool:
        """Sends a change; returns whether the server has it, or need not."""
        try:
            await self._client.call("PATCH", self._path, change)
        except Refused as refused:
            return not refused.transient  # 409: the task has ended
        except OSError:
            return False
        return True

    async def _finish(self, change: dict[str, Any]) -> None:
        for _ in range(TRIES):
            if await self._send_change(change):
                return
            await asyncio.sleep(RETRY)
        print("chatrooms: the server does not know how the program ended", file=sys.stderr)


def _ending(name: str, status: int) -> dict[str, Any]:
    if status == 0:
        return {"state": "completed"}
    how = f"exited with status {status}" if status > 0 else f"was ended by {signal.Signals(-status).name}"
    return {"state": "failed", "error": f"{name} {how}."}


def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()


MAX_LINE = 4096  # characters kept of an unfinished line
BAR = 30  # characters

_SAID = re.compile(r"^\s*PROGRESS:?\s+(\d{1,3}(?:\.\d+)?)\b", re.IGNORECASE | re.ASCII)
_PERCENT = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?) ?%(?![\w%])", re.ASCII)
_LINE_END = re.compile(r"[\r\n]")


class Meter:
    """Reads a program's output in pieces of any size; `percent` is the highest seen so far."""

    def __init__(self) -> None:
        self.percent = 0.0
        self._rest = ""

    def feed(self, text: str) -> bool:
        """Takes more output; returns whether `percent` rose. A bar that redraws itself ends its lines with \\r."""
        before = self.percent
        *lines, rest = _LINE_END.split(self._rest + text)
        self._rest = rest[-MAX_LINE:]
        for line in lines:
            self.percent = max(self.percent, percent_in(line))
        return self.percent > before


def percent_in(line: str) -> float:
    """The progress in a line, 0 to 100; 0 if there is none. Of several percentages the last counts."""
    said = _SAID.match(line)
    found = [said[1]] if said else _PERCENT.findall(line)
    numbers = [float(number) for number in found if float(number) <= 100]
    return numbers[-1] if numbers else 0.0


def bar(percent: float) -> str:
    """`[######........................]  20%`"""
    full = int(BAR * percent / 100)
    return f"[{'#' * full}{'.' * (BAR - full)}] {percent:3.0f}%"
