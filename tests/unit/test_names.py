"""Names and ids (section 1)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrooms import names
from chatrooms.errors import BadRequest, TooLarge
from tests.helpers.limit import time_limit

ID_KINDS = [names.room_id, names.client_id]


@pytest.mark.parametrize("kind", ID_KINDS)
@pytest.mark.parametrize("value", ["a", "A.b_c-d:e9", "x" * 64, "raum-ä", "会議室", "कमरा", "٣"])
def test_ids_of_letters_digits_and_four_marks_are_taken(kind: Callable[[str], str], value: str) -> None:
    """Letters and digits of any script."""
    assert kind(value) == unicodedata.normalize("NFC", value)


@pytest.mark.parametrize("kind", ID_KINDS)
@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", " a", "a ", "a/b", "a\\b", "a\nb", "a\0", "a\tb", "a?b", "a#b", "x" * 65, "💬", "a\u200bb",
        "a\u202eb", "a\u00a0b", "²", "\ud800",
        "\u3164", "a\u3164", "a\u115fb", "\uffa0", "a\ufe0f", "a\u034fb",
    ],
)  # fmt: skip
def test_other_ids_are_refused(kind: Callable[[str | None], str], value: str | None) -> None:
    """Slashes, control characters, invisible ones, too many, none."""
    with pytest.raises(BadRequest) as refused:
        kind(value)
    assert refused.value.code == "bad-id"


def test_only_room_ids_have_inner_spaces() -> None:
    """A room may be named as people name rooms."""
    assert names.room_id("tea room") == "tea room"
    with pytest.raises(BadRequest):
        names.client_id("tea room")


def test_ids_are_composed() -> None:
    """The same name typed on two keyboards is one room; its length counts after that."""
    assert names.room_id("cafe\u0301") == "café"
    assert names.room_id("e\u0301" * 64) == "é" * 64


@pytest.mark.parametrize(
    ("given", "name"),
    [("Ann", "Ann"), ("  Ann \n", "Ann"), ("José", "José"), ("Jose\u0301", "José"), ("💬", "💬"), ("a b", "a b"),
     ("x" * 32, "x" * 32), (" " * 40 + "x", "x"), ("👩\u200d👩", "👩\u200d👩"), ("<b>", "<b>")],
)  # fmt: skip
def test_usernames_are_trimmed_and_composed(given: str, name: str) -> None:
    """Any visible text of 1 to 32 characters is a name."""
    assert names.username(given) == name


@pytest.mark.parametrize(
    "value",
    [None, "", "   ", "x" * 33, "a\0b", "a\nb", "a\x1bb", "a\x7fb", "a\u0085b", "a\u202eb", "a\u2066b", "a\u2028b",
     "\u200b", "\u200d\u200d", "\u0301", "\ud800", "\u00ad", "\u3164", "\uffa0\u115f\u1160", "\u2800", "\u2800 \u3164",
     "\U0001d159", "\U000e0041", "\ufe0f"],
)  # fmt: skip
def test_usernames_that_deceive_are_refused(value: str | None) -> None:
    """Control and bidi-override characters, nothing visible, too long."""
    with pytest.raises(BadRequest) as refused:
        names.username(value)
    assert refused.value.code == "bad-field"


@pytest.mark.parametrize(("value", "id"), [("alice", "alice"), (7, "7"), ("x" * 255, "x" * 255), ("a/b ü", "a/b ü")])
def test_user_ids_are_text_or_integers(value: object, id: str) -> None:
    """An integer is compared and given back as text."""
    assert names.user_id(value) == id


@pytest.mark.parametrize("value", [None, "", "x" * 256, True, 1.5, [], {}, "a\0", "a\n", "\ud800"])
def test_other_user_ids_are_refused(value: object) -> None:
    """Neither true nor a list is somebody."""
    with pytest.raises(BadRequest):
        names.user_id(value)


@pytest.mark.parametrize("value", ["", "x" * 256, "a\0", "a\n", "\ud800"])
def test_malformed_client_message_ids_are_refused(value: str) -> None:
    """They are opaque but bounded."""
    with pytest.raises(BadRequest):
        names.client_message_id(value)


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000", "\u2028"])
def test_blank_messages_are_refused(text: str) -> None:
    """There is nothing to show."""
    with pytest.raises(BadRequest) as refused:
        names.message_text(text, 100)
    assert refused.value.code == "empty-message"


def test_length_of_a_message_is_that_of_its_bytes() -> None:
    """The limit is inclusive, counts UTF-8, and 0 lifts it."""
    assert names.message_text("ä" * 50, 100) == "ä" * 50
    with pytest.raises(TooLarge):
        names.message_text("ä" * 50 + "x", 100)
    assert names.message_text("x" * 10**6, 0) == "x" * 10**6


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text))
def test_message_text_is_never_changed(text: str) -> None:
    """What was written is what is shown."""
    assert names.message_text(text, 0) == text


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [("Ann", " aNN ", True), ("Jose\u0301", "JOSÉ", True), ("straße", "STRASSE", True), ("Ann", "Anne", False)],
)
def test_names_are_the_same_to_a_person(a: str, b: str, same: bool) -> None:
    """Composition, case and outer spaces make no difference."""
    assert names.same_name(a, b) is same


CHECKS = [
    names.username, names.room_id, names.client_id, names.session_id, names.robot_id, names.task_id, names.key,
    names.title, names.email, names.user_id, names.client_message_id, names.intent,
    lambda value: names.message_text(value, 16_384), lambda value: str(names.whole_number(value, "limit", 1, 9)),
]  # fmt: skip
HOSTILE = ["a" + "\u0301\u0323" * 60_000 + "@", "\u1100\u1161\u11a8" * 40_000, "\ufdfa" * 80_000, " " * 240_000 + "\0"]


@pytest.mark.parametrize("hostile", HOSTILE, ids=["marks", "jamo", "ligatures", "blanks"])
@pytest.mark.parametrize("check", CHECKS)
def test_hostile_name_takes_no_more_time_than_its_size(check: Callable[[str], str], hostile: str) -> None:
    """200 KB of marks on one letter took 20 s to normalise, and anyone may send a name."""
    with time_limit(2), pytest.raises((BadRequest, TooLarge)):
        check(hostile)


def test_names_of_any_length_are_compared_at_once() -> None:
    """Sign-in folds what it is given."""
    with time_limit(2):
        assert not names.same_name("a" + "\u0301\u0323" * 60_000, "a")
        assert names.same_name(" " * 500 + "Åsa", "a\u030asa")
