"""The Tornado application."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tornado.web import Application

from chatrooms.http import auth, chat, events, messages, moderation, pages, personal, rooms, sessions, tasks
from chatrooms.http.access import Access
from chatrooms.http.base import Authenticate, Unknown
from chatrooms.logs import log_access
from chatrooms.options import Options
from chatrooms.server import Server


def make_app(*, authenticate: Authenticate | None = None, **options: Any) -> Application:
    """A Tornado application that works at once, as in a pytest-tornado `app` fixture.

    Options are those of the command line, with underscores: `make_app(heartbeat=5)`; what is not
    given comes from the environment, then from the defaults. Without a `data_dir` (or
    CHATROOMS_DATA_DIR) the data lies in a temporary folder that goes with the application, so that
    two applications in one process do not see each other. It starts with its first request;
    `await app.settings["server"].stop()` ends it. `authenticate` says who sends a request, in a program
    with its own users (see `chatrooms.Chatrooms`). Raises ConfigError for a bad option.
    """
    settings = Options(options, os.environ, own_users=authenticate is not None)
    named = "data_dir" in options or "CHATROOMS_DATA_DIR" in os.environ
    return application(Server(settings, Path(settings.data_dir) if named else None), authenticate)


def application(server: Server, authenticate: Authenticate | None = None) -> Application:
    """The application of a server."""
    found = routes()
    return Application(
        found,
        default_handler_class=Unknown,
        log_function=log_access,
        server=server,
        authenticate=authenticate,
        access=Access(server.options),
        reference=pages.Reference(found),
    )


def routes() -> list[tuple[Any, ...]]:
    """All routes, each a tuple (pattern, handler, …)."""
    return [
        *events.ROUTES, *rooms.ROUTES, *messages.ROUTES, *moderation.ROUTES, *personal.ROUTES, *sessions.ROUTES,
        *auth.ROUTES, *chat.ROUTES, *tasks.ROUTES, *pages.ROUTES, *pages.routes(),
    ]  # fmt: skip
