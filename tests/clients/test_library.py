"""The browser library (static/client/): its parts in Node, its types, its size."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.server_process import ServerProcess

HERE = Path(__file__).parent
CLIENT = HERE.parent.parent / "static" / "client"
TSC = HERE / "node_modules" / ".bin" / "tsc"
CORE_LIMIT = 8 * 1024  # bytes

PARTS = sorted(path.name.removesuffix(".test.mjs") for path in HERE.glob("library/*.test.mjs"))

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
needs_tsc = pytest.mark.skipif(not TSC.exists(), reason="npm install --prefix tests/clients is needed")


@needs_node
@pytest.mark.parametrize("part", PARTS)
def test_parts(part: str, tmp_path: Path) -> None:
    """Against a small server of their own, or the real one."""
    with ServerProcess(tmp_path / "data", "--ai-delay", "0.02") as server:
        _run(part, tmp_path, server.url)


def _run(part: str, tmp_path: Path, url: str) -> None:
    """Beside a package.json that says that .js files are modules, as they are for browsers."""
    shutil.copytree(CLIENT, tmp_path / "client")
    shutil.copytree(HERE / "library", tmp_path / "library")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    cases = str(HERE.parent / "data" / "wpt_eventsource_cases.json")
    environ = os.environ | {"WPT_CASES": cases, "SERVER_URL": url}
    command = ["node", "--test", str(tmp_path / "library" / f"{part}.test.mjs")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert run.returncode == 0, run.stdout + run.stderr


@needs_tsc
def test_types() -> None:
    """All JSDoc holds under tsc --checkJs --strict."""
    run = subprocess.run([TSC, "-p", HERE], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout


@needs_tsc
def test_the_core_is_small(tmp_path: Path) -> None:
    """chatrooms.js and all that it imports at once, by gzip; comments (tsc --removeComments) and indentation off."""
    subprocess.run([TSC, "-p", HERE, "--noEmit", "false", "--removeComments", "--outDir", tmp_path], check=True)
    core = "".join((tmp_path / name).read_text() for name in sorted(_imported_by("chatrooms.js")))
    size = len(gzip.compress(re.sub(r"^ +", "", core, flags=re.M).encode()))
    assert size <= CORE_LIMIT, f"{size} bytes"


def _imported_by(name: str) -> set[str]:
    """The module and those it imports statically, all the way."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += re.findall(r"^(?:import|export) .*from '\./([\w-]+\.js)';$", (CLIENT / name).read_text(), re.M)
    assert len(found) > 1
    return found
