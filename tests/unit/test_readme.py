"""What the README must name: it is the contract that users read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import chatrooms
from chatrooms.errors import CODES
from chatrooms.http import auth, chat, events, messages, moderation, pages, personal, rooms, sessions, tasks
from chatrooms.options import OPTIONS

PACKAGE = Path(chatrooms.__file__).parent
README = PACKAGE.parent / "README.md"
MODULES = (auth, chat, events, messages, moderation, pages, personal, rooms, sessions, tasks)
ROUTES = [route[0] for module in MODULES for route in module.ROUTES]


def event_names() -> set[str]:
    """Every name that stands as the event of a call that encodes one or makes an `Event`, or is told of a member."""
    names = {"closing", "user-joined", "user-left", "room-joined", "room-left"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                position = {"sse.encode": 1, "Event": 0, "self._change": 0}.get(called)
                if called.endswith((".signal", ".tell_all")):
                    position = 0
                if position is not None and len(node.args) > position:
                    name = node.args[position]
                    if isinstance(name, ast.Constant) and isinstance(name.value, str):
                        names.add(name.value)
    return names


def test_names_of_events_are_found() -> None:
    """Or the test below would prove nothing."""
    assert event_names() >= {
        "system", "user-joined", "user-left", "room-message", "message-edited", "message-deleted", "typing",
        "presence", "heartbeat", "token-expiring", "closing", "content",
    }  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_readme_names_every_option(option: object) -> None:
    """By its flag."""
    assert re.search(rf"`(--)?{option.name}[`= ]", README.read_text())  # type: ignore[attr-defined]


@pytest.mark.parametrize("route", ROUTES)
def test_readme_names_every_route(route: str) -> None:
    """With any name for the parts that vary."""
    pattern = re.escape(route).replace(re.escape("([^/]+)"), r"[{<:]\w+[}>]?")
    assert re.search(pattern + r"[`?\s|]", README.read_text())


@pytest.mark.parametrize("name", sorted(event_names()))
def test_readme_names_every_event(name: str) -> None:
    """In the table of events."""
    assert f"`{name}`" in README.read_text()


@pytest.mark.parametrize("code", sorted(CODES))
def test_readme_names_every_error_code(code: str) -> None:
    """Clients decide by them."""
    assert f"`{code}`" in README.read_text()
