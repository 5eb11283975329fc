"""Names that look alike (Unicode TR39, section 4): what a person sees of a name, in a form that can be compared.

Two names look alike when one skeleton of one is a skeleton of the other. There are two, because `I` looks like `l`
and is the capital of `i`: one of the name as it is written, one of it in small letters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib import resources

from chatrooms import names

SPOKEN = ("assistant", "system")  # names under which the server itself is shown
# Names under which somebody would be believed to speak for it.
RESERVED = (
    *SPOKEN, "server", "admin", "administrator", "root", "moderator", "operator", "support", "security", "official",
    "chatrooms", "deleted user",
)  # fmt: skip

_DOT_OF_ITS_OWN = re.compile("(?<=[ij])\u0307")  # drawn in the place of the letter's own dot


def skeletons(name: str) -> tuple[str, ...]:
    """The one or two skeletons of a display name; none are equal, and none is longer than some hundred characters."""
    text = unicodedata.normalize("NFKC", names.shown(names.measured(name)))
    # Formats, private and unassigned characters show nothing, or a box at best.
    text = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    return tuple(dict.fromkeys((_skeleton(text), _skeleton(text.casefold()))))


def alike(one: str, other: str) -> bool:
    """Whether two display names look alike to a person."""
    return not set(skeletons(one)).isdisjoint(skeletons(other))


def is_reserved(name: str) -> bool:
    """Whether a display name looks like one of those that speak for the server."""
    return not _skeletons_of(RESERVED).isdisjoint(skeletons(name))


def is_spoken(name: str) -> bool:
    """Whether a display name looks like one that the server itself has."""
    return not _skeletons_of(SPOKEN).isdisjoint(skeletons(name))


def _skeleton(text: str) -> str:
    """What the text looks like, whatever its case: what a character is mapped to may have a small letter of its own."""
    table = _table()
    seen = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).translate(table)).casefold()
    seen = _DOT_OF_ITS_OWN.sub("", unicodedata.normalize("NFKD", seen).translate(table))
    return names.shown(unicodedata.normalize("NFC", seen))


@lru_cache(2)
def _skeletons_of(reserved: tuple[str, ...]) -> frozenset[str]:
    """In capitals, too, where `l` is taken for `I`."""
    written = (*reserved, *(name.upper() for name in reserved))
    return frozenset(skeleton for name in written for skeleton in skeletons(name))


@lru_cache(1)
def _table() -> dict[int, str]:
    """Each character and what it looks like. Read when it is first needed: in some 3 ms."""
    lines = resources.files("chatrooms").joinpath("lookalikes.txt").read_text("utf-8").split("\n")
    rows = (line.partition("\t") for line in lines if "\t" in line)
    return {ord(character): prototype for prototype, _, characters in rows for character in characters}
