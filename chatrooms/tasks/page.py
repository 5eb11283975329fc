"""How the messages of a room are written into a file: JSON Lines, or an HTML page. Pure."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from chatrooms.clock import iso

Rows = Sequence[tuple[str, str]]  # the id and the data of each message, as JSON


class FileForm(NamedTuple):
    """What stands before the messages of a room, how some of them are written, and what stands at the end."""

    media_type: str
    before: Callable[[str], bytes]
    rows: Callable[[Rows], bytes]
    after: bytes


class _Message(msgspec.Struct, rename="camel"):
    username: str
    message: str
    timestamp: int
    edited_at: int | None = None
    guest: bool = False


def _json_lines(rows: Rows) -> bytes:
    """One object a line, as the history call gives it. Ids need no escaping."""
    return "".join([f'{{"id":"{id}",{data[1:]}\n' for id, data in rows]).encode()


def _html_rows(rows: Rows) -> bytes:
    return "".join([_html_row(id, data) for id, data in rows]).encode()


def _html_row(id: str, data: str) -> str:
    message = msgspec.json.decode(data, type=_Message)
    at = iso(message.timestamp)
    edited = " <small>edited</small>" if message.edited_at else ""
    guest = " <small>guest</small>" if message.guest else ""
    name, text = html.escape(message.username), html.escape(message.message)
    return (
        f'<li id="{id}"><p><b><bdi>{name}</bdi></b>{guest} '
        f'<time datetime="{at}">{at[:10]} {at[11:19]}</time>{edited}</p>'
        f'<div dir="auto">{text}</div>\n'
    )


def _html_before(room_id: str) -> bytes:
    name = html.escape(room_id)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{name}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }}
ol {{ padding: 0; list-style: none; }}
li {{ margin: 0 0 1rem; content-visibility: auto; }}
p {{ margin: 0; }}
time, small {{ opacity: 0.7; font-size: 0.85rem; }}
div {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
</style>
<h1><bdi>{name}</bdi></h1>
<p>Times are in UTC.</p>
<ol>
""".encode()


FORMATS: dict[str, FileForm] = {
    "jsonl": FileForm("application/x-ndjson; charset=utf-8", lambda room_id: b"", _json_lines, b""),
    "html": FileForm("text/html; charset=utf-8", _html_before, _html_rows, b"</ol>\n</html>\n"),
}
