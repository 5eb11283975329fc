"""JSON bodies: bytes in, a typed struct out, or a clear refusal. Pure."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from chatrooms.errors import BadRequest, TooLarge, UnsupportedMediaType

MAX_BYTES = 256 << 10  # for a body without a limit of its own
MAX_DEPTH = 32
MAX_PARTS = 10_000  # strings, and objects and arrays; reading a million of them holds the event loop

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

T = TypeVar("T")


def parse(data: bytes, content_type: str, shape: type[T], most: int = MAX_BYTES) -> T:
    """The JSON object in `data`, as a `shape`, whatever Content-Type says.

    Raises UnsupportedMediaType for multipart; TooLarge above `most` bytes; BadRequest for a body that is
    not JSON in UTF-8 or not an object, is nested deeper than MAX_DEPTH, has more than MAX_PARTS or wrong
    types, or contains NUL.
    """
    if content_type.lower().startswith("multipart/"):
        raise UnsupportedMediaType("unsupported-media-type", "Send the body as JSON.")
    if len(data) > most:
        raise TooLarge("too-large", f"The body is larger than {most} bytes.")
    _check_complexity(data)
    if b"\\u0000" in data and _NUL.search(data):
        raise BadRequest("bad-field", "The body contains a NUL character.")
    try:
        data.decode()  # msgspec checks only the fields that it reads
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise BadRequest("bad-field", f"The body is invalid: {_printable(error)}.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequest("bad-json", "The body is not a JSON object in UTF-8.") from None


def _check_complexity(data: bytes) -> None:
    """Raises BadRequest for too many parts, and for brackets nested too deep or unbalanced.

    Makes only passes over the whole body, each in C: a loop over 1 MiB of brackets takes half a second.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 2 * MAX_PARTS:
        raise _too_many_parts()
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(_ONE_KIND, _NOT_BRACKETS)
    if len(brackets) > 2 * MAX_PARTS:
        raise _too_many_parts()
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")  # takes away the innermost level
    if brackets:
        raise BadRequest("bad-json", f"The body is nested deeper than {MAX_DEPTH}, or its brackets do not match.")


def _too_many_parts() -> BadRequest:
    return BadRequest("bad-json", f"The body has more than {MAX_PARTS} parts.")


def _printable(error: Exception) -> str:
    return _SURROGATE.sub("\ufffd", str(error))
