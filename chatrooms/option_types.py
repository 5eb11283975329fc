"""The types of option values: each parses a text into a value, or raises ValueError saying what is wanted."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

_HOST = re.compile(r"[^\s/:@*\[\]]+")
_SUBJECT = re.compile(r"[^\s.*>\0]+(\.([^\s.*>\0]+|\*))*(\.>)?\Z")


def text(value: str) -> str:
    return value


def whole(value: str) -> int:
    if not value.isascii() or not value.strip().isdigit():
        raise ValueError("a whole number, 0 or more")
    return int(value)


def count(value: str) -> int:
    number = whole(value)
    if not 1 <= number <= 64:
        raise ValueError("a whole number from 1 to 64")
    return number


def port(value: str) -> int:
    number = whole(value)
    if number > 65535:
        raise ValueError("a port from 0 to 65535")
    return number


def seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise ValueError("a number of seconds, 0 or more")
    return number


def flag(value: str) -> bool:
    choices = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
    if value.lower() not in choices:
        raise ValueError("true or false")
    return choices[value.lower()]


def one_of(*choices: str) -> Callable[[str], str]:
    def kind(value: str) -> str:
        if value not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return value

    return kind


def base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an http or https address without a query")
    return value


def words(value: str) -> tuple[str, ...]:
    return tuple(word for word in value.replace(",", " ").split() if word)


def hosts(value: str) -> tuple[str, ...]:
    """Host names as `http/access.py` compares them. An empty list would refuse every request."""
    names = words(value)
    if not names or not all(_is_host(name) for name in names):
        raise ValueError("host names without scheme and port, separated by commas")
    return tuple(name.lower().strip("[]").removesuffix(".") for name in names)


def networks(value: str) -> tuple[str, ...]:
    for word in words(value):
        try:
            ipaddress.ip_network(word, strict=False)
        except ValueError:
            raise ValueError("addresses or networks, separated by commas") from None
    return words(value)


def _is_host(name: str) -> bool:
    try:
        return bool(_HOST.fullmatch(name) or ipaddress.IPv6Address(name.strip("[]")))
    except ValueError:
        return False


def database_url(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("a URL that begins with postgresql://")
    return value


def bus_url(value: str) -> str:
    if not all(server.strip().startswith(("nats://", "tls://")) for server in value.split(",")):
        raise ValueError("URLs that begin with nats:// or tls://, separated by commas")
    return value


def subject(value: str) -> str:
    if not _SUBJECT.match(value) or value.startswith("chatrooms."):
        raise ValueError("a NATS subject such as chat.messages, outside chatrooms.…")
    return value
