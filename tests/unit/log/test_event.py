"""Events and their ids."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrooms.log.event import MAX_SEQ, Position, event_id, identified, parse_id


@given(st.from_regex(r"[0-9a-f]{8}", fullmatch=True), st.integers(0, MAX_SEQ))
def test_id_is_read_back_as_it_was_made(epoch: str, seq: int) -> None:
    """An id is its position."""
    assert parse_id(event_id(epoch, seq)) == Position(epoch, seq)


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "ab-", "-1", "ab", "ab-01", "ab--1", "ab-1-2", "ab-1 ", " ab-1", "ab-1\n", "AB-1", "ab-1.0",
        "ab-+1", "ab-٣", "äb-1", "ab-9007199254740992", "ab-" + "9" * 5000, "a" * 17 + "-1", "ab-1\0", "null",
    ],
)  # fmt: skip
def test_what_is_no_id_of_ours_is_none(text: str) -> None:
    """Nothing is guessed from a malformed position."""
    assert parse_id(text) is None


@pytest.mark.parametrize("data", [b"{}", b'{"a":1}', b'{"a":{"b":"}"},"c":[]}'])
def test_id_is_spliced_in_as_first_member(data: bytes) -> None:
    """The result is the same object with the id before the rest."""
    assert json.loads(identified(data, "ab-1")) == {"id": "ab-1", **json.loads(data)}
    assert identified(data, "ab-1").startswith(b'{"id":"ab-1"')
