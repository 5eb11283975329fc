"""The data files in `tests/data`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "data"


def load(name: str) -> Any:
    """The content of a JSON file."""
    return json.loads((FOLDER / name).read_text("utf-8"))


def naughty_strings() -> list[str]:
    """Both lists of strings that break careless servers, without repeats."""
    ours = [case["text"] for case in load("sse_naughty.json")]
    return list(dict.fromkeys([*ours, *load("blns.json")]))
