"""The command line against a running server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from benchmarks.server_process import SECRET
from chatrooms import __version__
from chatrooms.cli import COMMANDS, main
from chatrooms.users.tokens import Tokens
from tests.helpers.chat import Chat

PATIENCE = 60.0  # seconds that another process may take


async def run(chat: Chat, *arguments: str, **environment: str) -> Process:
    """A command that is pointed at the server under test."""
    env = {**os.environ, "CHATROOMS_URL": f"http://127.0.0.1:{chat.port}", **environment}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chatrooms", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env,
        preexec_fn=_heed_interrupts,
    )  # fmt: skip


def _heed_interrupts() -> None:
    """A shell makes what it runs in the background deaf to Ctrl-C; these tests may run there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def ended(process: Process, text: str = "") -> tuple[int | None, str, str]:
    """Its exit status, output and complaints."""
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(text.encode())
    return process.returncode, out.decode(), err.decode()


@pytest.mark.gen_test(timeout=90)
async def test_what_is_sent_is_shown(chat: Chat) -> None:
    """`send` prints the ids, `tail` shows history, then what comes; Ctrl-C ends it."""
    assert (await ended(await run(chat, "send", "lobby", "hello", "--username", "Ann")))[0] == 0
    tail = await run(chat, "tail", "lobby", "--json", "--username", "Bob")
    assert tail.stdout is not None
    shown: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while not any(event["event"] == "room-message" for event in shown):
            shown.append(json.loads(await tail.stdout.readline()))
        status, out, _ = await ended(await run(chat, "send", "lobby", "-", "--username", "Ann"), "one\n\ntwo\n")
        assert (status, len(out.split())) == (0, 2)
        while sum(event["event"] == "room-message" for event in shown) < 3:
            shown.append(json.loads(await tail.stdout.readline()))
    messages = [event["data"] for event in shown if event["event"] == "room-message"]
    assert [(m["username"], m["message"]) for m in messages] == [("Ann", t) for t in ("hello", "one", "two")]
    assert all(event["id"] == event["data"]["id"] for event in shown if event["event"] == "room-message")
    tail.send_signal(signal.SIGINT)
    assert (await ended(tail))[0] == 130


@pytest.mark.gen_test(timeout=90)
async def test_what_is_notified_is_told(chat: Chat) -> None:
    """With a token that may; the notification's id is printed."""
    token = chat.token("robot", role="service")
    arguments = ("notify", "alice", "task_updated", '{"task_id": 7}', "--session", "s1", "--source-client", "tab")
    status, out, _ = await ended(await run(chat, *arguments, CHATROOMS_TOKEN=token))
    page = await chat.get(f"/api/clients/alice/sse?poll=1&lastEventId={out.partition('-')[0]}-0")
    (event,) = page.data["events"][1:]
    assert (status, out.strip()) == (0, event["id"])
    del event["data"]["timestamp"]
    assert event["data"] == {
        "id": event["id"], "type": "task_updated", "data": {"task_id": 7}, "sessionId": "s1", "sourceClientId": "tab",
    }  # fmt: skip
    assert (await ended(await run(chat, *arguments[:4])))[0] == 2
    assert (await ended(await run(chat, "notify", "alice", "x", "{", CHATROOMS_TOKEN=token)))[0] == 2
    status, _, err = await ended(await run(chat, *arguments, CHATROOMS_TOKEN=chat.token("bob")))
    assert (status, err) == (1, "chatrooms: Only service and admin may send notifications.\n")


@pytest.mark.gen_test(timeout=90)
async def test_text_of_others_cannot_move_the_cursor(chat: Chat) -> None:
    """Control characters are shown as a mark."""
    await chat.say("lobby", "\x1b[2Jgone\nnext\x9b1m")
    tail = await run(chat, "tail", "lobby", "--username", "Bob")
    assert tail.stdout is not None
    async with asyncio.timeout(PATIENCE):
        line = await tail.stdout.readline()
        while b"gone" not in line:
            line = await tail.stdout.readline()
        line += await tail.stdout.readline()
    assert line.decode().endswith("alice: \ufffd[2Jgone\nnext\ufffd1m\n")
    tail.kill()
    await ended(tail)


@pytest.mark.gen_test(timeout=90)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["send", "lobby", "a", "--token", "x"], "token"), (["send", "a/b", "x"], "roomId"),
     (["tail", "lobby", "--history", "500"], "history"), (["send", "lobby", "a", "--username", "x" * 33], "username")],
)  # fmt: skip
async def test_refusal_is_one_line_and_status_1(chat: Chat, arguments: list[str], said: str) -> None:
    """The server's own sentence."""
    if "--username" not in arguments:
        arguments = [*arguments, "--username", "Ann"]
    status, out, err = await ended(await run(chat, *arguments))
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert said in err


@pytest.mark.parametrize(
    "given", [[""], ["a\nb"], ["a", "--username="], ["a", "--ttl=inf"], ["a", "--ttl=nan"], ["a", "--ttl=-1"]]
)
def test_token_that_no_server_takes_is_not_printed(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An id or name that is none, a time that is none: status 2."""
    with pytest.raises(SystemExit) as stopped:
        main(["token", "--secret", SECRET, *given])
    assert (stopped.value.code, capsys.readouterr().out) == (2, "")


def test_token_is_for_the_audience_of_the_server(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the environment names it, or the server would refuse what its own command prints."""
    monkeypatch.setenv("CHATROOMS_JWT_AUDIENCE", "chat")
    monkeypatch.setenv("CHATROOMS_JWT_ISSUER", "https://id.example")
    assert main(["token", "carl", "--secret", SECRET]) == 0
    tokens = Tokens(SECRET, audience="chat", issuer="https://id.example")
    assert tokens.verify(capsys.readouterr().out.strip()).user_id == "carl"


@pytest.mark.gen_test(timeout=90)
async def test_printed_token_works(chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is signed with the secret that is given, or with that of the data folder."""
    assert main(["token", "carl", "--username", "Carl", "--role", "agent", "--secret", SECRET]) == 0
    token = capsys.readouterr().out.strip()
    answer = await chat.get("/api/rooms", None, headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 200
    assert Tokens(SECRET).verify(token)[:3] == ("carl", "Carl", "agent")
    assert main(["token", "carl", "--data-dir", str(tmp_path)]) == 0
    kept = (tmp_path / "secret").read_text().strip()
    assert Tokens(kept).verify(capsys.readouterr().out.strip()).user_id == "carl"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """With what it does."""
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        shown = capsys.readouterr().out
        assert all(f"  {name} " in shown and help in shown for name, (_, help) in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And status 0 for it."""
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: chatrooms {name}")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["send", "lobby", "x"], 2), (["token", "a", "--secret", SECRET], 0), (["serve", "-h"], 0)],
)
def test_only_what_speaks_to_a_server_needs_httpx(arguments: list[str], status: int) -> None:
    """One line says so, and how to get it."""
    program = "import sys; sys.modules['httpx'] = None; from chatrooms.cli import main; sys.exit(main(sys.argv[1:]))"
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    needs = "chatrooms: chatrooms.client needs httpx: pip install 'chatrooms[client]'\n"
    assert (ran.returncode, ran.stderr) == (status, needs if status else "")


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """That of the package."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"chatrooms {__version__}\n"


def test_unknown_command_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """And the usage stands on standard error."""
    assert main(["nonsense"]) == 2
    assert "unknown command 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize("days", ["0", "-1", "x"])
def test_retention_needs_a_number_of_days(days: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or it would remove everything by mistake."""
    assert main(["retention", f"--retention={days}", f"--data-dir={tmp_path}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_retention_removes_what_is_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In an empty folder that is nothing."""
    assert main(["retention", "--retention=1", f"--data-dir={tmp_path}"]) == 0
    assert capsys.readouterr().out == "removed 0 events\n"


@pytest.mark.gen_test(timeout=90)
async def test_sessions_in_the_terminal(chat: Chat) -> None:
    """`session tail` shows what `session send` says, without a token; a refusal is one line."""
    tail = await run(chat, "session", "tail", "42")
    assert tail.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await tail.stdout.readline() == b"* You are reading session 42.\n"
        status, out, _ = await ended(await run(chat, "session", "send", "42", "-"), "one\n\n\x1b[2Jtwo\n")
        assert (status, len(out.split())) == (0, 2)
        lines = [(await tail.stdout.readline()).decode().split(" ", 1)[1] for _ in range(2)]
    assert lines == ["user: one\n", "user: \ufffd[2Jtwo\n"]
    tail.send_signal(signal.SIGINT)
    assert (await ended(tail))[0] == 130
    status, out, err = await ended(await run(chat, "session", "tail", "a/b"))
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "sessionId" in err


@pytest.mark.gen_test(timeout=90)
@pytest.mark.parametrize("command", [("session", "send", "42", "hello"), ("task", "create", "Import")])
@pytest.mark.parametrize("place", [1, 2, -1])
async def test_server_is_named_before_or_after_a_subcommand(chat: Chat, command: tuple[str, ...], place: int) -> None:
    """And so is the token; either wins over the environment."""
    named = ("--url", f"http://127.0.0.1:{chat.port}", "--token", chat.token("robot", role="service"))
    elsewhere = {"CHATROOMS_URL": "http://127.0.0.1:1", "CHATROOMS_TOKEN": "x"}
    status, _, err = await ended(await run(chat, *command[:place], *named, *command[place:], **elsewhere))
    assert (status, err) == (0, "")


@pytest.mark.gen_test(timeout=90)
async def test_session_is_assigned_in_the_terminal(chat: Chat) -> None:
    """`session assign` takes a token of an agent; `tail --history` shows the last messages first."""
    told = {"CHATROOMS_TOKEN": chat.token("desk", role="agent")}
    await ended(await run(chat, "session", "send", "42", "hello", **told))
    assert (await ended(await run(chat, "session", "assign", "42", "ann")))[0] == 1
    assert (await ended(await run(chat, "session", "assign", "42", "ann", "--with-history", **told)))[0] == 0
    mine = {"CHATROOMS_TOKEN": chat.token("ann")}
    tail = await run(chat, "session", "tail", "42", "--history", "5", **mine)
    assert tail.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert await tail.stdout.readline() == b"* You are reading session 42.\n"
        assert (await tail.stdout.readline()).endswith(b" user: hello\n")
    tail.send_signal(signal.SIGINT)
    await ended(tail)
