"""Log lines: text or JSON on standard error, never with a query string, a header or a body."""

from __future__ import annotations

import json
import logging
import sys
import time

from tornado.web import RequestHandler

access = logging.getLogger("chatrooms.access")


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(form: str, level: str) -> None:
    """Sends all log lines of this process to standard error; `form` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These log SQL with its values, and every turn of the loop.
    for noisy in ("aiosqlite", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def log_access(handler: RequestHandler) -> None:
    """One line a request: method, path without the query, status, milliseconds, peer."""
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
