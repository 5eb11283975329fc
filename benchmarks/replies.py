"""AI replies: what the server adds to the first token, and whether many at once keep up.

    python benchmarks/replies.py [--replies 100] [--rate 50] [--seconds 10]

A model server in this process writes a token with its own time in it at a fixed rate; a reader in this
process takes each token and the time when it came. The chat server runs as a process of its own on
one core, the other things on another where there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.server_process import ServerProcess, token
from chatrooms.client import Client

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Writes tokens `<seconds>` at the rate and for the time that the model's name says: `50x10`."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    rate, seconds = map(float, json.loads(await reader.readexactly(length))["model"].split("x"))
    writer.write(HEAD)
    start = time.perf_counter() + random.random() / rate  # or all would write at the same moments
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        text = f"{time.perf_counter():.6f} "
        data = b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % text.encode()
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
    writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
    await writer.drain()
    writer.close()


async def read(url: str, model: str, user: str) -> list[float]:
    """Asks once; returns the seconds that each token took from the model server to here."""
    taken = []
    async with Client(url, token(user)) as client:
        async for text in client.reply("go", model=model):
            now = time.perf_counter()
            taken += [now - float(sent) for sent in text.split()]
    return taken


async def measure(options: argparse.Namespace) -> None:
    upstream = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}/v1"
    limits = ("--ai-replies", "0", "--ai-replies-per-user", "0")
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder), "--ai", "openai", "--ai-base-url", address, *limits)
        with server:
            pin(server.pid)
            await read(server.url, "50x0.2", "warm")
            firsts = [(await read(server.url, "50x0.06", "one"))[0] for _ in range(50)]
            print(f"first token, one reply at a time: {shown(firsts)}")
            model = f"{options.rate}x{options.seconds}"
            before, start = cpu(server.pid), time.perf_counter()
            own = time.process_time()
            asked = [read(server.url, model, f"user{n}") for n in range(options.replies)]
            taken = await asyncio.gather(*asked)
            used, took = cpu(server.pid) - before, time.perf_counter() - start
            late = [token for reply in taken for token in reply[-options.rate :]]
            print(
                f"{options.replies} replies at {options.rate} tokens/s each for {options.seconds} s, took {took:.1f} s:"
            )
            print(f"  {sum(map(len, taken))} tokens, all: {shown([t for reply in taken for t in reply])}")
            print(f"  those of the last second: {shown(late)}")
            print(f"  processor of this process: {time.process_time() - own:.1f} s")
            print(f"  processor of the server: {used:.1f} s, {100 * used / took:.0f} % of a core")
    upstream.close()


def shown(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 for part in (0.5, 0.99, 1)]
    return "median {:.1f} ms, p99 {:.1f} ms, most {:.1f} ms".format(*at)


def pin(pid: int) -> None:
    """Gives the server one core, and the rest to this process."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, cores[:1])
        os.sched_setaffinity(0, cores[1:])


def cpu(pid: int) -> float:
    """Processor seconds used by a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measures AI replies.")
    parser.add_argument("--replies", type=int, default=100)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=10)
    asyncio.run(measure(parser.parse_args()))
