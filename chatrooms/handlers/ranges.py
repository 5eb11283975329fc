"""One part of a file, asked for by `Range` (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*\Z", re.ASCII | re.IGNORECASE)


class Part(NamedTuple):
    """The bytes from start up to stop; `whole` when nothing else was asked for."""

    start: int
    stop: int
    whole: bool


def part_of(size: int, header: str, if_range: str, etag: str) -> Part | None:
    """The part of a file of that size that is wanted; None when there is no such part (416).

    The whole file for several ranges at once, for what is none of ours, and when `If-Range` names another
    file: all of these the standard lets a server ignore.
    """
    match = _ONE.match(header)
    if match is None or not (match[1] or match[2]) or (if_range and if_range != etag):
        return Part(0, size, True)
    if not match[1]:
        length = min(int(match[2]), size)
        return Part(size - length, size, False) if length else None
    start, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and last < start:
        return Part(0, size, True)  # no valid range
    return Part(start, min(last + 1, size), False) if start < size else None
