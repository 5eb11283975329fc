"""What may stand in a log line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from benchmarks.server_process import SECRET
from chatrooms import logs
from tests.helpers.data import naughty_strings

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VySWQiOiJhIn0.c2lnbmF0dXJl-_x"
LEAKS = [
    f"GET /events?token={TOKEN}&roomId=lobby",
    "GET /events?ticket=CANARY HTTP/1.1",
    "GET /events?roomId=a&access_token=CANARY",
    "Authorization: Bearer CANARY",
    "{'Authorization': 'Bearer CANARY'}",
    "headers=[('cookie', 'chatrooms_token=CANARY; other=CANARY')]",
    "Cookie: chatrooms_token=CANARY",
    'b\'{"refreshToken": "CANARY", "password":"CANARY"}\'',
    "POST https://models.example/v1?api_key=CANARY",
]
HARMLESS = [
    "GET /api/rooms/lobby/messages 200 1.3 ms 127.0.0.1",
    "serving http://127.0.0.1:4000/ (process 7)",
    "the token has expired; the password was wrong; key=value",
    "append failed: OperationalError: database or disk is full",
]


@pytest.fixture(params=["text", "json"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What goes to standard error, in both forms, at the level debug."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure(request.param, "debug")
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize("text", LEAKS)
def test_secrets_are_left_out(text: str) -> None:
    """Whoever wrote the line."""
    assert "CANARY" not in logs.redact(text)
    assert TOKEN[10:] not in logs.redact(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_lines_stay_as_they_are(text: str) -> None:
    """Redaction is for secrets, not for what an operator has to read."""
    assert logs.redact(text) == text


def test_tornado_does_not_quote_what_a_peer_sent(written: io.StringIO) -> None:
    """Its lines about malformed requests hold parts of them; who sent them is kept."""
    logging.getLogger("tornado.general").info("Malformed HTTP message from %s: %s", 7, ValueError(SECRET))
    logging.getLogger("tornado.application").error("Uncaught exception %s\n%r", "GET /?x=" + SECRET, b"body")
    assert SECRET not in written.getvalue()
    assert "Malformed HTTP message from 7" in written.getvalue()


def test_tracebacks_are_redacted(written: io.StringIO) -> None:
    """An exception may have a token in its text."""
    try:
        raise ValueError(f"bad url /events?token={TOKEN}")
    except ValueError:
        logging.getLogger("any").exception("it failed")
    assert TOKEN not in written.getvalue()
    assert "ValueError" in written.getvalue()


def test_naughty_text_does_not_break_redaction() -> None:
    """Nor does any of it take long: the pattern has no nested repeats."""
    for text in naughty_strings():
        logs.redact(text)
    logs.redact("eyJ" + "a." * 100_000)
    logs.redact("authorization " * 50_000)


def test_json_lines_stay_json(monkeypatch: pytest.MonkeyPatch, written: io.StringIO) -> None:
    """Redaction happens to values, not to the line."""
    logging.getLogger("x").warning('body {"password": "CANARY"} of %s', "someone")
    line = written.getvalue().strip().splitlines()[-1]
    assert "CANARY" not in line
    if line.startswith("{"):
        assert json.loads(line)["level"] == "warning"
