"""An AI reply, piece by piece."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from chatrooms.client.backoff import delay
from chatrooms.client.credentials import Credentials
from chatrooms.client.exchange import Exchange
from chatrooms.client.refused import Refused
from chatrooms.sse import Parser

SILENCE = 65.0  # seconds: the server beats more often, unless told otherwise
DONE = "[DONE]"

Request = Callable[[str, str, object, str], Awaitable[Exchange]]


class ReplyFailed(Exception):
    """The reply broke off: `code` says why; what came before it stands."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Reply:
    """A reply that was asked for by iterating it: `async for text in reply`. Iterate it once.

    id     its id, from the moment at which the server has taken the question; "" before
    state  `streaming`, `complete`, `stopped` or `error`

    A dropped connection is made again and goes on after the last piece; only the question itself is
    not asked again, for it may have been heard: that raises OSError.
    """

    def __init__(self, request: Request, credentials: Credentials, question: dict[str, Any]) -> None:
        self.id = ""
        self.state = "streaming"
        self._request = request
        self._credentials = credentials
        self._question = question
        self._next = 0

    async def __aiter__(self) -> AsyncIterator[str]:
        failures = 0
        while self.state == "streaming":
            try:
                async with aclosing(self._connection()) as texts:
                    async for text in texts:
                        failures = 0
                        yield text
            except OSError:
                if not self.id:
                    raise
            except Refused as refused:
                if not self.id or not refused.transient:
                    raise
            if self.state == "streaming":
                await asyncio.sleep(delay(failures))
                failures += 1

    async def text(self) -> str:
        """All of it, when it is there. Raises ReplyFailed, Refused, OSError."""
        return "".join([piece async for piece in self])

    async def stop(self) -> None:
        """Ends it, on the server too. What there is of it is kept."""
        if self.id:
            exchange = await self._asked("DELETE", f"/api/chat/stream/{self.id}", None)
            exchange.close()

    async def _connection(self) -> AsyncGenerator[str, None]:
        exchange = await self._open()
        try:
            if exchange.status != 200:
                raise Refused.of(exchange.status, await exchange.body(), exchange.headers.get("retry-after", ""))
            self.id = exchange.headers.get("x-message-id", self.id)
            parser = Parser()
            while self.state == "streaming":
                async with asyncio.timeout(SILENCE):
                    piece = await exchange.read()
                if not piece:
                    return
                for event in parser.feed(piece):
                    text = self._take(event.data)
                    if text:
                        yield text
        finally:
            exchange.close()

    async def _open(self) -> Exchange:
        if not self.id:
            return await self._asked("POST", "/api/chat/stream", self._question)
        after = f"?after={self._next - 1}" if self._next else ""
        return await self._asked("GET", f"/api/chat/stream/{self.id}{after}", None)

    async def _asked(self, method: str, target: str, body: object) -> Exchange:
        """The answer, with a renewed token where the first one was refused: then nothing has begun."""
        token = await self._credentials.fresh()
        exchange = await self._request(method, target, body, token)
        if exchange.status == 401 and await self._credentials.renew(token):
            exchange.close()
            exchange = await self._request(method, target, body, self._credentials.token)
        return exchange

    def _take(self, data: str) -> str:
        """The text that an event brings, if it is the next piece."""
        if data == DONE:
            self.state = "complete" if self.state == "streaming" else self.state
            return ""
        told = json.loads(data)
        if told["type"] == "content" and told["index"] == self._next:
            self._next += 1
            text: str = told["text"]
            return text
        if told["type"] == "stopped":
            self.state = "stopped"
        elif told["type"] == "error":
            self.state = "error"
            raise ReplyFailed(told["code"], told["message"])
        return ""
