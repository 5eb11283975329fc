"""The shorter ways of a connection give what Tornado's own gives."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine, ResponseStartLine

from chatrooms.http.tornado_internals import KNOWN_LINE, KNOWN_LINES, Connection

pytestmark = pytest.mark.usefixtures("io_loop")  # a connection makes futures

REQUEST = RequestStartLine("POST", "/", "HTTP/1.1")


class FakeStream:
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.known_lines: dict[str, tuple[tuple[str, str], ...]] = {}

    def set_close_callback(self, callback: object) -> None:
        """Nobody closes it."""

    def closed(self) -> bool:
        return False


def connection(stream: FakeStream | None = None) -> Connection:
    params = SimpleNamespace(no_keep_alive=False, max_body_size=1, body_timeout=None)
    return Connection(stream or FakeStream(), False, params)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nhost:  b \r\nX-A:\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\nCookie: a=\xe4\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nx-forwarded-for: 1\r\nX-Forwarded-For: 2\r\nX-FORWARDED-FOR: 1\r\n\r\n",
    ],
)
def test_head_is_read_as_tornado_does(head: bytes) -> None:
    """Names, repeated ones, their order and the start line; the second time from memory."""
    ours, theirs = connection(), HTTP1Connection._parse_headers(connection(), head)
    for _ in range(2):
        start_line, headers = ours._parse_headers(head)
        assert (start_line, list(headers.get_all())) == (theirs[0], list(theirs[1].get_all()))
        headers.add("Host", "changed")  # is no other request's


@pytest.mark.parametrize("line", [b" folded: 1", b"no colon", b"a b: 1", b"a: \x00", b": 1", b"a: 1\r2"])
def test_malformed_line_is_refused_each_time(line: bytes) -> None:
    """And the lines before it are no excuse."""
    ours, head = connection(), b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n"
    for _ in range(2):
        with pytest.raises(HTTPInputError):
            ours._parse_headers(head)


def test_memory_for_lines_is_bounded() -> None:
    """In number and size."""
    stream = FakeStream()
    for number in range(3 * KNOWN_LINES):
        connection(stream)._parse_headers(
            b"GET / HTTP/1.1\r\nX-%d: 1\r\nLong: %s\r\n\r\n" % (number, b"x" * KNOWN_LINE)
        )
        assert len(stream.known_lines) <= KNOWN_LINES
        assert all(len(line) <= KNOWN_LINE for line in stream.known_lines)


def test_head_of_an_answer_cannot_be_split() -> None:
    """A value with a newline in it, or a length that is not that of the body, takes Tornado's way, which refuses."""
    ours = connection()
    ours._request_start_line = REQUEST
    created = ResponseStartLine("", 201, "Created")
    good = HTTPHeaders({"Content-Length": "2"})
    assert ours._plain_head(created, good, b"{}") == b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n"
    assert ours._plain_head(created, good, b"{}x") is None
    for value in ("a\nX: 1", "a\r\nX: 1", "a\rX"):
        bad = HTTPHeaders({"Content-Length": "2"})
        bad._as_list["X"] = [value]
        assert ours._plain_head(created, bad, b"{}") is None
