"""JSON bodies: bytes in, a typed struct out, or a clear refusal. Pure."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from chatrooms.errors import BadRequest, TooLarge, UnsupportedMediaType

MAX_BYTES = 256 << 10  # of a body that has no limit of its own
MAX_DEPTH = 32

# A string that never ends counts as one too: looking for its end from each of its quotes would
# take time that grows with the square of the body.
_BRACKETS_AND_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

T = TypeVar("T")


def parse(data: bytes, content_type: str, shape: type[T], most: int = MAX_BYTES) -> T:
    """The JSON object in `data`, as a `shape`, whatever Content-Type says.

    Raises UnsupportedMediaType for multipart; TooLarge above `most` bytes; BadRequest for what is
    not JSON in UTF-8, not an object, nested deeper than MAX_DEPTH, of wrong types, or holds NUL.
    """
    if content_type.lower().startswith("multipart/"):
        raise UnsupportedMediaType("unsupported-media-type", "Send the body as JSON.")
    if len(data) > most:
        raise TooLarge("too-large", f"The body is larger than {most} bytes.")
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _too_deep(data):
        raise BadRequest("bad-json", f"The body is nested deeper than {MAX_DEPTH}.")
    if b"\\u0000" in data and _NUL.search(data):
        raise BadRequest("bad-field", "The body has a NUL character.")
    try:
        data.decode()  # msgspec looks only at the fields that it reads
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise BadRequest("bad-field", f"The body is not as expected: {_printable(error)}.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequest("bad-json", "The body is not a JSON object in UTF-8.") from None


def _too_deep(data: bytes) -> bool:
    depth = 0
    for match in _BRACKETS_AND_STRINGS.finditer(data):
        first = data[match.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _printable(error: Exception) -> str:
    return _SURROGATE.sub("\ufffd", str(error))
