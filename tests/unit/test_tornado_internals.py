"""The parts of Tornado that are used though they are not public are there, and are used in one file only."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.iostream import BaseIOStream, IOStream
from tornado.tcpserver import TCPServer
from tornado.web import RequestHandler

import chatrooms
from chatrooms.http import tornado_internals

HTTP = Path(chatrooms.__file__).parent / "http"
USED: list[tuple[type[Any], str]] = [
    (RequestHandler, "_unimplemented_method"),
    (HTTPServerRequest, "_parse_body"),
    (IOStream, "socket"),
    (BaseIOStream, "_closed"),
    (BaseIOStream, "_read_buffer_size"),
    (BaseIOStream, "_write_buffer"),
    (BaseIOStream, "_handle_write"),
    (BaseIOStream, "_handle_events"),
    (BaseIOStream, "_handle_read"),
    (BaseIOStream, "_try_inline_read"),
    (BaseIOStream, "_read_future"),
    (BaseIOStream, "_state"),
    (RequestHandler, "_headers"),
    (HTTPHeaders, "_as_list"),
    (HTTP1Connection, "_parse_headers"),
    (HTTP1Connection, "_request_start_line"),
    (HTTP1Connection, "_disconnect_on_finish"),
    (HTTP1Connection, "_expected_content_remaining"),
    (HTTP1Connection, "_pending_write"),
    (HTTP1ServerConnection, "_server_request_loop"),
    (TCPServer, "_sockets"),
    (TCPServer, "_handlers"),
    (TCPServer, "_stopped"),
    (HTTPServer, "_connections"),
]


@pytest.mark.parametrize(("owner", "name"), USED, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_part_is_there(owner: type[Any], name: str) -> None:
    """As a method, or as an attribute that its code sets."""
    assert hasattr(owner, name) or f"self.{name}" in inspect.getsource(owner)


def test_list_is_whole() -> None:
    """Each private name in the file is one of those, or our own."""
    tree = ast.parse(inspect.getsource(tornado_internals))
    ours = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")}
    assert used - ours <= {name for _, name in USED}


def test_nowhere_else() -> None:
    """The rest of the package takes no private attribute of anything but itself."""
    found = [
        f"{path.name}:{node.lineno} {ast.unparse(node)}"
        for path in sorted(HTTP.glob("*.py")) if path.name != "tornado_internals.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        and ast.unparse(node.value) not in ("self", "super()", "cls") and node.attr not in ("_asdict", "_replace")
    ]  # fmt: skip
    assert found == []
