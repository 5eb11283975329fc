"""What every handler shares: the caller, the input, and the one shape of errors."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from http.client import responses
from inspect import isawaitable
from typing import Any, TypeVar

import msgspec
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError

from chatrooms import body, names
from chatrooms.errors import BadRequest, Problem, StartFailure, Unauthorized, Unavailable
from chatrooms.http.access import Access
from chatrooms.http.tornado_internals import NOT_IMPLEMENTED, LeanHandler, leave_body_alone
from chatrooms.identity import Identity
from chatrooms.logs import printable
from chatrooms.rooms.stream import check_free
from chatrooms.server import Server

COOKIE = "chatrooms_token"
NOTHING = "default-src 'none'; frame-ancestors 'none'"  # the policy of everything that is not a page
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# Tornado's own refusals, in our words.
_STATUS_PROBLEMS = {
    400: ("bad-request", "The request is malformed."),
    403: ("forbidden", "That is not allowed."),
    404: ("not-found", "There is nothing here."),
    405: ("method-not-allowed", "This method is not supported here."),
    413: ("too-large", "The request is too large."),
}
_INTERNAL = ("internal", "Something went wrong on the server.")

log = logging.getLogger(__name__)

T = TypeVar("T")

# Identifies the caller in a program that has its own users; None for a caller it does not know.
Authenticate = Callable[[HTTPServerRequest], Identity | Awaitable[Identity | None] | None]


class Handler(LeanHandler):
    """A request to the server. A Problem raised by a method becomes its JSON answer, with `error_extras`."""

    ready_headers = {
        "Content-Type": "text/html; charset=UTF-8",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": NOTHING,
    }
    error_extras: Mapping[str, object] = {}

    _own: Identity | None = None  # the caller, as the embedding program identified it

    def __init__(self, application: Application, request: HTTPServerRequest, **settings: Any) -> None:
        leave_body_alone(request)
        super().__init__(application, request, **settings)

    @property
    def server(self) -> Server:
        server: Server = self.settings["server"]
        return server

    @property
    def access(self) -> Access:
        access: Access = self.settings["access"]
        return access

    def set_default_headers(self) -> None:
        for name, value in self.access.cors_headers(self.request):
            self.set_header(name, value)

    async def prepare(self) -> None:
        self.access.check_host(self.request)
        if not self.server.ready:
            await self._start_server()
        authenticate: Authenticate | None = self.settings["authenticate"]
        if authenticate is not None and self.request.method != "OPTIONS":
            own = authenticate(self.request)
            self._own = await own if isawaitable(own) else own

    async def _start_server(self) -> None:
        if self.server.draining:
            raise Unavailable("draining", "The server is stopping.", 5)
        try:
            await self.server.start()
        except StartFailure as problem:
            log.warning("cannot start: %s", problem)
            raise Unavailable("unavailable", "The server cannot start right now.", 5) from None

    async def options(self, *_args: str, **_named: str) -> None:
        """Answers a CORS preflight; the headers are those of every answer."""
        for name, value in self.access.preflight_headers(self.request):
            self.set_header(name, value)
        self.set_status(204)

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """Decodes a part of the path; bytes that are not UTF-8 become characters that no id may have.

        They are refused where ids are checked, after 401 and 403.
        """
        return value.decode(errors="surrogateescape")

    # The caller

    def identity(self) -> Identity:
        """The caller, by header, query or cookie, in this order (section 2).

        Raises Unauthorized; Forbidden `bad-origin` for a write by cookie from another origin, and for any
        use of the cookie from another site: a read may be a join.
        """
        if self._own is not None:
            if self.request.method in SAFE_METHODS:
                self.access.check_link(self.request)
            else:
                self.access.check_origin(self.request)
            self.server.authenticator.check(self._own)
            return self._own
        header = self.request.headers.get("Authorization", "")
        if header:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthorized("token-invalid", "The Authorization header must be: Bearer <token>.")
            return self.server.authenticator.verify(token.strip())
        token = self._credential("token") or self._credential("access_token")
        if token:
            return self.server.authenticator.verify(token)
        token = self.get_cookie(COOKIE) or ""
        if token:
            who = self.server.authenticator.verify(token)
            if self.request.method in SAFE_METHODS:
                self.access.check_link(self.request)
            else:
                self.access.check_same_origin(self.request)
            return who
        raise Unauthorized("token-missing", "A token is required: Authorization: Bearer <token>.")

    async def stream_identity(self) -> Identity:
        """The caller of a stream, who may also present a one-use ticket."""
        ticket = self._credential("ticket")
        return await self.server.authenticator.redeem(ticket) if ticket else self.identity()

    def _credential(self, name: str) -> str:
        """A token or ticket in the query; raises Unauthorized for bad UTF-8."""
        try:
            return self.query(name)
        except BadRequest:
            raise Unauthorized("token-invalid", f"The {name} is not valid.") from None

    def username(self, who: Identity, given: str | None, client_id: str | None) -> str:
        """The name shown: the token's, else the given one, else that of the client's stream, else the userId."""
        if who.username is not None:
            return who.username
        if given is not None:
            username = names.username(given)
            check_free(who, username)
            return username
        of_stream = self.server.rooms.username_of(who.user_id, client_id) if client_id else None
        return of_stream or who.user_id

    # Input

    def query(self, name: str, default: str = "") -> str:
        """The last value of a query parameter, untrimmed; raises BadRequest for bad UTF-8."""
        values = self.request.query_arguments.get(name)
        if not values:
            return default
        try:
            return values[-1].decode()
        except UnicodeDecodeError:
            raise BadRequest("bad-field", f"{name} is not UTF-8.") from None

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number from the query, in bounds; raises BadRequest."""
        given = self.query(name)
        return names.whole_number(given, name, least, most) if given else default

    def body(self, shape: type[T], most: int = body.MAX_BYTES) -> T:
        """The JSON body as a `shape`; raises BadRequest, TooLarge, UnsupportedMediaType."""
        return body.parse(self.request.body, self.request.headers.get("Content-Type", ""), shape, most)

    # Answers

    def answer(self, data: object, status: int = 200) -> None:
        """Ends the request with JSON; bytes are taken to be JSON already."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(data if isinstance(data, bytes) else msgspec.json.encode(data))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Problem):
            self.set_status(error.status)
            self._problem(error.code, error.sentence, error.retry_after)
        elif isinstance(error, HTTPError) or status_code != 500:
            self.set_status(status_code, responses.get(status_code, "Error"))
            if status_code == 405:
                self.set_header("Allow", ", ".join(self._methods()))
            self._problem(*_STATUS_PROBLEMS.get(status_code, _INTERNAL))
        else:
            self._problem(*_INTERNAL)

    def _methods(self) -> list[str]:
        """The methods allowed here."""
        mine = [name for name in self.SUPPORTED_METHODS if getattr(type(self), name.lower()) != NOT_IMPLEMENTED]
        return sorted(mine)

    def _problem(self, code: str, sentence: str, retry_after: float | None = None) -> None:
        if retry_after is not None:
            self.set_header("Retry-After", str(max(1, math.ceil(retry_after))))
        if self.get_status() == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        self.answer({**self.error_extras, "error": sentence, "code": code}, self.get_status())

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, Problem | HTTPError):
            # Replaces Tornado's own line, which shows the query, where a token may be.
            where = printable(self.request.path)
            log.error("%s %s failed", self.request.method, where, exc_info=(typ, value, tb))

    def on_finish(self) -> None:
        if self.server.ready:
            self.server.metrics.answered(self.request.method or "", self.get_status(), self.request.request_time())


class Unknown(Handler):
    """Any path that is not served."""

    async def prepare(self) -> None:
        await super().prepare()
        if self.request.method != "OPTIONS":
            raise HTTPError(404)
