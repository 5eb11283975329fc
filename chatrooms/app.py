"""The Tornado application."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tornado.web import Application

from chatrooms import names
from chatrooms.http import auth, chat, events, messages, moderation, pages, personal, rooms, sessions, tasks
from chatrooms.http.access import Access
from chatrooms.http.base import Authenticate, Unknown
from chatrooms.identity import Identity
from chatrooms.logs import log_access
from chatrooms.options import Options
from chatrooms.personal.notifications import Notifier
from chatrooms.rooms.message import Draft
from chatrooms.server import Server
from chatrooms.tasks.jobs import Tasks


def make_app(*, authenticate: Authenticate | None = None, **options: Any) -> Application:
    """A Tornado application, ready to use, as in a pytest-tornado `app` fixture.

    Options are those of the command line, with underscores: `make_app(heartbeat=5)`; those not given
    come from the environment, then from the defaults. Without a `data_dir` (or CHATROOMS_DATA_DIR)
    the data lies in a temporary folder that goes with the application, so that two applications in
    one process do not see each other. It starts with its first request;
    `await app.settings["server"].stop()` ends it. `authenticate` identifies the caller, in a program
    with its own users (see `chatrooms.Chatrooms`). Raises ConfigError for a bad option.
    """
    settings = Options(options, os.environ, own_users=authenticate is not None)
    named = "data_dir" in options or "CHATROOMS_DATA_DIR" in os.environ
    return application(Server(settings, Path(settings.data_dir) if named else None), authenticate)


def application(server: Server, authenticate: Authenticate | None = None) -> Application:
    """The application of a server."""
    found = routes()
    return Application(
        [*messages.ROUTES[:1], *found],  # patterns are tried in turn, the busiest first
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


HOUR = 3600.0


class Chatrooms(Notifier):
    """One server, to mount in your own application and use from your own code.

    `app` is its Tornado application; mount it last, since it answers 404 for unknown paths:
    `Application([(r"/mine", Mine), (r"/.*", chat.app)])`. Options are those of `make_app`. Use it as an
    async context manager, or call `start` and `stop`.

    `authenticate`, if given, is asked first at each request: it returns the caller (see `identify`), or
    None to leave that to the server's own tokens; it may be a coroutine. A page of another origin that may
    not call the server (`allowed_origins`) cannot use it to write anything.
    """

    def __init__(self, *, authenticate: Authenticate | None = None, **options: Any) -> None:
        super().__init__(self._notify)
        self.app = make_app(authenticate=authenticate, **options)
        self._server: Server = self.app.settings["server"]

    async def __aenter__(self) -> Chatrooms:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Opens the database; harmless if it is open. Raises ConfigError, Unavailable."""
        await self._server.start()

    async def stop(self) -> None:
        """Asks the clients to come back later, spread over the `drain` time, and closes the database."""
        await self._server.drain()
        await self._server.stop()

    @property
    def tasks(self) -> Tasks:
        """Long work with progress, once it has started: `async with chat.tasks.run("Import", user_id="42") as task`."""
        return self._server.tasks

    async def publish(
        self, room_id: str, message: str, *, user_id: str, username: str | None = None,
        client_message_id: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Posts a message in a room; returns the `room-message` data once it is durable.

        Neither room rules nor rate limits apply to your own program. The same `client_message_id` of the
        same user and room again returns the first message. Raises BadRequest, TooLarge, Unavailable.
        """
        await self.start()
        who = identify(user_id, username, "service")
        room_id = names.room_id(room_id)
        rules = await self._server.policy.of(room_id)
        drafts = [Draft(message, client_message_id)]
        (posted,) = await self._server.messages.post(who, who.username or who.user_id, room_id, drafts, rules)
        said: dict[str, Any] = json.loads(posted.data)
        return said

    async def assign_session(self, session_id: str, user_id: str, *, with_history: bool = False) -> None:
        """Gives a message session to a user, who reads it from then on; with `with_history`, all of it.

        The previous owner's streams end. Raises BadRequest, Unavailable.
        """
        await self.start()
        await self._server.owners.assign(names.session_id(session_id), names.user_id(user_id), with_history)

    async def _notify(self, events: Any) -> list[str]:
        await self.start()
        return await self._server.notifications.send(events)


def identify(user_id: str, username: str | None = None, role: str = "user", ttl: float = HOUR) -> Identity:
    """The identity of a caller, for an `authenticate` of your own to return.

    Streams end after `ttl` seconds with `reconnect: true`; then `authenticate` is asked again. `role` is
    user, agent, service or admin. Raises BadRequest for an invalid user id or name.
    """
    name = None if username is None else names.username(username)
    return Identity(names.user_id(user_id), name, role, time.time() + ttl, f"own:{secrets.token_urlsafe(12)}")
