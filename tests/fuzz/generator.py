"""Requests from a seed: those of the OpenAPI document, filled with good and with naughty values."""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import jwt

from benchmarks.server_process import SECRET
from tests.fuzz import noise
from tests.helpers.data import naughty_strings

NOISE = 0.1  # part of the requests that are no requests
USERS = 20
ROLES = ("user", "user", "user", "agent", "service", "admin")

PLAIN = ["lobby", "a", "Ada", "chat:1", "x" * 64, "x" * 65, "x" * 5000, "1", "0", "-1", "200", "true", "2.5", " lobby "]
ODD = [
    "a/b",
    "../..",
    "%2e%2e",
    "%",
    "%zz",
    "a\0b",
    "\r\nX: y",
    "é",
    "e\u0301" * 200,
    "\u202eevil",
    "\ud7ff",
    "🦊" * 20,
]
VALUES: Sequence[Any] = [
    None, True, False, 0, -1, 1, 2**53, 2**64, 10**400, -0.0, 1e308, "", " ", [], {}, [[]], [None], {"a": {"b": []}},
]  # fmt: skip
RAW_BODIES = [
    b"", b"{", b"}", b"[]", b"null", b"0", b'"text"', b"{}{}", b"\xef\xbb\xbf{}", b"\xff\xfe", b'{"message":"\xff"}',
    b'{"message":NaN}', b'{"message":1e999}', b'{"message":"\\ud800"}', b'{"message":"\\u0000"}', b'{"a":1,"a":2}',
    b"[" * 100_000, b'{"message":' * 5000, b'{"username":"' + b"a\xcc\x81" * 60_000 + b'"}',
    b"{" + b" " * 200_000 + b"}",
    b"a=1&b=2", b"--x\r\nContent-Disposition: form-data; name=message\r\n\r\nhi\r\n--x--\r\n", b"\0" * 1000,
    b'{"messages":[' + b'{"message":"a"},' * 600 + b'{"message":"a"}]}',
]  # fmt: skip
TYPES = [
    "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "multipart/form-data", "application/json; charset=utf-16", "\xff/\xfe", "", "a" * 3000,
]  # fmt: skip


class Generator:
    """Makes raw requests, the same for the same seed and the same answers in between."""

    def __init__(self, seed: int, document: dict[str, Any]) -> None:
        self._random = random.Random(seed)
        self._schemas = document["components"]["schemas"]
        self._operations = [
            (method, path, operation) for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]  # fmt: skip
        self._strings = [*naughty_strings(), *PLAIN, *ODD]
        self._bad_tokens = ["", "x", "a.b.c", self._token()[:-1], "eyJ" + "a" * 9000, "é"]
        self.seen: deque[str] = deque(["lobby"], maxlen=50)  # ids that the server gave, to be used again

    def request(self) -> bytes:
        """The next bytes to send on a connection of their own."""
        if self._random.random() < NOISE:
            return self._random.choice(noise.KINDS)(self._random, self._whole())
        return self._whole()

    def _whole(self) -> bytes:
        method, path, operation = self._pick(self._operations)
        names = {place: [p for p in operation["parameters"] if p["in"] == place] for place in ("path", "query")}
        for parameter in names["path"]:
            path = path.replace("{" + parameter["name"] + "}", self._encoded(self._text()))
        chosen = [p["name"] for p in names["query"] if self._random.random() < 0.6]
        if self._random.random() < 0.1:
            chosen.append(self._text())
        query = "&".join(f"{self._encoded(name)}={self._encoded(self._text())}" for name in chosen)
        verb = method.upper() if self._random.random() < 0.97 else self._pick(["PUT", "HEAD", "OPTIONS", "FOO", "get"])
        body = self._body(operation)
        head = f"{verb} {path}{'?' + query if query else ''} HTTP/1.1\r\n" + self._headers(len(body))
        return head.encode("latin-1", "replace") + b"\r\n" + body

    def _headers(self, length: int) -> str:
        maybe: list[Callable[[], str]] = [
            lambda: f"Content-Type: {self._pick(TYPES)}",
            lambda: f"Last-Event-ID: {self._plain(self._text())}",
            lambda: f"Cookie: chatrooms_token={self._plain(self._any_token())}",
            lambda: f"Origin: {self._plain(self._pick(['http://localhost', 'null', *ODD]))}",
            lambda: f"X-Forwarded-For: {self._plain(self._text())}",
            lambda: f"Range: bytes={self._plain(self._text())}",
            lambda: f"If-None-Match: {self._plain(self._text())}",
            lambda: f"If-Modified-Since: {self._plain(self._text())}",
        ]
        lines = [f"Host: {'localhost' if self._random.random() < 0.97 else self._plain(self._text())}"]
        lines.append(f"Content-Length: {length}")
        if self._random.random() < 0.85:
            lines.append(f"Authorization: Bearer {self._plain(self._any_token())}")
        lines += [make() for make in maybe if self._random.random() < 0.15]
        return "".join(line + "\r\n" for line in lines)

    def _any_token(self) -> str:
        return self._token() if self._random.random() < 0.9 else self._random.choice(self._bad_tokens)

    def _token(self) -> str:
        """A token of a sign-in of its own, because signing out is among the calls."""
        user_id = f"user-{self._random.randrange(USERS)}"
        exp = int(time.time()) + 3600
        claims = {"userId": user_id, "role": self._random.choice(ROLES), "exp": exp, "jti": str(self._random.random())}
        if self._random.random() < 0.5:
            claims["username"] = user_id
        return jwt.encode(claims, SECRET, algorithm="HS256")

    def _body(self, operation: dict[str, Any]) -> bytes:
        chance = self._random.random()
        if "requestBody" not in operation:
            return b"" if chance < 0.9 else self._random.choice(RAW_BODIES)
        if chance < 0.15:
            return self._random.choice(RAW_BODIES)
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        encoded = json.dumps(self._value(schema, 0), ensure_ascii=self._random.random() < 0.5)
        data = encoded.encode("utf-8", "surrogatepass")
        if chance < 0.2:
            return data[: self._random.randrange(len(data) + 1)]
        if chance < 0.25:
            place = self._random.randrange(len(data) + 1)
            return data[:place] + self._random.randbytes(3) + data[place:]
        return data

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        """A value of a schema, or now and then of none."""
        if self._random.random() < 0.05:
            return self._pick(VALUES)
        if "$ref" in schema:
            return self._value(self._schemas[schema["$ref"].rpartition("/")[2]], depth + 1)
        if "anyOf" in schema:
            return self._value(self._pick(schema["anyOf"]), depth)
        kind = schema.get("type")
        if kind == "object":
            wanted = schema.get("required", [])
            fields = [n for n in schema.get("properties", {}) if n in wanted or self._random.random() < 0.5]
            return {name: self._value(schema["properties"][name], depth + 1) for name in fields}
        if kind == "array":
            count = self._pick([0, 1, 2, 3, 20]) if depth < 4 else 0
            return [self._value(schema["items"], depth + 1) for _ in range(count)]
        if kind in ("number", "integer"):
            return self._pick([0, 1, 2, 1.5, -1, 10**9])
        if kind == "boolean":
            return self._random.random() < 0.5
        return self._text()

    def _text(self) -> str:
        chance = self._random.random()
        if chance < 0.4:
            return self._random.choice(self.seen)
        return self._random.choice(self._strings if chance < 0.9 else PLAIN)

    def _encoded(self, text: str) -> str:
        """The text for a URL: mostly encoded, sometimes as it is."""
        if self._random.random() < 0.95:
            return quote(text.encode("utf-8", "surrogatepass"), safe="")
        return self._plain(text).replace(" ", "+") or "x"

    def _plain(self, text: str) -> str:
        """The text for a header: UTF-8 bytes as they are, mostly without what ends a line."""
        shown = text.encode("utf-8", "surrogatepass").decode("latin-1")
        return shown if self._random.random() < 0.02 else "".join(c for c in shown if c >= " " and c != "\x7f")

    def _pick(self, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)
