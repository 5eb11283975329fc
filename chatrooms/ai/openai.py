"""The provider for any OpenAI-compatible server: `POST <base>/chat/completions`, streaming."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from chatrooms.ai.base import Line, Prompt, ProviderError, Scene, Turn, Usage, fitting
from chatrooms.sse import Parser

CONTEXT = 30  # messages of a room shown to the model
CONNECT = 10.0  # seconds
KEPT_ALIVE = 20  # idle connections
OVERHEAD = 32  # a body may have this many times `max_bytes`: each delta comes wrapped in JSON

# The connection dropped; a kept-alive one may have been dead before we wrote.
_DROPPED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class OpenAI:
    """Asks the server at `base_url` and no other: no redirect is followed, no proxy is used.

    `key` may be empty; `model` is the default for prompts that name none. A room's messages add at most
    `max_prompt` to a prompt; a body beyond OVERHEAD times `max_bytes` is not read to its end
    (in bytes; 0: no limit).
    """

    def __init__(self, base_url: str, model: str, key: str, max_prompt: int, max_bytes: int) -> None:
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._max_prompt = max_prompt
        self._most = max_bytes * OVERHEAD + (1 << 20) if max_bytes else 0
        # The body is measured as it arrives, so it must arrive uncompressed.
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(CONNECT, read=None, pool=None),  # the caller sets the time limits
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_ALIVE),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def reply(self, prompt: Prompt) -> AsyncIterator[str | Usage]:
        body = await self._body(prompt)
        begun = False
        for last_try in (False, True):
            try:
                async with aclosing(self._pieces(body)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
                return
            except _DROPPED:
                if begun or last_try:
                    raise ProviderError("ai-cut", "The model server dropped the connection.") from None
            except (httpx.HTTPError, httpx.InvalidURL):
                raise ProviderError("ai-unreachable", "The model server cannot be reached.") from None

    async def _pieces(self, body: dict[str, Any]) -> AsyncGenerator[str | Usage, None]:
        deltas, size = Deltas(), 0
        async with self._asked(body) as response:
            async for data in response.aiter_raw():
                size += len(data)
                if self._most and size > self._most:
                    raise ProviderError("too-large", "The model server sent too much.")
                if text := deltas.feed(data):
                    yield text
            framed = "transfer-encoding" in response.headers or "content-length" in response.headers
        if text := deltas.rest():
            yield text
        if deltas.usage is not None:
            yield deltas.usage
        if not deltas.begun:
            raise ProviderError("ai-failed", "The model server did not answer with a stream.")
        if not deltas.finished and not framed:  # without framing, a close may be the end or a crash
            raise ProviderError("ai-cut", "The model server stopped before the end of the reply.")

    @asynccontextmanager
    async def _asked(self, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        async with self._http.stream("POST", self._url, json=body) as response:
            if response.status_code != 200:
                raise _refusal(response.status_code)
            yield response

    async def _body(self, prompt: Prompt) -> dict[str, Any]:
        said = await _said(prompt.scene, self._max_prompt)
        turns = [*_scenery(prompt.scene), *said, *prompt.history, Turn("user", _asked_by(prompt))]
        body: dict[str, Any] = {
            "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if model := prompt.model or self._model:
            body["model"] = model
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        return body


def _refusal(status: int) -> ProviderError:
    if status in (429, 503):
        return ProviderError("ai-busy", f"The model server is busy ({status}): try again later.")
    if status < 400:
        return ProviderError("ai-rejected", f"The model server tried to redirect the request ({status}).")
    if status < 500:
        return ProviderError("ai-rejected", f"The model server refused the request ({status}).")
    return ProviderError("ai-failed", f"The model server failed ({status}).")


def _asked_by(prompt: Prompt) -> str:
    return f"{prompt.scene.asker}: {prompt.message}" if prompt.scene else prompt.message


def _scenery(scene: Scene | None) -> list[Turn]:
    """What a model is told about the room."""
    if scene is None:
        return []
    here = ", ".join(scene.members[:CONTEXT])
    told = f"You are an assistant in the chat room {scene.room_id!r}. Present: {here}. Each message names its author."
    return [Turn("system", told)]


async def _said(scene: Scene | None, most: int) -> Sequence[Turn]:
    """The room's last messages, up to CONTEXT of them and `most` bytes (0: no limit)."""
    turns = [_turn(line) for line in await scene.recall(CONTEXT)] if scene else []
    return fitting(turns, most)


def _turn(line: Line) -> Turn:
    return Turn("assistant", line.text) if line.from_bot else Turn("user", f"{line.username}: {line.text}")


MAX_EVENT = 1 << 20  # bytes without the end of an event, beyond which this is not an event stream

_HIGH_AT_END = re.compile(r"[\ud800-\udbff]\Z")
_LONE = re.compile(r"[\ud800-\udfff]")


class Deltas:
    """Parses the body piece by piece.

    `begun` is true once there was any event, `finished` once the server said that this was all;
    `usage` is the token count it reported, if any.
    """

    def __init__(self) -> None:
        self.begun = False
        self.finished = False
        self.usage: Usage | None = None
        self._parser = Parser()
        self._unread = 0
        self._half = ""

    def feed(self, data: bytes) -> str:
        """The text that these bytes complete. Raises ProviderError for anything but such a stream."""
        events = self._parser.feed(data)
        self.begun = self.begun or bool(events)
        self._unread = 0 if events else self._unread + len(data)
        if self._unread > MAX_EVENT:
            raise _broken()
        return self._whole("".join([self._text(event.data) for event in events]))

    def rest(self) -> str:
        """What is left at the end of the stream: half a character, as U+FFFD."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""

    def _text(self, data: str) -> str:
        if data.strip() == "[DONE]":
            self.finished = True
            return ""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise _broken() from None
        if not isinstance(chunk, dict):
            raise _broken()
        if chunk.get("error"):
            raise ProviderError("ai-failed", "The model server reported an error.")
        self._count(chunk.get("usage"))
        return self._delta(chunk.get("choices"))

    def _delta(self, choices: Any) -> str:
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return ""
        self.finished = self.finished or bool(choice.get("finish_reason"))
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else None
        return text if isinstance(text, str) else ""

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
            self.usage = Usage(*[n if isinstance(n, int) and 0 <= n < 1 << 53 else 0 for n in counts])

    def _whole(self, text: str) -> str:
        """The text with surrogate halves joined; a lone one becomes U+FFFD."""
        text, self._half = self._half + text, ""
        if text.isascii():
            return text
        if _HIGH_AT_END.search(text):
            text, self._half = text[:-1], text[-1]
        joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return _LONE.sub("\ufffd", joined)


def _broken() -> ProviderError:
    return ProviderError("ai-failed", "The model server's answer could not be parsed.")
