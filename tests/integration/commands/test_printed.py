"""Every shell command and Python program that the documents print, run as printed against a server of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import jwt
import pytest

from benchmarks.server_process import SECRET, ServerProcess
from tests.helpers.documents import DOCUMENTS, ROOT, code_blocks

PATIENCE = 60.0  # seconds that one block may take
TOKEN = jwt.encode({"userId": "ada", "username": "Ada", "exp": 2**33}, SECRET)
SERVICE = jwt.encode({"userId": "shop", "role": "service", "exp": 2**33}, SECRET)

# What a block prints, by a part of its text; a block that follows a stream is ended when it has printed that.
PRINTS = {
    "README.md": {
        "api/auth/guest": "",
        "history=20": '"streamId"',
        '"message": "Hello!"': '"message":"Hello!"',
        "Last-Event-ID": '"message":"Hello!"',
        "Hi there": "data: [DONE]",
        "chatrooms tail": "Hello",
        "--role service": '"id":',
    },
    "docs/api.md": {
        "user add Grace": "Grace: done",
        "subscriptions": "sub: b",
        "api/notifications": '{"id":',
        "sqlite3": "",
        "session send": "Hello",
        "import-1/progress": "event: complete",
        "task run": "completed",
        "lobby/export": "event: complete",
    },
    "docs/browser.md": {"chatrooms tail": "Hello"},
    "docs/operations.md": {
        "CHATROOMS_TRUSTED_PROXIES": "serving",
        "--workers 2": "serving",
        "chatrooms backup": "",
        "chatrooms retention": "",
    },
    "docs/contributing.md": {"python .ci/options.py": ""},
}
# Blocks that other tests run, or nobody can here.
ELSEWHERE = {
    "make run": "the gate", "make test": "the gate", "docker compose": "needs Docker", ".[ai]": "needs a key",
    "psql": "test_psql", "db.example.org": "needs that server", "nats request": "needs the program nats",
    "pytest": "runs tests", "make lint": "the gate", "cProfile": "does not end by itself",
    "http.server": "serves port 8000", "npm install": "the gate",
    "make bench": "takes minutes", "make drill": "takes minutes", "benchmarks/run.py": "takes minutes",
}  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as running:
        yield running


def run(server: ServerProcess, script: str, wanted: str, token: str = TOKEN) -> str:
    """Runs a block in an empty folder; returns what it printed up to the line with `wanted`, else all of it."""
    folder = server.data_dir.parent
    (folder / "import.sh").write_text("#!/bin/sh\necho 40%\n")
    (folder / "import.sh").chmod(0o755)
    if not (folder / "run.py").exists():
        (folder / "run.py").symlink_to(ROOT / "run.py")
    env = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "CHATROOMS_SECRET": SECRET,
        "CHATROOMS_URL": server.url, "TOKEN": token, "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    for printed in ("http://127.0.0.1:4000", "localhost:4000"):
        script = script.replace(printed, server.url)
    script = script.replace("/var/backups", str(folder))
    (folder / "typed").write_text("a password\n" * 9)
    with (folder / "typed").open() as typed:
        process = subprocess.Popen(
            ["bash", "-e", "-c", script], cwd=folder, env=env, text=True, start_new_session=True,
            stdin=typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    limit = Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    limit.start()
    said = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if wanted and wanted in line:
                return said
        assert not wanted and process.wait() == 0, f"{script}\nprinted:\n{said}"
        return said
    finally:
        limit.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wanted_of(document: str, block: str) -> str | None:
    """What a block prints; None for one that is not run here. Every block must be known."""
    for part, wanted in PRINTS.get(document, {}).items():
        if part in block:
            return wanted
    assert any(part in block for part in ELSEWHERE), f"{document} prints an unknown command: {block}"
    return None


def test_readme(server: ServerProcess) -> None:
    """From the guest's token on, in order: the stream that resumes gets the message posted meanwhile."""
    token, last = TOKEN, ""
    for block in code_blocks(ROOT / "README.md", "sh"):
        if (wanted := wanted_of("README.md", block)) is None:
            continue
        said = run(
            server, block.replace("LAST_ID", last) + ('echo "$TOKEN"' if "/guest" in block else ""), wanted, token
        )
        token = said.strip() if "/guest" in block else token
        if not last and "id: " in said:
            last = re.findall(r"id: (\w+-\d+)", said)[0]
    assert token != TOKEN and last


@pytest.mark.parametrize("document", [name for name in PRINTS if name != "README.md"])
def test_other_documents(server: ServerProcess, document: str) -> None:
    """In order; what works on the data of a stopped server comes last."""
    for block in code_blocks(ROOT / document, "sh"):
        wanted = wanted_of(document, block)
        if wanted is None:
            continue
        offline = [line for line in block.splitlines() if "restore" in line or "retention" in line]
        if "chatrooms session" in block or "chatrooms task" in block:
            block = f"export CHATROOMS_TOKEN={SERVICE}\n{block}"
        if "run.py" in block:
            block = f"export CHATROOMS_PORT=0 CHATROOMS_DATA_DIR=other\n{block}"
        if document == "docs/contributing.md":
            block = f"cd {ROOT}\n" + block.replace("> docs/", "> /dev/null #")
        run(server, "\n".join(line for line in block.splitlines() if line not in offline) if offline else block, wanted)
        if offline:
            if server.status is None:
                assert server.terminate() == 0
            run(server, "\n".join(offline), wanted)


def test_python_client(server: ServerProcess, tmp_path: Path) -> None:
    """It says something, and reads it; that of docs/browser.md is run in test_client.py."""
    [program] = [block for block in code_blocks(ROOT / "README.md", "python") if "asyncio.run" in block]
    (tmp_path / "program.py").write_text(program.replace("http://127.0.0.1:4000", server.url))
    run(server, "python program.py", "room-message")


@pytest.mark.skipif(not shutil.which("psql"), reason="psql is not installed")
def test_psql(tmp_path: Path, postgres_url: str) -> None:
    """The row is read by the command of the terminal."""
    [block] = [block for block in code_blocks(ROOT / "docs" / "api.md", "sh") if "psql" in block]
    with ServerProcess(tmp_path / "data", "--database-url", postgres_url) as server:
        run(server, f"CHATROOMS_DATABASE_URL={postgres_url}\n{block}", "INSERT")
        run(server, f"CHATROOMS_TOKEN={SERVICE} python -m chatrooms session tail 42 --history 20", "Hello")


def test_tokens_of_a_program(server: ServerProcess) -> None:
    """The four lines make one that the server takes."""
    [lines] = [block for block in code_blocks(ROOT / "README.md", "python") if "jwt.encode" in block]
    names: dict[str, str] = {"SECRET": SECRET}
    exec(lines, names)
    assert '"Ada"' in run(
        server, 'curl -sf localhost:4000/api/auth/me -H "Authorization: Bearer $TOKEN"\necho', "Ada", names["token"]
    )


@pytest.mark.parametrize("document", [str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_every_block_is_known(document: str) -> None:
    """Also in documents that are not run."""
    for block in code_blocks(ROOT / document, "sh"):
        wanted_of(document, block)
