"""The layout: imports point downwards only, in no circle and over few floors; files and functions stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import chatrooms

PACKAGE = Path(chatrooms.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
MAX_LINES = 320
MAX_FUNCTION = 40  # lines
MAX_FLOORS = 12
MAX_FILES = 125

# From the ground up; a module may import from its own layer and from those before it.
LAYERS: tuple[tuple[str, ...], ...] = (
    # values: pure, no I/O
    ("clock", "errors", "identity", "sse", "names", "body", "limits", "options", "option_types"),
    # infrastructure
    ("logs", "datadir", "log", "log.*"),
    ("cluster.bus", "cluster.bus.*"),
    ("cluster",),
    # streams
    ("streams", "streams.*"),
    # domain
    ("users", "users.*"),
    ("rooms", "rooms.*"),
    (
        "personal", "personal.*", "sessions", "sessions.*", "tasks", "tasks.*", "ai", "ai.*", "replies", "replies.*",
    ),
    # the whole server, HTTP, and the application
    ("server", "server.*"),
    ("http", "http.*"),
    ("app",),
    ("chatrooms",),
    # the command line, and a client that speaks HTTP like any other
    ("client", "client.*"),
    ("commands", "commands.*"),
    ("cli", "__main__"),
)  # fmt: skip
WITH_TORNADO = ("app", "cli", "__main__", "logs", "http", "http.*", "commands", "commands.*")

Graph = dict[str, set[str]]


def name_of(path: Path) -> str:
    """The dotted name inside the package: `log.sqlite`; the package itself is `chatrooms`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "chatrooms"


def stands_in(name: str, names: tuple[str, ...]) -> bool:
    return name in names or f"{name.rpartition('.')[0]}.*" in names


def layer_of(name: str) -> int:
    found = [index for index, names in enumerate(LAYERS) if stands_in(name, names)]
    assert len(found) == 1, f"{name} must stand in exactly one layer of the table"
    return found[0]


def imports(path: Path) -> Iterator[str]:
    """What a module imports, inside functions and for its types alone, too."""
    for node in ast.walk(ast.parse(path.read_text())):
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


def files() -> Graph:
    """Which module imports which."""
    return {name_of(path): set(ours(path)) - {name_of(path)} for path in MODULES}


def packages() -> Graph:
    """Which package imports which; a module of the root is one by itself."""
    graph: Graph = {}
    for name, imported in files().items():
        mine = package_of(name)
        graph.setdefault(mine, set()).update({package_of(other) for other in imported} - {mine})
    return graph


def package_of(name: str) -> str:
    return name if (PACKAGE / name.replace(".", "/")).is_dir() else name.rpartition(".")[0] or name


def floors(graph: Graph) -> list[list[str]]:
    """The names of a graph, each on the floor above the highest one that it imports. Raises CycleError."""
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    found = []
    while ready := sorter.get_ready():
        found.append(sorted(ready))
        sorter.done(*ready)
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    """A module knows nothing of those above it."""
    upwards = [name for name in ours(path) if layer_of(name) > layer_of(name_of(path))]
    assert upwards == []


def test_no_circle_of_files() -> None:
    """Each can be read when those it imports are known."""
    assert floors(files())


def test_few_files() -> None:
    """Fewer, larger rooms: a new file takes the place of one that can go."""
    assert len(MODULES) <= MAX_FILES


def test_no_circle_of_packages_and_few_floors() -> None:
    """A house of many floors takes long to climb."""
    house = floors(packages())
    assert len(house) <= MAX_FLOORS, "\n".join(" ".join(floor) for floor in house)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_callbacks_are_handed_in(path: Path) -> None:
    """By constructor: nothing sets `on_something` of another object, where it could not be found from that."""
    targets = [
        target
        for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assign)
        for goal in node.targets for target in ast.walk(goal) if isinstance(target, ast.Attribute)
    ]  # fmt: skip
    patched = [target for target in targets if target.attr.startswith("on_") and ast.unparse(target.value) != "self"]
    assert [ast.unparse(target) for target in patched] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_fit_in_a_glance(path: Path) -> None:
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None and node.end_lineno - node.lineno >= MAX_FUNCTION
    ]  # fmt: skip
    assert long == []


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
