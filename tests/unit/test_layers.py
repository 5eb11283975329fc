"""The layout: imports point downwards only, and files stay small (DESIGN: layout)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatrooms

PACKAGE = Path(chatrooms.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
MAX_LINES = 320

# From the ground up; a module may import from its own layer and from those before it.
LAYERS: tuple[tuple[str, ...], ...] = (
    # values: pure, no I/O
    ("chatrooms", "clock", "errors", "log.event", "sse", "names", "lookalikes", "body", "limits", "options", "kinds"),
    # infrastructure
    (
        "log", "log.backup", "log.database", "log.group", "log.log", "log.postgres", "log.retention", "log.sqlite",
        "cluster.bus", "cluster.bus.*", "logs", "datadir",
    ),
    # streams and domain
    (
        "streams", "streams.*", "cluster", "cluster.nodes", "cluster.leases", "users", "users.*", "rooms", "rooms.*",
        "personal", "personal.*", "sessions", "sessions.*", "tasks", "tasks.*", "replies", "replies.*", "ai", "ai.*",
        "erasure",
    ),
    # the whole server
    ("metrics", "parts", "housekeeping", "server"),
    # HTTP
    ("http", "http.*"),
    # the application, the command line, and a client of it all
    ("app", "embed", "client", "client.*", "cli", "__main__", "commands", "commands.*"),
)  # fmt: skip
WITH_TORNADO = ("app", "cli", "__main__", "logs", "http", "http.*", "commands", "commands.*")


def name_of(path: Path) -> str:
    """The dotted name inside the package: `storage.log`; the package itself is `chatrooms`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "chatrooms"


def stands_in(name: str, names: tuple[str, ...]) -> bool:
    return name in names or f"{name.rpartition('.')[0]}.*" in names


def layer_of(name: str) -> int:
    found = [index for index, names in enumerate(LAYERS) if stands_in(name, names)]
    assert len(found) == 1, f"{name} must stand in exactly one layer of the table"
    return found[0]


def imports(path: Path) -> Iterator[str]:
    """What a module imports when it runs; what it needs for its types alone does not count."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> Iterator[str]:
    """The modules of the package that a module imports."""
    known = {name_of(module) for module in MODULES}
    for name in imports(path):
        if name.partition(".")[0] == "chatrooms":
            inner = name.partition(".")[2]
            while inner and inner not in known:
                inner = inner.rpartition(".")[0]
            yield inner or "chatrooms"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    """A module knows nothing of those above it."""
    upwards = [name for name in ours(path) if layer_of(name) > layer_of(name_of(path))]
    assert upwards == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_edge_knows_tornado(path: Path) -> None:
    """Domain and core could stand behind any other server."""
    if not stands_in(name_of(path), WITH_TORNADO):
        assert [name for name in imports(path) if name.partition(".")[0] == "tornado"] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_are_small_and_begin_with_a_promise(path: Path) -> None:
    """One noun a file; past some 300 lines it is two."""
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))


def test_nothing_mutable_lives_in_a_module() -> None:
    """Two servers in one process do not see each other."""
    found = [
        f"{name_of(path)}: {ast.unparse(node)}"
        for path in MODULES for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.List | ast.Dict | ast.Set)
        and not ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target).lstrip("_").isupper()
    ]  # fmt: skip
    assert found == []


@pytest.mark.parametrize("path", sorted((PACKAGE.parent / "benchmarks").rglob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_stand_without_the_tests(path: Path) -> None:
    """What both need stands in benchmarks/."""
    assert [name for name in imports(path) if name.partition(".")[0] == "tests"] == []
