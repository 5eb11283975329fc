"""The wire: events to bytes and back, by the WHATWG rules (HTML, 9.2.6). Pure, no I/O.

A block of only comments or only `retry:` is never produced: several client libraries deliver it
as an empty event.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

MAX_RETRY_DIGITS = 15  # of a reconnection time that is read; int() raises beyond 4300

_NEWLINES = re.compile(rb"\r\n|\r|\n")

HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache, no-transform"),
    ("X-Accel-Buffering", "no"),
    ("Connection", "keep-alive"),
    ("X-Content-Type-Options", "nosniff"),
)


def head(extra: tuple[tuple[str, str], ...] = ()) -> bytes:
    """The response head of an event stream, as bytes.

    There is neither a length nor chunked coding: the body ends with the connection.
    """
    lines = [f"{name}: {value}" for name, value in (*HEADERS, *extra)]
    return ("HTTP/1.1 200 OK\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def encode(data: bytes, event: str | None = None, id: str | None = None, retry: int | None = None) -> bytes:
    """One event block. `data` may hold any newline form: each line becomes a `data:` line.

    `retry` is in milliseconds. `event` and `id` must have no newline, `id` no NUL (ValueError).
    """
    parts = []
    if id is not None:
        parts.append(b"id: " + _single_line(id))
    if event is not None:
        parts.append(b"event: " + _single_line(event))
    if retry is not None:
        parts.append(b"retry: %d" % retry)
    if b"\n" in data or b"\r" in data:
        parts.extend(b"data: " + line for line in _NEWLINES.split(data))
    else:
        parts.append(b"data: " + data)
    parts.append(b"\n")
    return b"\n".join(parts)


def _single_line(value: str) -> bytes:
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError("newline or NUL in an event's name or id")
    return value.encode()


class ServerEvent(NamedTuple):
    """One dispatched event: its type, its data, and the stream's last event id at that point.

    `sub` names one of the streams that share a connection, each with last event ids of its own.
    """

    type: str
    data: str
    last_event_id: str
    sub: str = ""


class Parser:
    """Reads an event stream in pieces of any size; `feed` returns the events completed.

    `retry` is the last reconnection time that the server asked for, in milliseconds, or None.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry: int | None = None
        # utf-8-sig would strip a BOM too, but only codecs' decoder replaces bad bytes piecewise.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._started = False
        self._after_cr = False
        self._line = ""
        self._ids: dict[str, str] = {}
        self._id: str | None = None
        self._sub = ""
        self._type = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Takes the next bytes of the body; returns the events that they complete, in order."""
        text = self._decoder.decode(chunk)
        if text and not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        if self._after_cr and text:
            self._after_cr = False
            text = text.removeprefix("\n")
        self._after_cr = self._after_cr or text.endswith("\r")
        lines = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._line = lines.pop()
        events = []
        for line in lines:
            if line:
                field, _, value = line.partition(":")
                self._set(field, value.removeprefix(" "))
            elif (event := self._dispatch()) is not None:
                events.append(event)
        return events

    def _set(self, field: str, value: str) -> None:
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._type = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "sub":
            self._sub = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value[:MAX_RETRY_DIGITS])

    def _dispatch(self) -> ServerEvent | None:
        sub, self._sub = self._sub, ""
        if self._id is not None:
            self._ids[sub], self._id = self._id, None
        self.last_event_id = self._ids.get(sub, "")
        data, self._data = self._data, []
        type_, self._type = self._type or "message", ""
        if not data:
            return None
        return ServerEvent(type_, "\n".join(data), self.last_event_id, sub)
