"""docs/security.md, "Filling it": the table of all that grows names every call that writes, and nothing that is not."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import chatrooms
from chatrooms.app import routes
from chatrooms.http.openapi import document
from chatrooms.options import OPTIONS

ROOT = Path(chatrooms.__file__).parent.parent
TABLE = (ROOT / "docs" / "security.md").read_text().partition("## Filling it")[2].partition("\n## ")[0]
ROWS = [
    line.strip("| ").split(" | ") for line in TABLE.split("\n")
    if line.startswith("| ") and not line.startswith(("| what grows", "| what takes"))
]  # fmt: skip
BOUNDS = re.findall(r"`([^`]+)`", " ".join(row[2] for row in ROWS))
TESTS = re.findall(r"`([^`]+)`", " ".join(row[3] for row in ROWS))


def writing_calls() -> list[str]:
    """`POST /api/rooms/{}/messages` and the like, of every route, as the OpenAPI document has them."""
    described = document(routes())
    return [
        f"{method.upper()} {re.sub(r'{[^}]+}', '{}', path)}"
        for path, methods in described["paths"].items() for method in methods if method != "get"
    ]  # fmt: skip


def test_the_table_is_found() -> None:
    """Or the tests below would prove nothing."""
    assert len(ROWS) > 20 and all(len(row) == 4 for row in ROWS)
    assert len(writing_calls()) > 30 and len(BOUNDS) > 40 and len(TESTS) > 30


@pytest.mark.parametrize("call", writing_calls())
def test_every_call_that_writes_stands_in_the_table(call: str) -> None:
    """A new one needs a row that says what bounds it."""
    assert any(f"`{call}`" in row[1] for row in ROWS)


@pytest.mark.parametrize("bound", sorted(set(BOUNDS)))
def test_every_bound_exists(bound: str) -> None:
    """An option, or a number in a module."""
    if bound.startswith("--"):
        assert bound.removeprefix("--") in {option.name for option in OPTIONS}
    elif "." in bound:
        module, _, name = bound.rpartition(".")
        assert isinstance(getattr(import_module(f"chatrooms.{module}"), name), int | float)
    else:
        assert bound == "typing"  # an event


@pytest.mark.parametrize("named", sorted(set(TESTS)))
def test_every_test_exists(named: str) -> None:
    file, _, test = named.partition("::")
    text = (ROOT / "tests" / file).read_text()
    assert f"def {test}(" in text if test else "def test_" in text
