"""Names that look alike: what `name-taken` compares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrooms.names import RESERVED, _table, alike, is_reserved, skeletons
from tests.helpers import confusables
from tests.helpers.limit import time_limit

LOOK_LIKE_ADA = [
    "Ada", "aDA", " Ada ", "Ada\u200b", "A\u200dda", "Ad\u00ada", "Ada\u3164", "Ada\u2800", "\uff21\uff44\uff41",
    "Аda", "АDА", "Adа", "ᎪdᎪ", "𝐀𝐝𝐚", "Ⓐⓓⓐ", "Ad\ufe0fa", "A\u034fda", "Ada\U000e0041", "Αda",
    "ᴀᴅᴀ", "🅐🅓🅐", "🅰🅳🅰", "Ada\ufff9", "A\ue000da", "Ad\U00013430a", "A\u200ada", "A\u200a\u200bda",
]  # fmt: skip


@pytest.mark.parametrize("name", LOOK_LIKE_ADA)
def test_names_that_look_alike_have_a_skeleton_in_common(name: str) -> None:
    """Zero-width and filling characters, other widths, letters of other scripts."""
    assert alike(name, "Ada")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Alice", "AIice"), ("ALICE", "alicе"), ("ALICE", "АLІСЕ"), ("Bob", "B0b"), ("Bill", "Bi11"), ("Bill", "Bi|l"),
     ("mia", "rnia"), ("MIA", "mia"), ("Ian", "lan"), ("Нелли", "HеллИ"),
     ("Mia", "Mi\u0307a"), ("Mia", "Mı\u0307a"), ("MIA", "MİA"), ("Ann Lee", "Ann\u2009Lee"),
     ("Ann Lee", "Ann\u2003\u00a0Lee"), ("Ann Lee", "Ann\u200a\u200aLee"), ("Zoe\u0301", "Zoé")],
)  # fmt: skip
def test_letters_that_are_taken_for_others_are_the_same(one: str, other: str) -> None:
    """Also in capitals, and by two letters for one."""
    assert alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "Adam"), ("Ada", "Adá"), ("Ali", "All"), ("Mia", "Mla"), ("Kai", "Kal"), ("Ned", "Ved"), ("Ada", "Ида"),
     ("Анна", "Anna"), ("小林", "大林"), ("Ann Lee", "AnnLee"), ("💬", "🗨"), ("O'Hara", "OHara"),
     ("Том", "Tom"), ("Eve", "Ėve")],
)  # fmt: skip
def test_names_that_differ_to_a_person_are_apart(one: str, other: str) -> None:
    """A name is not refused because it is written in another script."""
    assert not alike(one, other)


@pytest.mark.parametrize(
    "name",
    ["Assistant", "ASSISTANT", "Аssistant", "A\u200bssistant", "ﾠSystem", "Ѕуѕtеm", "M0derator", "ADMlN", "ADMIN",
     "Ｓｅｒｖｅｒ", "Admi\u0307n", "ADMİN", "ᴀᴅᴍɪɴ", "🅢🅨🅢🅣🅔🅜", "Ad\u200amin", "Admin\ufff9"],
)  # fmt: skip
def test_names_that_speak_for_the_server_are_reserved(name: str) -> None:
    """Whatever they are written with."""
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["Ada", "Al", "Ai", "Owner", "Assist", "Admina", "Sys", "Модератор", "小林", "💬"])
def test_other_names_are_free(name: str) -> None:
    assert not is_reserved(name)


def test_reserved_names_are_names() -> None:
    assert all(is_reserved(name.title()) for name in RESERVED)


@given(st.text(max_size=40))
def test_skeletons_are_short_and_do_not_change(name: str) -> None:
    """They can be stored, and an index holds them."""
    found = skeletons(name)
    assert 1 <= len(found) <= 2 and all(len(skeleton) <= 2000 for skeleton in found)
    assert set(skeletons(name.strip())) == set(found)


def test_hostile_name_takes_no_more_time_than_its_size() -> None:
    with time_limit(2):
        skeletons("a" + "\u0301\u0323" * 60_000)


def test_table_is_that_of_the_library() -> None:
    """`python -m tests.helpers.confusables` writes it."""
    assert confusables.FILE.read_text("utf-8") == confusables.table()
    assert len(_table()) > 2500
