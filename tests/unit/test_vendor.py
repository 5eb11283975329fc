"""What others wrote and we serve (static/vendor/): as it was published, and nothing besides."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from chatrooms.http.pages import static_folder

VENDOR = static_folder() / "vendor"
CLIENTS = Path(__file__).parent.parent / "clients"
LIBRARIES: list[dict[str, Any]] = json.loads((VENDOR / "manifest.json").read_text())

each_library = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library["name"])


@each_library
def test_files_are_those_of_the_manifest(library: dict[str, Any]) -> None:
    """By their checksums; the folder names the version, as its files are cached for good."""
    folder = VENDOR / library["folder"]
    assert library["folder"] == f"{library['name']}-{library['version']}"
    assert library["licence"] and library["origin"].endswith(f"-{library['version']}.tgz")
    assert "LICENSE" in library["files"]
    found = {path.name: path for path in folder.iterdir() if not path.name.endswith(".d.mts")}
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()}
    assert sums == {name: file["sha256"] for name, file in library["files"].items()}


@each_library
def test_files_are_those_of_the_package(library: dict[str, Any]) -> None:
    """Byte by byte those that npm installs, at the version that package.json names."""
    wanted = json.loads((CLIENTS / "package.json").read_text())["devDependencies"]
    assert wanted[library["package"]] == library["version"]
    package = CLIENTS / "node_modules" / library["package"]
    if not package.is_dir():
        pytest.skip("npm install --prefix tests/clients is needed")
    for name, file in library["files"].items():
        assert (VENDOR / library["folder"] / name).read_bytes() == (package / file["source"]).read_bytes(), name


def test_nothing_else_is_there() -> None:
    assert {path.name for path in VENDOR.iterdir()} == {"manifest.json"} | {library["folder"] for library in LIBRARIES}
