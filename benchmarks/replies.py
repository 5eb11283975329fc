"""AI replies: what the server adds to the first token, whether many at once keep up, and what a reply's readers cost.

    python benchmarks/replies.py [--replies 100] [--rate 50] [--seconds 10]
    python benchmarks/replies.py --readers 0,1,100,1000 [--runs 3] [--tree ../other] [--seconds 10]

A model server in this process writes timestamped tokens at a fixed rate; a reader in this process
records when each token arrives. The chat server runs as a separate process on one core, everything
else on another if there is one.

With `--readers` that many read one reply at once, over plain sockets of another process; `0` shows what the
reply itself costs. `--tree` names another checkout whose server takes turns with this one's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import select
import socket
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.server_process import ROOT, ServerProcess, token
from chatrooms.client import Client

RATES = {1: 50, 100: 50, 1000: 10}  # tokens per second, by readers: within what one core can do
WATCHED = 10  # readers whose tokens are timed

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Writes tokens `<seconds>` at the rate and for the time given by the model's name, as in `50x10`."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    rate, seconds = map(float, json.loads(await reader.readexactly(length))["model"].split("x"))
    writer.write(HEAD)
    start = time.perf_counter() + random.random() / rate  # otherwise all would write at the same moments
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


async def compare(options: argparse.Namespace) -> None:
    """Several runs; the servers take turns, and a different one starts each run."""
    trees = [ROOT, *([options.tree.resolve()] if options.tree else [])]
    shares: dict[tuple[int, Path], list[float]] = {}
    for run in range(options.runs):
        for readers in map(int, options.readers.split(",")):
            for tree in trees[:: 1 if run % 2 else -1]:
                used, late = await watch(tree, readers, RATES.get(readers, options.rate), options.seconds)
                tokens = RATES.get(readers, options.rate) * options.seconds
                shares.setdefault((readers, tree), []).append(share := used / tokens / max(1, readers) * 1e6)
                print(
                    f"{tree.name}: {readers} readers: {used:.3f} s, {share:.1f} µs a token and reader; {late}",
                    flush=True,
                )
    for (readers, tree), all_of in shares.items():
        print(
            f"{readers} readers, {tree.name}: median {statistics.median(all_of):.1f} µs of {sorted(map(round, all_of))}"
        )


async def watch(tree: Path, readers: int, rate: int, seconds: int) -> tuple[float, str]:
    """One reply with that many readers: the processor seconds that the server used while it was written."""
    go = asyncio.Event()

    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await serve(reader, writer)

    upstream = await asyncio.start_server(held, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}/v1"
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        limits = ("--max-streams", "0", "--max-streams-per-user", "0", "--stream-rate", "0")
        server = ServerProcess(Path(folder), "--ai", "openai", "--ai-base-url", address, *limits)
        server.script = str(tree / "run.py")
        with server:
            pin(server.pid)
            model = f"{rate}x{seconds}"
            process = multiprocessing.get_context("spawn").Process(
                target=read_all, args=(theirs, server.port, model, readers)
            )
            process.start()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, ours.recv)
            before = cpu(server.pid)
            go.set()
            late: list[float] = await loop.run_in_executor(None, ours.recv)
            used = cpu(server.pid) - before
            process.join()
            assert not server.tracebacks(), server.tracebacks()
    upstream.close()
    return used, shown(late) if late else ""


def read_all(pipe: Connection, port: int, model: str, readers: int) -> None:
    """Asks once, reads the reply on that many sockets; reports when all are connected and how late tokens came."""
    body = json.dumps({"message": "go", "model": model}).encode()
    first = ask(port, f"POST /api/chat/stream HTTP/1.1\r\nContent-Length: {len(body)}\r\n", body)
    reply = re.search(rb"X-Message-Id: (\S+)", first.recv(4096))[1].decode()  # type: ignore[index]
    sockets = [first] + [ask(port, f"GET /api/chat/stream/{reply} HTTP/1.1\r\n", b"") for _ in range(readers - 1)]
    for sock in sockets[1:]:
        sock.recv(4096)
    time.sleep(1)
    pipe.send(None)
    late: list[float] = []
    if not readers:
        first.close()
        time.sleep(float(model.split("x")[1]) + 1)
        pipe.send(late)
        return
    poll, by_number = select.epoll(), {sock.fileno(): (n, sock) for n, sock in enumerate(sockets)}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    while by_number:
        for number, _ in poll.poll():
            place, sock = by_number[number]
            data = sock.recv(1 << 16)
            if place % max(1, readers // WATCHED) == 0:
                now = time.perf_counter()
                late += [now - float(sent) for sent in re.findall(rb'"text":"([0-9.]+) ', data)]
            if b"[DONE]" in data[-40:] or not data:
                poll.unregister(number)
                del by_number[number]
    pipe.send(late)


def ask(port: int, head: str, body: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(f"{head}Host: localhost\r\nAuthorization: Bearer {token('one')}\r\n\r\n".encode() + body)
    return sock


def shown(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 for part in (0.5, 0.99, 1)]
    return "median {:.1f} ms, p99 {:.1f} ms, most {:.1f} ms".format(*at)


def pin(pid: int) -> None:
    """Gives one core to the server and the rest to this process."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, cores[:1])
        os.sched_setaffinity(0, cores[1:])


def cpu(pid: int) -> float:
    """Processor seconds used by all threads of a process so far."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measures AI replies.")
    parser.add_argument("--replies", type=int, default=100)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--readers", help="of one reply: numbers, separated by commas")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tree", type=Path, help="another checkout, to compare with")
    options = parser.parse_args()
    asyncio.run(compare(options) if options.readers else measure(options))
