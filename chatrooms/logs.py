"""Log lines: text or JSON on standard error, never with a query string, a header or a body.

Our own lines name only a path. Lines of libraries pass two sieves, both here: Tornado's values
(parts of malformed requests) are left out, and in any line, whatever looks like a secret.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import ParamSpec

from tornado.web import RequestHandler

# These would log SQL with its values, every turn of the loop, and whole requests with their headers.
NOISY = ("aiosqlite", "asyncio", "asyncpg", "nats", "httpx", "httpcore", "httpx2", "hpack")
LEFT_OUT = "…"

_SECRETS = re.compile(
    r"""
      \b eyJ [\w-]{4,} (?: \. [\w-]* ){1,4}                       # a JWT, whole or cut
    | (?<= [?&;] ) (?: token | access_token | refresh_token | ticket | password | secret | key | api_key )
      = [^&\s"'<>]+                                              # in a query
    | (?<= /api/streams/ ) [^/\s"]+                               # a stream's id is enough to end its parts
    | \b (?: authorization | proxy-authorization | cookie | set-cookie | x-api-key ) ["']? \s* [:=,] [^\r\n]+
    | \b (?: bearer | basic ) \s+ [^\s"']+
    | ["'] (?: \w*token | ticket | \w*password | secret ) ["'] \s* : \s* (?: "[^"]*" | '[^']*' )
    """,
    re.VERBOSE | re.IGNORECASE,
)

access = logging.getLogger("chatrooms.access")


def redact(text: str) -> str:
    """The text without what looks like a secret."""
    return _SECRETS.sub(LEFT_OUT, text)


def _without_values(record: logging.LogRecord) -> bool:
    """Drops what a peer sent: Tornado quotes malformed headers, Authorization among them."""
    if record.name.startswith("tornado") and isinstance(record.args, tuple):
        record.args = tuple(LEFT_OUT if isinstance(value, str | bytes | Exception) else value for value in record.args)
    return True


class _Text(logging.Formatter):
    def __init__(self, worker: int) -> None:
        place = f"[worker {worker}] " if worker else ""
        super().__init__(f"%(asctime)s %(levelname)-7s {place}%(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Json(logging.Formatter):
    def __init__(self, worker: int) -> None:
        super().__init__()
        self._place = {"worker": worker} if worker else {}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            **self._place,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        fields = getattr(record, "fields", {})
        line.update({name: redact(value) if isinstance(value, str) else value for name, value in fields.items()})
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure(form: str, level: str, worker: int = 0) -> None:
    """Sends all log lines of this process to standard error; `form` is `text` or `json`.

    Each line of one of several workers carries its number.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(worker) if form == "json" else _Text(worker))
    handler.addFilter(_without_values)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def log_access(handler: RequestHandler) -> None:
    """One line per request: method, path without the query, status, milliseconds, peer."""
    if not access.isEnabledFor(logging.INFO):
        return
    request = handler.request
    fields = {
        "method": request.method,
        "path": printable(request.path),
        "status": handler.get_status(),
        "ms": round(request.request_time() * 1000, 1),
        "peer": request.remote_ip,
    }
    access.info("%(method)s %(path)s %(status)d %(ms).1f ms %(peer)s", fields, extra={"fields": fields})


def printable(text: str) -> str:
    """The text with control characters escaped, so that a request cannot forge a log line."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


P = ParamSpec("P")

log = logging.getLogger(__name__)


def notify(listener: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Calls a listener; an exception in it is logged, and the caller continues."""
    try:
        listener(*args, **kwargs)
    except Exception as error:
        log.error("%s failed: %s", getattr(listener, "__qualname__", "a listener"), described(error))


def described(error: BaseException) -> str:
    """The type and place of an error, as `ValueError at topic.py:12`.

    Leaves out its text, which may quote user input or a secret.
    """
    place = error.__traceback__
    if place is None:
        return type(error).__name__
    while place.tb_next is not None:
        place = place.tb_next
    return f"{type(error).__name__} at {PurePath(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"
