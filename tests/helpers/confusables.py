"""The table chatrooms/lookalikes.txt, made from the package confusable-homoglyphs.

`python -m tests.helpers.confusables` writes it anew. The package is 1 MB of JSON that takes 50 ms and 10 MB to load,
mostly the names of characters; the table is what a server needs of it.
"""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from importlib import resources
from pathlib import Path

import chatrooms

FILE = Path(chatrooms.__file__).parent / "lookalikes.txt"
HEAD = """\
# Characters that look like others: what they look like, a tab, and the characters. From Unicode's confusables.txt
# (UTS #39, unicode.org/license.txt) by way of confusable-homoglyphs; written by tests/helpers/confusables.py.
"""


def table() -> str:
    """The file's text: one line for each set of characters that look alike."""
    lines = [f"{prototype}\t{''.join(sorted(alike))}\n" for prototype, alike in sorted(_sets().items())]
    return HEAD + "".join(lines)


def _sets() -> dict[str, list[str]]:
    """The characters that look like each prototype.

    The package has every pair in both directions: what is connected looks alike. What stands for a set is the
    text of several characters in it, if there is one, else an ASCII character, else the one with most neighbours.
    """
    pairs = {
        (_clean(one), _clean(other["c"]))
        for one, others in json.loads(
            resources.files("confusable_homoglyphs").joinpath("confusables.json").read_text()
        ).items() for other in others
    }  # fmt: skip
    neighbours = defaultdict(set)
    for one, other in pairs:
        neighbours[one].add(other)
        neighbours[other].add(one)
    sets, seen = {}, set()
    for start in sorted(neighbours):
        if start in seen:
            continue
        alike, reached = set(), [start]
        while reached:
            text = reached.pop()
            if text not in alike:
                alike.add(text)
                reached.extend(neighbours[text])
        seen |= alike
        prototype = min(alike, key=lambda text: (len(text) == 1, not text.isascii(), -len(neighbours[text]), text))
        # What NFKC and NFD take apart never gets to the table; nor does the prototype need to stand for itself.
        members = [c for c in alike if len(c) == 1 and c != prototype and unicodedata.normalize("NFKD", c) == c]
        if members:
            sets[prototype] = members
    return sets


def _clean(text: str) -> str:
    return text.replace("\u200e", "")


if __name__ == "__main__":
    FILE.write_text(table())
