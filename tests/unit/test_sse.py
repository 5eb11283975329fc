"""The wire, byte for byte, and back."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrooms import sse
from chatrooms.sse import Parser, ServerEvent
from tests.helpers.data import load

CASES: list[dict[str, Any]] = load("wpt_eventsource_cases.json")["cases"]


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"plain", b"data: plain\n\n"),
        (b"", b"data: \n\n"),
        (b" leading", b"data:  leading\n\n"),
        (b":colon", b"data: :colon\n\n"),
        (b"a\nb", b"data: a\ndata: b\n\n"),
        (b"a\rb", b"data: a\ndata: b\n\n"),
        (b"a\r\nb", b"data: a\ndata: b\n\n"),
        (b"a\n\rb", b"data: a\ndata: \ndata: b\n\n"),
        (b"a\r\n\nb\rc", b"data: a\ndata: \ndata: b\ndata: c\n\n"),
        (b"a\n", b"data: a\ndata: \n\n"),
        (b"a\r\n", b"data: a\ndata: \n\n"),
        (b"\n", b"data: \ndata: \n\n"),
        (b"a\0b", b"data: a\0b\n\n"),
        (b"a\x0bb\x0cc\x1cd\x85e", b"data: a\x0bb\x0cc\x1cd\x85e\n\n"),
        ("a\u2028b\u2029c\u0085d".encode(), "data: a\u2028b\u2029c\u0085d\n\n".encode()),
        (b"x\n\nevent: forged\ndata: y", b"data: x\ndata: \ndata: event: forged\ndata: data: y\n\n"),
    ],
)
def test_data_is_encoded_line_by_line(data: bytes, encoded: bytes) -> None:
    """CR, LF and CRLF end a line (WHATWG 9.2.6), and nothing else does."""
    assert sse.encode(data) == encoded


def test_all_fields_stand_in_one_block() -> None:
    """id, event and retry come before the data."""
    encoded = sse.encode(b"{}", "system", "ab-1", 1500)
    assert encoded == b"id: ab-1\nevent: system\nretry: 1500\ndata: {}\n\n"


def test_empty_id_and_retry_of_zero_are_written() -> None:
    """Neither is mistaken for none."""
    assert sse.encode(b"x", id="", retry=0) == b"id: \nretry: 0\ndata: x\n\n"


@pytest.mark.parametrize("field", ["event", "id"])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nb", "\n", "a\0b"])
def test_newline_or_nul_in_a_name_or_an_id_is_refused(field: str, value: str) -> None:
    """Or whoever chooses it writes fields of his own."""
    with pytest.raises(ValueError, match="newline or NUL"):
        sse.encode(b"x", **{field: value})  # type: ignore[arg-type]


def test_head_is_exact_and_takes_more_headers() -> None:
    """There is neither a length nor a coding."""
    assert sse.head((("X-A", "b"),)) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\n"
        b"X-Accel-Buffering: no\r\nConnection: keep-alive\r\nX-Content-Type-Options: nosniff\r\nX-A: b\r\n\r\n"
    )


def parsed(body: bytes, size: int) -> list[ServerEvent]:
    """The events of a body fed in pieces of that size."""
    parser = Parser()
    return [event for start in range(0, len(body), size) for event in parser.feed(body[start : start + size])]


@pytest.mark.parametrize("size", [1 << 20, 1, 2], ids=["whole", "bytes", "twos"])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_parser_agrees_with_the_web_platform_tests(case: dict[str, Any], size: int) -> None:
    """Whatever pieces the bytes come in, the events are those that a browser dispatches."""
    events = parsed(base64.b64decode(case["bytes_in_b64"]), size)
    expected = [ServerEvent(e["type"], e["data"], e["lastEventId"]) for e in case["expected_events"]]
    assert events == expected


@pytest.mark.parametrize(
    ("line", "retry"),
    [("1000", 1000), ("0", 0), ("1x", None), ("-1", None), ("1.5", None), ("", None), ("١", None), ("²", None)],
)
def test_parser_takes_a_reconnection_time_of_ascii_digits_only(line: str, retry: int | None) -> None:
    """Anything else leaves it as it was."""
    parser = Parser()
    parser.feed(f"retry: {line}\n\n".encode())
    assert parser.retry == retry


def test_parser_survives_a_reconnection_time_of_thousands_of_digits() -> None:
    """A hostile server does not bring a reader down."""
    assert [e.data for e in parsed(b"retry: " + b"9" * 10_000 + b"\ndata: x\n\n", 4096)] == ["x"]


def test_parser_keeps_the_id_of_a_block_without_data() -> None:
    """A block of only an id moves the position and dispatches nothing."""
    parser = Parser()
    assert parser.feed(b"id: 7\n\n") == []
    assert parser.last_event_id == "7"


def test_parser_ignores_an_id_with_nul() -> None:
    """Such an id could not be sent back as a header."""
    assert parsed(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", 100) == [
        ServerEvent("message", "a", "1"), ServerEvent("message", "b", "1"),
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.text(), st.from_regex(r"[a-z][a-z-]{0,10}", fullmatch=True), st.integers(0, 10**9))),
    st.integers(1, 7),
)
def test_what_was_encoded_is_parsed_back(blocks: list[tuple[str, str, int]], size: int) -> None:
    """Any text survives the way, its newlines as LF."""
    wire = b"".join(sse.encode(text.encode(), name, str(id)) for text, name, id in blocks)
    expected = [ServerEvent(name, text.replace("\r\n", "\n").replace("\r", "\n"), str(id)) for text, name, id in blocks]
    assert parsed(wire, size) == expected
