"""The documents of the repository, as tests read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path for folder in ("", "docs", "deploy", "benchmarks", "examples", "tests/data")
    for path in (ROOT / folder).glob("*.md")
)  # fmt: skip

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def code_blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of that language, in order."""
    return [match[3] for match in _FENCE.finditer(path.read_text()) if match[2] == language]


def prose(path: Path) -> str:
    """All but fenced blocks."""
    return _FENCE.sub("", path.read_text())


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """What a link may name after #: headings as GitHub makes ids of them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(path)}
