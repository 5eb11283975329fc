"""The table chatrooms/lookalikes.txt, made from the package confusable-homoglyphs and the names of characters.

`python -m tests.helpers.confusables` writes it anew. The package is 1 MB of JSON that takes 50 ms and 10 MB to load,
mostly the names of characters; the table is what a server needs of it.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Container
from importlib import resources
from pathlib import Path

import chatrooms

FILE = Path(chatrooms.__file__).parent / "lookalikes.txt"
# Letters in another dress, which Unicode takes for symbols or for sounds, and readers for letters.
_DRESSED = re.compile("(?:LATIN LETTER SMALL CAPITAL|NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER) ([A-Z])")
HEAD = """\
# Characters that look like others: what they look like, a tab, and the characters. From Unicode's confusables.txt
# (UTS #39, unicode.org/license.txt) by way of confusable-homoglyphs; and letters in another dress. Written by
# tests/helpers/confusables.py.
"""


def table() -> str:
    """The file's text: one line for each set of characters that look alike."""
    dressed = _dressed()
    sets = _sets(dressed)
    stands_for = {letter: prototype for prototype, alike in sets.items() for letter in alike}
    alike_of = {prototype: set(alike) for prototype, alike in sets.items()}
    for character, letter in dressed.items():
        alike_of.setdefault(stands_for.get(letter, letter), set()).add(character)
    lines = [f"{prototype}\t{''.join(sorted(alike))}\n" for prototype, alike in sorted(alike_of.items())]
    return HEAD + "".join(lines)


def _sets(but: Container[str]) -> dict[str, list[str]]:
    """The characters that look like each prototype, `but` some.

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
        alike = {text for text in alike if text not in but}
        if not alike:
            continue
        prototype = min(alike, key=lambda text: (len(text) == 1, not text.isascii(), -len(neighbours[text]), text))
        # What NFKC and NFD take apart never gets to the table; nor does the prototype need to stand for itself.
        members = [c for c in alike if len(c) == 1 and c != prototype and unicodedata.normalize("NFKD", c) == c]
        if members:
            sets[prototype] = members
    return sets


def _dressed() -> dict[str, str]:
    """Small capitals, and letters in black circles and squares: each with its small letter.

    Only these two look alike: what else a small capital is taken for, as by Cyrillic, is not taken for the letter.
    """
    named = ((chr(c), _DRESSED.fullmatch(unicodedata.name(chr(c), ""))) for c in range(sys.maxunicode + 1))
    return {character: found[1].lower() for character, found in named if found}


def _clean(text: str) -> str:
    return text.replace("\u200e", "")


if __name__ == "__main__":
    FILE.write_text(table())
