"""How a start that fails ends: 2 for a bad option, 1 for what may pass, so that a supervisor tries again."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.postgres import Postgres
from benchmarks.server_process import SECRET
from chatrooms import names
from chatrooms.cli import main
from chatrooms.commands import connect, serve
from chatrooms.log import sqlite
from chatrooms.names import is_reserved

NOBODY_LISTENS = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits 30 s here for what does not come."""
    monkeypatch.setattr(serve, "PATIENCE", 0.2)
    monkeypatch.setattr(serve, "RETRY", 0.1)
    monkeypatch.setenv("CHATROOMS_SECRET", SECRET)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def started(data_dir: Path, *options: str) -> int:
    """The exit status of a server that cannot start."""
    return main(["serve", "--port=0", "--log-level=error", f"--data-dir={data_dir}", *options])


def test_taken_port_may_pass(tmp_path: Path, taken_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The process that has it may be the one that this one follows."""
    for address in ("127.0.0.1", "localhost"):
        assert started(tmp_path, f"--port={taken_port}", f"--address={address}") == 1
        assert capsys.readouterr().err == (
            f"chatrooms: cannot listen on 127.0.0.1 port {taken_port}: {os.strerror(98)}\n"
        )


def test_absent_database_may_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says which; other commands end alike."""
    url = f"--database-url=postgresql://{NOBODY_LISTENS}/chat"
    assert started(tmp_path, url) == 1
    assert main(["retention", "--retention=1", url]) == 1
    assert main(["user", "disable", url, "Ada"]) == 1
    said = capsys.readouterr().err
    assert said.count("cannot open the database") == said.count("\n") == 3


def test_locked_database_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program has the file for itself; that is one line and no traceback."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.1)
    command = ["retention", "--retention=1", f"--data-dir={tmp_path}"]
    assert main(command) == 0
    capsys.readouterr()
    with closing(sqlite3.connect(tmp_path / "chatrooms.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        assert main(command) == 1
    said = capsys.readouterr().err
    assert "database is locked" in said and said.count("\n") == 1


@pytest.mark.parametrize("login", ["root", "Admin", "somebody", "a" * 40])
def test_own_name_is_never_one_that_the_server_refuses(login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container everybody is root."""
    monkeypatch.setattr("getpass.getuser", lambda: login)
    name = names.username(connect.own_name())
    assert not is_reserved(name)
    assert name.startswith(login[:32])


def test_absent_bus_may_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """NATS, and what comes in over it."""
    assert started(tmp_path, f"--bus-url=nats://{NOBODY_LISTENS}") == 1
    said = capsys.readouterr().err
    assert "the bus cannot be reached" in said and said.count("\n") == 1


def test_bad_option_does_not_pass(tmp_path: Path, postgres: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    """A database, an address or a folder that is not there, and a folder that cannot be used."""
    (tmp_path / "file").touch()
    (tmp_path / "secret").mkdir()
    bad = (
        (f"--database-url={postgres.url('nowhere')}",),
        ("--address=not an address",),
        (f"--data-dir={tmp_path / 'file'}",),
        ("--ssl-cert=nowhere", "--ssl-key=nowhere"),
    )
    for options in bad:
        assert started(tmp_path, *options) == 2, options
        assert capsys.readouterr().err.count("\n") == 1


def test_unusable_secret_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in its place is no traceback."""
    monkeypatch.delenv("CHATROOMS_SECRET")
    (tmp_path / "secret").mkdir()
    assert started(tmp_path) == 2
