"""JSON bodies."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrooms import body
from chatrooms.errors import BadRequest, TooLarge, UnsupportedMediaType
from tests.helpers.limit import time_limit


class Shape(msgspec.Struct):
    text: str = ""
    number: int | None = None


def parse(data: bytes, content_type: str = "application/json") -> Shape:
    return body.parse(data, content_type, Shape, 1 << 20)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "nonsense", "image/png"],
)
def test_json_is_taken_whatever_content_type_says(content_type: str) -> None:
    """curl sends a form's, sendBeacon text/plain."""
    assert parse(b'{"text":"a"}', content_type).text == "a"


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "Multipart/mixed", "multipart/"])
def test_multipart_is_unsupported(content_type: str) -> None:
    """Files are not taken here."""
    with pytest.raises(UnsupportedMediaType):
        parse(b"{}", content_type)


@pytest.mark.parametrize(
    "data",
    [
        b"", b" ", b"{", b"}", b"nonsense", b'{"text":"a"}x', b'{"text":"a"}{}', b"{'text':'a'}", b'{"text":"a",}',
        b'\xef\xbb\xbf{"text":"a"}', b'{"text":"\xff"}', b'{"other":"\xff"}', b'{"\xff":1}', b'{"text":"\xed\xa0\x80"}',
        b'{"text":"\xc0\xaf"}', '{"text":"a"}'.encode("utf-16"), b'{"text":"\\ud800"}', b'{"text":"\\udc00\\ud800"}',
        b'{"other":NaN}', b'{"number":NaN}', b'{"number":Infinity}', b'{"number":-Infinity}', b'{"text":"a\nb"}',
        b'{"text":"\\x41"}', b'{"number":01}', b'{"number":+1}', b"{" * 20, b'{"a":' * 20,
    ],
)  # fmt: skip
def test_what_is_no_json_in_utf8_is_malformed(data: bytes) -> None:
    """A byte order mark is none of JSON (RFC 8259, 8.1), a lone surrogate none of UTF-8."""
    with pytest.raises(BadRequest) as refused:
        parse(data)
    assert refused.value.code == "bad-json"


@pytest.mark.parametrize(
    "data",
    [
        b"null", b"[]", b'"text"', b"1", b"true", b'{"text":1}', b'{"text":null}', b'{"text":[]}', b'{"text":{}}',
        b'{"number":"1"}', b'{"number":1.5}', b'{"number":true}', b'{"number":1e400}',
    ],
)  # fmt: skip
def test_wrong_types_are_refused_by_name(data: bytes) -> None:
    """Nothing is converted."""
    with pytest.raises(BadRequest) as refused:
        parse(data)
    assert refused.value.code in ("bad-field", "bad-json")
    assert refused.value.sentence.isprintable()


@pytest.mark.parametrize("data", [b'{"text":"a\\u0000"}', b'{"other":"\\\\\\u0000"}', b'{"\\u0000":1}'])
def test_nul_is_refused_wherever_it_stands(data: bytes) -> None:
    """Databases and C programs end a text there."""
    with pytest.raises(BadRequest) as refused:
        parse(data)
    assert refused.value.code == "bad-field"


def test_escaped_backslash_before_u0000_is_no_nul() -> None:
    """The text is a backslash and a word."""
    assert parse(b'{"text":"\\\\u0000"}').text == "\\u0000"


def test_unknown_fields_are_ignored() -> None:
    """Clients of tomorrow may send more."""
    assert parse(b'{"text":"a","other":{"x":[1,2,99999999999999999999999]}}').text == "a"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_is_bounded_in_ignored_fields_too(opening: bytes) -> None:
    """32 deep is taken, 33 is not, nine thousand neither."""
    closing = b"]" if opening == b"[" else b"}"
    fits = b'{"other":' + opening * 31 + b"1" + closing * 31 + b"}"
    assert parse(fits) == Shape()
    for depth in (32, 9_000):
        with pytest.raises(BadRequest, match="nested deeper than 32"):
            parse(b'{"other":' + opening * depth + b"1" + closing * depth + b"}")


def test_brackets_inside_strings_do_not_nest() -> None:
    """Only structure counts, whatever is escaped."""
    text = '[{"\\' * 100
    assert parse(msgspec.json.encode({"text": text})).text == text


def test_body_above_its_bound_is_too_large() -> None:
    """The bound is inclusive."""
    data = b'{"text":"a"}'
    assert body.parse(data, "", Shape, len(data)).text == "a"
    with pytest.raises(TooLarge):
        body.parse(data, "", Shape, len(data) - 1)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 40 + b'"' + b'\\"' * 400_000,
        b"[" * 40 + b'"' * 900_001,
        b"{" * 40 + b"\\" * 900_000,
        b"[" * (1 << 20),
        b"[]" * (1 << 19),
        b"[" * (1 << 19) + b"]" * (1 << 19),
        (b"[" * 32 + b"]" * 31) * 16_000,
        b'{"text":"a","other":[' + b'"",' * 300_000 + b"1]}" + b"[]" * 40,
        b'{"other":[' + b'{"text":"a"},' * 80_000 + b"1]}",
    ],
    ids=range(9),
)
def test_hostile_body_takes_no_more_time_than_its_size(data: bytes) -> None:
    """The depth check is linear: a megabyte of quotes took hours when it was not."""
    with time_limit(2), pytest.raises(BadRequest):
        parse(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    """No other exception escapes."""
    try:
        assert isinstance(parse(data), Shape)
    except BadRequest:
        pass


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=50))
def test_any_value_of_a_field_is_taken_or_refused(value: object) -> None:
    """Text comes through unchanged; no other exception escapes."""
    try:
        assert parse(msgspec.json.encode({"text": value})).text == value
    except BadRequest:
        pass
