"""The life of a database: restart, backup, restore, and one process at a time."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from benchmarks.server_process import SECRET
from chatrooms.app import make_app
from chatrooms.cli import main
from chatrooms.errors import ConfigError
from tests.helpers.chat import Chat
from tests.helpers.reader import data

PATIENCE = 60.0  # seconds that another process may take


def texts(file: Path) -> list[str]:
    """The texts of the messages in a database file."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("select json_extract(data, '$.message') from events order by seq")
        return [text for (text,) in rows]


@pytest.mark.gen_test(timeout=60)
async def test_running_server_is_backed_up(chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of its last commit, in one file; it is not overwritten."""
    await chat.say_all("lobby", ["a", "b"])
    copy = tmp_path / "copy.db"
    arguments = ["backup", "--data-dir", str(tmp_path), str(copy)]
    assert main(arguments) == 0
    await chat.say("lobby", "after")
    assert texts(copy) == ["a", "b"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.glob("copy*")] == ["copy.db"]
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


async def _first_system(chat_dir: Path, position: str) -> tuple[str, bool]:
    app = make_app(data_dir=chat_dir, secret=SECRET)
    server = app.settings["server"]
    await server.start()
    try:
        start = await server.rooms.start_of("lobby", position, 0)
        return server.log.epoch, start.recovered
    finally:
        await server.stop()


def test_epoch_is_stable_over_a_restart_and_new_after_a_restore(tmp_path: Path, io_loop: IOLoop) -> None:
    """So a position from before the restore is recognised instead of misread."""
    epoch, _ = io_loop.run_sync(lambda: _first_system(tmp_path, ""))
    again, recovered = io_loop.run_sync(lambda: _first_system(tmp_path, f"{epoch}-0"))
    assert (again, recovered) == (epoch, True)
    copy = tmp_path / "copy.db"
    assert main(["backup", "--data-dir", str(tmp_path), str(copy)]) == 0
    assert main(["restore", "--data-dir", str(tmp_path), str(copy)]) == 0
    restored, recovered = io_loop.run_sync(lambda: _first_system(tmp_path, f"{epoch}-0"))
    assert restored != epoch and not recovered


@pytest.mark.parametrize("content", [None, b"", b"no database", b"SQLite format 3\0" + b"x" * 200])
def test_unsound_backup_is_refused_and_changes_nothing(
    tmp_path: Path, io_loop: IOLoop, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, status 2."""
    epoch, _ = io_loop.run_sync(lambda: _first_system(tmp_path, ""))
    source = tmp_path / "source"
    if content is not None:
        source.write_bytes(content)
    assert main(["restore", "--data-dir", str(tmp_path), str(source)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert io_loop.run_sync(lambda: _first_system(tmp_path, ""))[0] == epoch


@pytest.mark.gen_test(timeout=90)
async def test_second_process_on_the_same_folder_exits_with_2(chat: Chat, tmp_path: Path) -> None:
    """And says which folder; neither a restore nor retention gets in."""
    for arguments in (["serve", "--port", "0"], ["restore", "x"], ["retention", "--retention", "1"]):
        command = [sys.executable, "-m", "chatrooms", *arguments, "--data-dir", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)  # noqa: ASYNC221
        assert ended.returncode == 2
        assert f"{tmp_path} is in use" in ended.stderr and ended.stderr.count("\n") == 1
    with pytest.raises(ConfigError, match="in use"):
        make_app(data_dir=tmp_path)


def test_file_that_is_no_database_stops_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one line and status 2, and is left as it is."""
    file = tmp_path / "chatrooms.db"
    file.write_bytes(b"no database" * 1000)
    assert main(["serve", "--port=0", f"--data-dir={tmp_path}", "--log-level=error"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert file.read_bytes() == b"no database" * 1000


def test_empty_secret_stops_the_start(tmp_path: Path) -> None:
    """Tokens signed with nothing could be forged by everybody."""
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        make_app(data_dir=tmp_path)


def test_secret_is_made_once_and_kept_from_others(tmp_path: Path, io_loop: IOLoop) -> None:
    """256 random bits, mode 0600."""
    secrets = []
    for _ in range(2):
        server = make_app(data_dir=tmp_path).settings["server"]
        secrets.append(server._secret)
        io_loop.run_sync(server.stop)
    assert secrets[0] == secrets[1] and len(bytes.fromhex(secrets[0])) == 32
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "example.org"])
def test_short_secret_stops_the_start_where_others_can_reach_it(tmp_path: Path, address: str, io_loop: IOLoop) -> None:
    """On loopback it is only warned of."""
    with pytest.raises(ConfigError, match="shorter than 32"):
        make_app(data_dir=tmp_path / "a", address=address, secret="x" * 31)
    well: list[dict[str, Any]] = [{"address": address, "secret": "x" * 32}, {"secret": "x"}]
    for options in well:
        io_loop.run_sync(make_app(data_dir=tmp_path / "b", **options).settings["server"].stop)


@pytest.mark.gen_test(timeout=60)
async def test_two_servers_in_one_process_do_not_see_each_other(chat: Chat) -> None:
    """Without a folder each has one of its own."""
    other = make_app(secret=SECRET).settings["server"]
    await other.start()
    try:
        await chat.say("lobby", "a")
        assert other.log.head == 0 and other.log.epoch != chat.server.log.epoch
        assert data((await chat.join()).seen[0])["onlineCount"] == 1
        assert other.rooms.online("lobby") == 0
    finally:
        await other.stop()
    assert not other.data_dir.exists()


@pytest.mark.gen_test(timeout=30)
async def test_erased_text_leaves_the_database_file(chat: Chat, tmp_path: Path) -> None:
    """Nor does an old backup of a page remain: the bytes of the file are searched."""
    posted = [await chat.say("lobby", f"zq-original-{n}") for n in range(2)]
    paths = [f"/api/rooms/lobby/messages/{message['id']}" for message in posted]
    await asyncio.gather(
        chat.call("PATCH", paths[0], {"message": "zq-second"}),
        chat.call("PATCH", paths[0], {"message": "zq-third"}),
        chat.call("DELETE", paths[0]),
        chat.call("PATCH", paths[1], {"message": "zq-kept"}),
    )
    assert (await chat.call("DELETE", paths[0])).status == 404
    await chat.server.database.fetch("pragma wal_checkpoint(truncate)")
    content = (tmp_path / "chatrooms.db").read_bytes() + (tmp_path / "chatrooms.db-wal").read_bytes()
    assert b"zq-kept" in content
    for gone in (b"zq-original", b"zq-second", b"zq-third"):
        assert gone not in content
