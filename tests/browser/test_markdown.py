"""The demo's parser of Markdown, run by Node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_markdown(tmp_path: Path) -> None:
    """Beside a package.json that says that .js files are modules, as they are for browsers."""
    shutil.copytree(HERE.parent.parent / "static" / "js", tmp_path / "js")
    shutil.copy(HERE / "markdown.test.mjs", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run = subprocess.run([str(NODE), "--test", tmp_path], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
