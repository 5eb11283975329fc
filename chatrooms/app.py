"""The Tornado application."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tornado.web import Application

from chatrooms.handlers import auth, chat, events, invites, moderation, operations, pages, reference, rooms, sessions
from chatrooms.handlers.access import Access
from chatrooms.handlers.base import Unknown
from chatrooms.logs import log_access
from chatrooms.options import Options
from chatrooms.server import Server


def make_app(**options: Any) -> Application:
    """A Tornado application that works at once, as in a pytest-tornado `app` fixture.

    Options are those of the command line, with underscores: `make_app(heartbeat=5)`; what is not
    given comes from the environment, then from the defaults. Without a `data_dir` (or
    CHATROOMS_DATA_DIR) the data lies in a temporary folder that goes with the application, so that
    two applications in one process do not see each other. It starts with its first request;
    `await app.settings["server"].stop()` ends it. Raises ConfigError for a bad option.
    """
    settings = Options(options, os.environ)
    named = "data_dir" in options or "CHATROOMS_DATA_DIR" in os.environ
    return application(Server(settings, Path(settings.data_dir) if named else None))


def application(server: Server) -> Application:
    """The routes of a server."""
    routes = [
        *events.ROUTES, *rooms.ROUTES, *moderation.ROUTES, *invites.ROUTES,
        *sessions.ROUTES, *auth.ROUTES, *chat.ROUTES, *operations.ROUTES, *reference.ROUTES, *pages.routes(),
    ]  # fmt: skip
    return Application(
        routes,
        default_handler_class=Unknown,
        log_function=log_access,
        server=server,
        access=Access(server.options),
        reference=reference.Reference(routes),
    )
