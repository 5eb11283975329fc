"""A client: one user of one server."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

from chatrooms.client.exchange import Credentials, Exchange, Http, Refused, Source, delay
from chatrooms.client.feed import Event, Feed, Reply

CALL_TIMEOUT = 60.0  # seconds


class Client:
    """One user of one server; use it as an async context manager, which closes all connections on exit.

    url            for example `https://chat.example.org`
    token          an access token; empty for a guest, or before `sign_in`
    refresh_token  renews the token before it ends
    source         instead of both: an async function that returns tokens, for a back end that signs its own
    username       the name shown when the token names none
    patience       seconds for which a message is retried; None: until it is acknowledged
    tls            the certificate authorities to trust, for https
    """

    def __init__(
        self, url: str, token: str = "", username: str = "", *, refresh_token: str = "", source: Source | None = None,
        patience: float | None = None, tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.username = username
        self.credentials = Credentials(token, refresh_token, source, self._refresh)
        self._http = Http(url, tls)
        self._patience = patience

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.close()

    # Identity

    async def sign_in_as_guest(self, username: str) -> None:
        """Becomes a new guest. Raises Refused, OSError."""
        self._signed_in(await self._call("POST", "/api/auth/guest", {"username": username}, ""))

    async def sign_in(self, username: str, password: str) -> None:
        """Signs in to an account by its name or email. Raises Refused, OSError."""
        self._signed_in(await self._call("POST", "/api/signin", {"username": username, "password": password}, ""))

    async def sign_out(self) -> None:
        """Ends the sign-in and all of its streams."""
        await self.call("POST", "/api/auth/signout")

    # Calls

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Returns the decoded response, None for an empty one; a refused token is renewed once.

        Raises Refused, OSError.
        """
        token = await self.credentials.fresh()
        try:
            return await self._call(method, path, body, token)
        except Refused as refused:
            if refused.status != 401 or not await self.credentials.renew(token):
                raise
        return await self._call(method, path, body, self.credentials.token)

    async def send(self, room_id: str, text: str, client_message_id: str = "") -> dict[str, Any]:
        """Sends a message, which arrives once however often it is retried; returns the message.

        Raises Refused; OSError when `patience` has run out.
        """
        body = {"message": text, "clientMessageId": client_message_id or secrets.token_urlsafe(12)}
        if self.username:
            body["username"] = self.username
        path = f"/api/rooms/{quote(room_id, safe='')}/messages"
        message: dict[str, Any] = await self._repeated(path, body)
        return message

    # Streams

    def room(
        self, room_id: str, username: str = "", history: int = 0, position: str = "", client_id: str = ""
    ) -> AsyncIterator[Event]:
        """The events of a room, without end, from a position or the last messages on; reading makes you present.

        Ends when the server says that there is no coming back (kicked, replaced). Raises Refused.
        """
        client_id = client_id or secrets.token_urlsafe(9)
        query = {"roomId": room_id, "username": username or self.username, "clientId": client_id}
        return self._feed("/events", {**query, "history": str(history)}, position, client_id=client_id)

    def events(
        self, path: str, query: Mapping[str, str] | None = None, position: str = "", ends: Sequence[str] = ()
    ) -> AsyncIterator[Event]:
        """The events of any resource that streams them, up to one of `ends`. Raises Refused."""
        return self._feed(path, query or {}, position, frozenset(ends))

    def personal(self, position: str = "") -> AsyncIterator[Event]:
        """The durable events of all rooms the user has joined, and the user's notifications."""
        return self.events("/events", position=position)

    def notifications(self, user_id: str, session_id: str = "", position: str = "") -> AsyncIterator[Event]:
        """The notifications of a user, or only those of one session."""
        query = {"session_id": session_id} if session_id else {}
        return self.events(f"/api/clients/{quote(user_id, safe='')}/sse", query, position)

    def task(self, task_id: str) -> AsyncIterator[Event]:
        """The progress of a task: its current state, each change, and `complete` or `error` at the end."""
        path = f"/api/v1/sse/tasks/{quote(task_id, safe='')}/progress"
        return self.events(path, ends=("complete", "error"))

    def session(
        self, session_id: str = "", robot_id: str = "", position: str = "", history: int = 0
    ) -> AsyncIterator[Event]:
        """The messages of a session, or of all that the user may read: from a position, or the last ones on."""
        query = {"sessionId": session_id, "robotId": robot_id, "history": str(history) if history else ""}
        return self.events("/api/sse/messages", {name: value for name, value in query.items() if value}, position)

    def reply(self, message: str, **more: Any) -> Reply:
        """An AI reply; iterate it for pieces of its text. `more` are further fields of the call, such as `roomId`."""
        return Reply(self._request, self.credentials, {"message": message, **more})

    def _feed(
        self, path: str, query: Mapping[str, str], position: str, ends: frozenset[str] = frozenset(),
        client_id: str = "",
    ) -> AsyncIterator[Event]:  # fmt: skip
        target = f"{path}?{urlencode(query)}" if query else path
        on_expiring = partial(self._extend, client_id) if client_id and self.credentials.renewable else None
        return Feed(partial(self._resume, target), self.credentials, position, ends, on_expiring).events()

    async def _resume(self, target: str, token: str, position: str) -> Exchange:
        return await self._request("GET", target, None, token, {"Last-Event-ID": position} if position else {})

    async def _extend(self, client_id: str) -> None:
        """Extends a client's streams with the next token; if that fails, they are opened again."""
        try:
            if await self.credentials.renew(self.credentials.token):
                await self._call("POST", "/api/auth/extend", {"clientId": client_id}, self.credentials.token)
        except (Refused, OSError):
            pass

    # HTTP

    async def _repeated(self, path: str, body: object) -> Any:
        give_up_at = time.monotonic() + self._patience if self._patience is not None else float("inf")
        failures = 0
        while True:
            try:
                return await self.call("POST", path, body)
            except (Refused, OSError) as error:
                if isinstance(error, Refused) and not error.transient:
                    raise
                pause = delay(failures, error.retry_after if isinstance(error, Refused) else 0.0)
                if time.monotonic() + pause > give_up_at:
                    raise
            await asyncio.sleep(pause)
            failures += 1

    async def _refresh(self, refresh_token: str) -> dict[str, Any]:
        tokens: dict[str, Any] = await self._call("POST", "/api/auth/refresh", {"refreshToken": refresh_token}, "")
        return tokens

    def _signed_in(self, tokens: dict[str, Any]) -> None:
        self.credentials.keep(tokens)
        self.username = tokens["user"]["username"]

    async def _call(self, method: str, path: str, body: object, token: str) -> Any:
        async with asyncio.timeout(CALL_TIMEOUT):
            exchange = await self._request(method, path, body, token)
            try:
                if not 200 <= exchange.status < 300:
                    raise await exchange.refusal()
                content = await exchange.body()
            finally:
                await exchange.close()
        return json.loads(content) if content else None

    async def _request(
        self, method: str, target: str, body: object, token: str, headers: Mapping[str, str] | None = None
    ) -> Exchange:
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        content = None if body is None else json.dumps(body).encode()
        return await self._http.open(method, target, sent, content)
