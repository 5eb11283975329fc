"""What one reader that never reads costs a thousand others: `python -m benchmarks.stalled`.

The same load twice, without it and with it: the others' latency, and the server's memory.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.server_process import ServerProcess, token
from chatrooms.client import Client

READERS = 1_000
TIMED = 100  # readers whose deliveries are timed
RATE = 40  # messages per second
SECONDS = 15
MARK = b"sent@"


class Timed(asyncio.Protocol):
    """A reader that records the age of each message on arrival, in seconds."""

    def __init__(self, request: bytes, ages: list[float] | None) -> None:
        self._request = request
        self._ages = ages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._ages is not None:
            now = time.monotonic()
            self._ages += [now - float(rest[:20]) for rest in data.split(MARK)[1:] if len(rest) >= 20]


async def measure(folder: Path, with_stalled: bool) -> tuple[float, float, int]:
    """The median and the 99th percentile in milliseconds, and the server's peak memory in bytes."""
    options = ("--message-rate", "0", "--max-streams-per-user", "0", "--write-timeout", "5")
    with ServerProcess(folder, *options) as server:
        ages: list[float] = []
        for n in range(READERS):
            reader = Timed(request("crowd", n), ages if n % (READERS // TIMED) == 0 else None)
            await asyncio.get_running_loop().create_connection(lambda r=reader: r, "127.0.0.1", server.port)  # type: ignore[misc]
        with socket.socket() as stalled:
            if with_stalled:
                stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                stalled.connect(("127.0.0.1", server.port))
                stalled.sendall(request("stalled", 0))
            async with Client(server.url, token("writer")) as client:
                await _post(client)
        ages.sort()
        return ages[len(ages) // 2] * 1000, ages[len(ages) * 99 // 100] * 1000, server.memory("VmHWM")


def request(user: str, number: int) -> bytes:
    """The request that opens the room's stream as one of a user's clients."""
    query = {"roomId": "lobby", "username": user, "clientId": f"c{number}", "token": token(user)}
    return f"GET /events?{urlencode(query)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def _post(client: Client) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for n in range(RATE * SECONDS):
        await asyncio.sleep(begin + n / RATE - loop.time())
        # Padded, so that a second's messages fill a reader's buffers.
        await client.send("lobby", f"{MARK.decode()}{time.monotonic():020.9f} ".ljust(2000, "."))


async def main() -> None:
    print("| stalled readers | p50 ms | p99 ms | memory MiB |\n|---|---|---|---|")
    for with_stalled in (False, True, False, True):
        with tempfile.TemporaryDirectory() as folder:
            p50, p99, memory = await measure(Path(folder), with_stalled)
        print(f"| {int(with_stalled)} | {p50:.1f} | {p99:.1f} | {memory / (1 << 20):.1f} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
