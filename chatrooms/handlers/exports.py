"""The export of a room, and the download of what a task made (section 8)."""

from __future__ import annotations

import asyncio
from typing import Literal
from urllib.parse import quote

import msgspec
from tornado.iostream import StreamClosedError

from chatrooms import names
from chatrooms.errors import Conflict, Problem
from chatrooms.handlers.base import Handler
from chatrooms.handlers.ranges import Part, part_of
from chatrooms.storage.results import StoredResult
from chatrooms.tasks.page import FORMATS
from chatrooms.tasks.task import COMPLETED


class ExportBody(msgspec.Struct):
    format: Literal["jsonl", "html"] = "jsonl"


class Export(Handler):
    """Writes the messages of a room to a file, as a task."""

    async def post(self, room_id: str) -> None:
        who = self.identity()
        room_id = names.room_id(room_id)
        await self.server.rulebook.readable(who, room_id)
        body = self.body(ExportBody) if self.request.body else ExportBody()
        self.server.quotas.export(who)
        task = await self.server.exports.start(who, room_id, body.format)
        self.answer({"task_id": task.task_id}, 202)


class Download(Handler):
    """What a task made, or a part of it."""

    _taken: asyncio.Future[None] | None = None

    def on_connection_close(self) -> None:
        """Tornado forgets who waits for the peer to take something, when that goes away."""
        if self._taken is not None and not self._taken.done():
            self._taken.set_exception(StreamClosedError())

    async def get(self, task_id: str) -> None:
        """A file, for who may see the task and read the room; `Range` asks for a part of it."""
        who = await self.stream_identity()
        task_id = names.task_id(task_id)
        task = await self.server.tasks.readable(who, task_id)
        if not task.ended:
            raise Conflict("conflict", "The task has not ended yet.")
        result = await self.server.results.find(task_id)
        await self.server.rulebook.readable(who, result.room_id)
        if task.state != COMPLETED:
            raise Conflict("conflict", f"The task is {task.state}: it has no result.")
        etag = f'"{task_id}"'
        headers = self.request.headers
        part = part_of(result.size, headers.get("Range", ""), headers.get("If-Range", ""), etag)
        if part is None:
            self._refuse_range(result.size)
            return
        self._describe(result, part, etag)
        await self._write(task_id, part)

    def _refuse_range(self, size: int) -> None:
        self.set_header("Content-Range", f"bytes */{size}")
        self.answer({"error": f"The file has only {size} bytes.", "code": "bad-range"}, 416)

    def _describe(self, result: StoredResult, part: Part, etag: str) -> None:
        self.set_header("Content-Type", FORMATS[result.format].media_type)
        self.set_header("Content-Disposition", _disposition(f"{result.room_id}.{result.format}"))
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("ETag", etag)
        self.set_header("Content-Length", str(part.stop - part.start))
        if not part.whole:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{result.size}")

    async def _write(self, task_id: str, part: Part) -> None:
        """A chunk at a time: the next one is read when the peer has taken this one."""
        patience = self.server.options.write_timeout or None
        try:
            async for data in self.server.results.read(task_id, part.start, part.stop):
                self.write(data)
                self._taken = self.flush()
                await asyncio.wait_for(self._taken, patience)
        except StreamClosedError:
            return
        except (Problem, TimeoutError):
            # The head is out: only a cut connection says that something lacks.
            self.request.connection.close()  # type: ignore[union-attr]


def _disposition(name: str) -> str:
    """A file to be kept, by a name in any script (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


ROUTES = [
    (r"/api/rooms/([^/]+)/export", Export),
    (r"/api/v1/tasks/([^/]+)/result", Download),
]
