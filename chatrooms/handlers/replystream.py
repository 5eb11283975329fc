"""A reply as a response: written to one reader as it comes, from any index on."""

from __future__ import annotations

import asyncio
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from chatrooms import sse
from chatrooms.core.stream import tune
from chatrooms.errors import Problem
from chatrooms.handlers.base import Handler
from chatrooms.identity.tokens import Identity
from chatrooms.replies.forms import UI_HEADER, Content, Form, UIMessages
from chatrooms.replies.reply import ERROR, Ending, Reader, Reply

TICK = 1.0  # seconds between two looks at the clock and the gate


class ReplyHandler(Handler):
    """Streams replies. A reader that goes away stops only its own reading."""

    _reader: Reader | None = None
    _gone = False

    def wants_ui_messages(self) -> bool:
        """Whether the client asks for the AI SDK's form, by header or by `?format=ui-message-stream`."""
        return UI_HEADER in self.request.headers or self.query("format") == "ui-message-stream"

    def on_connection_close(self) -> None:
        self._gone = True
        if self._reader is not None:
            self._reader.wake()

    async def stream(self, who: Identity, reply: Reply, index: int = 0, ui: bool = False) -> None:
        """Writes the chunks from an index on as they come, how it ended, and `[DONE]`.

        Raises TooMany or Unavailable when there are too many readers.
        """
        form = UIMessages(reply) if ui else Content(reply)
        with self.server.reply_readers.one_of(who.user_id), Reader(reply, index) as reader:
            self._reader = reader
            for name, value in (*sse.HEADERS, *form.headers, ("X-Message-Id", reply.id)):
                self.set_header(name, value)
            try:
                await self._write_all(who, reader, form)
            except (StreamClosedError, TimeoutError):
                self._connection.close()
            finally:
                self._reader = None  # or the handler, which Tornado lets go of late, keeps the text

    async def _write_all(self, who: Identity, reader: Reader, form: Form) -> None:
        sock = self._connection.stream.socket
        if sock is not None:
            tune(sock, self.server.options.write_timeout)
        await self._send(form.opening())
        ending = await self._write_chunks(who, reader, form)
        self.write(form.ending(ending))
        self.finish()

    async def _write_chunks(self, who: Identity, reader: Reader, form: Form) -> Ending:
        """Writes until there is no more; returns how it ended, for this reader."""
        reply, position = reader.reply, 0
        clock = _Clock(reader, self.server.options.heartbeat)
        try:
            while not reader.done:
                if clock.ticked():
                    self.server.gate.check(who)
                    await self.server.reply_rights.check_read(who, reply)
                    self._put(form.heartbeat() if clock.beats() else b"")
                if reply.position and reply.position != position:
                    position = reply.position
                    self._put(form.queued(position))
                await self._send(self._chunks(reader, form))
                if not reader.behind and not reader.done:
                    await reader.wait()
        except Problem as problem:  # signed out or banned meanwhile
            return Ending(ERROR, code=problem.code, sentence=problem.sentence)
        finally:
            clock.stop()
        assert reply.ending is not None
        return reply.ending

    def _chunks(self, reader: Reader, form: Form) -> bytes:
        first = reader.index
        return b"".join([form.chunk(first + n, text) for n, text in enumerate(reader.take())])

    def _put(self, frame: bytes) -> None:
        if frame:
            self.write(frame)

    async def _send(self, frame: bytes) -> None:
        """Writes, and waits while the reader does not read; raises StreamClosedError, TimeoutError."""
        if self._gone:
            raise StreamClosedError
        self._put(frame)
        if self._write_buffer or not self._headers_written:
            written = self.flush()
            if not written.done():
                await asyncio.wait_for(written, self.server.options.write_timeout or None)

    @property
    def _connection(self) -> HTTP1Connection:
        return cast(HTTP1Connection, self.request.connection)


class _Clock:
    """Wakes a reader every TICK, and says when a heartbeat is due (`every` seconds; 0: never)."""

    def __init__(self, reader: Reader, every: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._every = every
        self._next_beat = self._loop.time() + every
        self._ticked = False
        self._arm()

    def ticked(self) -> bool:
        """Whether a tick has passed since the last call."""
        ticked, self._ticked = self._ticked, False
        return ticked

    def beats(self) -> bool:
        if not self._every or self._loop.time() < self._next_beat:
            return False
        self._next_beat += self._every
        return True

    def stop(self) -> None:
        self._timer.cancel()

    def _arm(self) -> None:
        self._timer = self._loop.call_later(min(TICK, self._every or TICK), self._tick)

    def _tick(self) -> None:
        self._ticked = True
        self._reader.wake()
        self._arm()
