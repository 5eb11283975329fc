"""The documents: complete, and every link leads somewhere. Tests named test_printed run what they print."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chatrooms
from chatrooms.app import routes
from chatrooms.cli import COMMANDS
from chatrooms.errors import CODES
from chatrooms.http.openapi import document
from chatrooms.options import OPTIONS
from chatrooms.personal.notifications import RESERVED
from tests.helpers.documents import DOCUMENTS, ROOT, anchors, code_blocks, headings, prose

PACKAGE = Path(chatrooms.__file__).parent
API = (ROOT / "docs" / "api.md").read_text()
CALLS = [
    f"{method.upper()} {re.sub(r'{[^}]+}', '{}', path)}"
    for path, methods in document(routes())["paths"].items()
    for method in methods
]
FLAGS = {"name", "servers", "url", "username"}  # of other commands, or of any
README_LINES = 220
NOUNS = 25


def event_names() -> set[str]:
    """Names that no notification may have, and every other that an encoder, `Event` or `broadcast` is called with."""
    names = {"bot-chunk", "progress", "complete", "error"} | RESERVED - {"erased"}  # which stays between nodes
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                position = {"sse.encode": 1, "Event": 0, "First": 0, "self._change": 0}.get(called)
                if called.endswith((".signal", ".broadcast")):
                    position = 0
                if position is not None and len(node.args) > position:
                    name = node.args[position]
                    if isinstance(name, ast.Constant) and isinstance(name.value, str):
                        names.add(name.value)
    return names


def documented_events() -> set[str]:
    """Those of the tables of events."""
    tables = (block for block in API.split("\n\n") if block.startswith("| event"))
    cells = (line.split(" | ")[0] for table in tables for line in table.splitlines()[2:])
    return {name for cell in cells for name in re.findall(r"`([a-z-]+)`", cell)}


def test_what_is_documented_is_found() -> None:
    """Or the tests below would prove nothing."""
    assert len(event_names()) > 20 and {"status", "content", "token-expiring"} <= event_names()
    assert len(documented_events()) > 15
    assert len(CALLS) > 60 and len(DOCUMENTS) > 8


@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_documented(call: str) -> None:
    """In the first column of a table, with any names for the parts that vary."""
    method, path = call.split(" ")
    cells = (line.split(" | ")[0] for line in API.splitlines() if line.startswith("| `"))
    calls = {re.sub(r"{[^}]+}", "{}", cell).replace("…", "{}") for cell in cells}
    pattern = rf"\b{re.escape(call)}[`? ]|`{method}`, .*{re.escape(path)}`"
    assert any(re.search(pattern, cell) for cell in calls)


@pytest.mark.parametrize("name", sorted(event_names()))
def test_every_event_is_documented(name: str) -> None:
    """In a table of events, or as the type of an unnamed one."""
    assert f"`{name}`" in API or f'"{name}"' in API


def test_documented_events_exist() -> None:
    """Those that have gone are out of the tables, too."""
    assert documented_events() <= event_names()


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_error_code_is_documented(code: str) -> None:
    """Clients decide by them."""
    assert f"`{code}`" in API


def test_documented_error_codes_exist() -> None:
    """In the table of statuses."""
    table = API.partition("\n## Errors\n")[2].partition("\n## ")[0].partition("|---|")[2]
    assert set(re.findall(r"`([a-z-]+)`", table)) <= CODES


def test_options_are_those_of_the_table() -> None:
    """To write the file anew: `python .ci/options.py > docs/options.md`."""
    made = subprocess.run([sys.executable, ".ci/options.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "options.md").read_text() == made.stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """To a file of the repository and, after #, to a heading of it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if "://" not in link:
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists() and target.is_relative_to(ROOT), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_options_commands_and_files_that_are_named_exist(path: Path) -> None:
    """Options of the server stand alone in backticks; flags of other programs stand in their commands."""
    text = path.read_text()
    assert set(re.findall(r"`--(?!chatrooms-)([a-z-]+)", prose(path))) <= {option.name for option in OPTIONS} | FLAGS
    assert set(re.findall(r"python -m chatrooms (\w+)", text)) <= set(COMMANDS)
    for file in re.findall(
        r"\b((?:tests|chatrooms|docs|static|benchmarks|\.ci)/[\w./-]*\w\.(?:py|md|js|mjs|sh))\b", text
    ):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_that_is_printed_compiles(path: Path) -> None:
    """With `await` at its top, as an interactive shell takes it."""
    for block in code_blocks(path, "python"):
        compile(block, str(path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_files_that_the_code_names_exist() -> None:
    """Documents move."""
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "deploy").rglob("*.*")]:
        for file in re.findall(r"\bdocs/[a-z-]+\.md\b", path.read_text()):
            assert (ROOT / file).exists(), (path, file)


def test_readme_is_short() -> None:
    """All else stands in docs/, and every document there can be found from it."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= README_LINES
    for path in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{path.name})" in text, path


def test_glossary_is_small() -> None:
    """A newcomer learns so many words before reading on."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("\n## Glossary\n")[2].partition("\n## ")[0]
    nouns = [line.split(" | ")[0].strip("| ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert 10 <= sum(len(noun.split(", ")) for noun in nouns) <= NOUNS
    assert "Glossary" in headings(ROOT / "docs" / "architecture.md")
