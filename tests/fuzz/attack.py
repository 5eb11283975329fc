"""Sends a generator's requests over loopback and counts what comes back."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

from tests.fuzz.generator import Generator

CONNECTIONS = 16  # at the same time
PATIENCE = 20.0  # seconds that an answer may take, on a machine that is busy
HURRY = 0.05  # seconds waited for what may never be answered: the request was cut

_IDS = re.compile(rb'"(?:id|messageId|clientId|taskId|roomId|lastEventId|next)":"([^"\\]{1,80})"')
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


class Attack:
    """`statuses` counts the answers, `odd` keeps the requests of those that should not be."""

    def __init__(self, port: int, generator: Generator) -> None:
        self._port = port
        self._generator = generator
        self._left = 0
        self.sent = 0
        self.statuses: Counter[int] = Counter()
        self.odd: list[tuple[bytes, bytes]] = []

    async def run(self, count: int) -> None:
        """Sends so many requests."""
        self._left = count
        await asyncio.gather(*(self._work() for _ in range(CONNECTIONS)))

    async def _work(self) -> None:
        while self._left > 0:
            self._left -= 1
            request = self._generator.request()
            try:
                answer = await self._send(request)
            except OSError:  # the server hung up while we were sending: its right
                answer = b""
            self.sent += 1
            self._judge(request, answer)

    async def _send(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request)
            whole = _is_whole(request)
            return await asyncio.wait_for(_answer(reader), PATIENCE if whole else HURRY)
        except TimeoutError:
            if whole:
                self.odd.append((request, b"no answer"))
            return b""
        finally:
            writer.transport.abort()

    def _judge(self, request: bytes, answer: bytes) -> None:
        for status in map(int, _STATUS.findall(answer)):
            self.statuses[status] += 1
            if status >= 500:
                self.odd.append((request, answer))
        if b"Traceback" in answer or b"<html><title>" in answer:
            self.odd.append((request, answer))
        self._generator.seen.extend(found.decode() for found in _IDS.findall(answer)[:3])


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """One whole response; of a stream, what comes first."""
    head = await _until_blank_line(reader)
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    if length is None or not head:
        return head
    try:
        return head + await reader.readexactly(int(length[1]))
    except asyncio.IncompleteReadError as cut:  # the answer to HEAD, or of who hung up
        return head + cut.partial


async def _until_blank_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        return bytes(cut.partial)


def _is_whole(request: bytes) -> bool:
    """Whether a request is certain to be answered."""
    head, separator, body = request.partition(b"\r\n\r\n")
    lengths: list[Any] = re.findall(rb"\r\nContent-Length: (\d{1,7})\r\n", head + b"\r\n")
    plain = re.fullmatch(rb"(?:GET|POST|PATCH|DELETE) /[!-~]* HTTP/1\.1", head.partition(b"\r\n")[0])
    return bool(plain and separator and len(lengths) == 1 and int(lengths[0]) == len(body) and b"\n" not in
                head.replace(b"\r\n", b""))  # fmt: skip
