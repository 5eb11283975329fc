"""The log, its listeners and its readers against a model, by chance.

Appends, commands, repeated keys, erasures, tasks that change and end (which takes their events out of the log),
retention, listeners and commands that fail, connections to the database that are cut, nodes that stop in order
or at once, and start again; on PostgreSQL two nodes. Whatever happens: a number is given once, nothing that was
acknowledged is lost or there twice, and every listener and every reader gets every event once and in order,
but for what was removed before it could.

The suite does some rounds; CHATROOMS_TEST_LOG=600 goes on for so many seconds, and CHATROOMS_TEST_SEED chooses
others. The seed is printed when something is found.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from chatrooms.clock import now_ms
from chatrooms.cluster import Lease
from chatrooms.errors import ConfigError, Problem, Unavailable
from chatrooms.log import database_of
from chatrooms.log import log as logs
from chatrooms.log.database import Transaction
from chatrooms.log.event import CONTROL, Event, Position, event_id, parse_id
from chatrooms.log.group import Command
from chatrooms.log.log import ERASED, Log
from chatrooms.options import Options
from chatrooms.rooms.message import rewrite_message
from chatrooms.sse import Parser
from chatrooms.streams import catchup
from chatrooms.streams import topic as tails
from chatrooms.streams.encoding import NAMED
from chatrooms.streams.hub import Hub
from chatrooms.streams.resume import start_of
from chatrooms.streams.stream import Stream
from chatrooms.tasks.store import TaskStore
from chatrooms.tasks.task import COMPLETED, FAILED, RUNNING, Change

SECONDS = float(os.environ.get("CHATROOMS_TEST_LOG", "0"))
SEED = int(os.environ.get("CHATROOMS_TEST_SEED", "20250101"))
ROUNDS = 40  # of the suite
ROUNDS_TO_A_CHECK = 8
OPERATIONS = 40  # at the same time, at most
READERS = 3  # on each node
PATIENCE = 30.0  # seconds that anything awaited may take
ROOM = "room:a"

pytestmark = [pytest.mark.gen_test(timeout=SECONDS + 120), pytest.mark.every_engine]


class Known(NamedTuple):
    """An event that somebody has been told of."""

    data: bytes
    in_room: bool


class Model:
    """What must be so, of the numbers after `checked`: up to there all has been looked at."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.epoch = ""
        self.checked = 0
        self.known: dict[int, Known] = {}
        self.texts: dict[bytes, int] = {}
        self.keys: dict[str, bytes] = {}
        self.tasks: list[str] = []
        self.count = 0
        self.faults: list[str] = []

    def text(self) -> bytes:
        """Of a new message; no two have the same."""
        self.count += 1
        return b'{"text":%d}' % self.count

    def hold(self, holds: bool, sentence: str) -> None:
        """Notes what is wrong: it may be found where an exception would be taken for one of the tests' own."""
        if not holds:
            self.faults.append(sentence)

    def note(self, event: Event) -> None:
        """Somebody was told of an event, or that it was appended."""
        self.hold(event.seq > self.checked, f"{event.seq} was given again: {self.checked} had been reached")
        before = self.known.setdefault(event.seq, Known(event.data, ROOM in event.topics))
        self.hold(before.data == event.data, f"{event.seq} was given twice: {before.data!r}, {event.data!r}")
        if event.type == "room-message":
            first = self.texts.setdefault(event.data, event.seq)
            self.hold(first == event.seq, f"{event.data!r} is there twice: {first}, {event.seq}")

    def check(self, who: str, got: Sequence[int], after: int, present: set[int], room: bool) -> None:
        """Everything after a number that is there was got, once and in order."""
        self.hold(list(got) == sorted(set(got)), f"{who}: not in order, or not once")
        due = {seq for seq, known in self.known.items() if seq > after and (known.in_room or not room)}
        missing = (due & present) - set(got)
        self.hold(not missing, f"{who}: never got {sorted(missing)[:10]}")

    def forget(self, upto: int) -> None:
        self.checked = upto
        self.known.clear()
        self.texts.clear()


class Ear:
    """A listener: what it was told, in order; one that is `bad` fails now and then, when it has heard."""

    def __init__(self, model: Model, start: int, bad: bool = False) -> None:
        self._model = model
        self._bad = bad
        self.after = start
        self.got: list[int] = []

    def hear(self, event: Event) -> None:
        self._model.note(event)
        self.got.append(event.seq)
        if self._bad and self._model.random.random() < 0.2:
            raise ValueError("a listener of the test")


class Node:
    """One life of a node: its database, log, hub and tasks, and who listens."""

    def __init__(self, model: Model, url: str | None, folder: Path) -> None:
        self._model = model
        self.database = database_of(url, folder)
        self.hub = Hub(0, 0, 0, 0)
        self.log = Log(self.database, self._hear, on_health=self._fail_at_times, on_append=self._fail_at_times)
        options = Options({"max_tasks_per_user": 5}, {})
        self.tasks = TaskStore(self.database, self.log, Lease(), options)

    async def open(self) -> None:
        model, told = self._model, max([self._model.checked, *self._model.known])
        await self.database.open()
        await self.log.open()
        self.hub.start(self.log)
        head, model.epoch = self.log.head, model.epoch or self.log.epoch
        model.hold(head >= told, f"starts at {head}, before {told}, which had been told")
        self.ears = {name: Ear(model, head, bad) for name, bad in (("bad", True), ("good", False))}
        self.whole = Ear(model, head, True)
        for ear in self.ears.values():
            self.hub.listen(ROOM, ear.hear)

    async def close(self, at_once: bool) -> None:
        """Stops, in order or in the middle of whatever it does."""
        for stream in list(self.hub.streams):
            stream.close()
        self.hub.stop()
        if at_once and self.log._writer is not None:
            self.log._closing = True
            self.log._writer.cancel()
            await asyncio.wait([self.log._writer])
            for task in (self.log._looking, self.log._probe):
                if task is not None:
                    task.cancel()
            for job in self.log._waiting.take(1 << 30):
                job.future.cancel()
        else:
            await self.log.close()
        await self.database.close()

    def _hear(self, events: Sequence[Event]) -> None:
        self.hub.publish(events)
        for event in events:
            with suppress(ValueError):
                self.whole.hear(event)
        self._model.hold(self.log.head >= events[-1].seq, "the head stays behind")
        self._fail_at_times()

    def _fail_at_times(self, *_: object) -> None:
        if self._model.random.random() < 0.1:
            raise ValueError("a listener of the test")


class Reader:
    """Reads the room, over as many streams as it takes, from where it was."""

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self._reading: asyncio.Task[None] | None = None
        self.name = name
        self.position = ""
        self.after = 0
        self.last = 0
        self.got: list[int] = []

    async def read(self, node: Node) -> None:
        """Opens a stream, unless it has one."""
        if self._reading is not None and not self._reading.done():
            return
        with suppress(Unavailable):
            start = await start_of(node.log, node.hub, ROOM, self.position)
            if self.position and not start.recovered:
                known = parse_id(self.position)
                past = known is not None and known.epoch == node.log.epoch and known.seq < node.log.floor
                self._model.hold(past, f"{self.name}: nothing is known of {self.position}")
            if not self.position or not start.recovered:
                self.after = self.last = start.position
                self.got.clear()
            ours, theirs = _connected()
            stream = Stream(node.hub, theirs, node.hub.topic(ROOM), start.position)
            stream.user_id = stream.client_id = self.name
            first = NAMED.signal("system", {}, event_id(node.log.epoch, start.position))
            node.hub.open(stream, self, first)
            self._reading = asyncio.create_task(self._read(ours))

    def stream_ended(self, stream: Stream, hold: float) -> None:
        raise ValueError("a listener of the test")

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _read(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        parser = Parser()
        try:
            while chunk := await reader.read(1 << 16):
                for event in parser.feed(chunk):
                    self._take(event.type, event.last_event_id)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    def _take(self, type: str, id: str) -> None:
        position = parse_id(id)
        assert position is not None
        self._model.hold(position.epoch == self._model.epoch, f"{self.name}: another epoch, {id}")
        if type == "system":
            self._model.hold(position.seq >= self.last, f"{self.name}: went back to {id} from {self.last}")
        else:
            self._model.hold(position.seq > self.last, f"{self.name}: got {id} after {self.last}")
            self.got.append(position.seq)
        self.position, self.last = id, position.seq


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    for sock in (ours, theirs):
        sock.setblocking(False)
    return ours, theirs


def _refused(outcome: BaseException) -> bool:
    """Whether that is how an operation may end; the last is aiosqlite's word when the node has stopped meanwhile."""
    return isinstance(outcome, Problem | asyncio.CancelledError) or str(outcome) == "no active connection"


class World:
    """Nodes and readers, and what may be done to them."""

    def __init__(self, model: Model, url: str | None, folder: Path) -> None:
        self._model = model
        self._random = model.random
        self._url = url
        self._folder = folder
        self.nodes = [self._new() for _ in range(2 if url else 1)]
        self.readers = [[Reader(model, f"reader {n}.{k}") for k in range(READERS)] for n in range(len(self.nodes))]
        self._restarting: set[int] = set()
        self._operations: list[tuple[float, Callable[[], Awaitable[object]]]] = [
            (30, self.say), (15, self.say_once), (10, self.say_with_command), (8, self.break_down), (6, self.erase),
            (8, self.make_task), (25, self.change_task), (1, self.forget_tasks), (1, self.forget), (2, self.order),
            (0.7, self.restart), (0.7 if url else 0, self.cut),
        ]  # fmt: skip

    def _new(self) -> Node:
        return Node(self._model, self._url, self._folder)

    @property
    def node(self) -> Node:
        return self._random.choice(self.nodes)

    async def open(self) -> None:
        for node in self.nodes:
            await node.open()

    async def close(self) -> None:
        for readers in self.readers:
            for reader in readers:
                await reader.close()
        for node in self.nodes:
            await node.close(at_once=False)

    async def round(self) -> None:
        """Does many things at the same time, of which each may be refused."""
        for node, readers in zip(self.nodes, self.readers, strict=True):
            for reader in readers:
                await reader.read(node)
        weights, operations = zip(*self._operations, strict=True)
        chosen = self._random.choices(operations, weights, k=self._random.randint(1, OPERATIONS))
        done = await asyncio.wait_for(asyncio.gather(*(do() for do in chosen), return_exceptions=True), PATIENCE)
        for outcome in done:
            if isinstance(outcome, BaseException) and not _refused(outcome):
                raise outcome

    # What may be done

    async def _append(self, node: Node, events: Sequence[Event], command: Command | None = None) -> None:
        known = max([self._model.checked, *self._model.known])
        for done in await node.log.append(events, command):
            if done.repeated:
                self._model.hold(
                    done.event.data == self._model.keys.get(done.event.key or "", done.event.data), "a key of another"
                )
            else:
                self._model.note(done.event)
                self._model.hold(done.event.seq > known, f"{done.event.seq} was given after {known} had been told")
                self._model.hold(done.event.seq in node.whole.got, f"{done.event.seq} was answered before it was told")

    async def say(self) -> None:
        texts = [self._model.text() for _ in range(self._random.randint(1, 6))]
        await self._append(self.node, [Event("room-message", text, (ROOM,)) for text in texts])

    async def say_once(self) -> None:
        """Under a key that others may have used."""
        key, text = f"key-{self._random.randrange(200)}", self._model.text()
        await self._append(self.node, [Event("room-message", text, (ROOM,), key)])

    async def say_with_command(self) -> None:
        text = self._model.text()

        async def command(tx: Transaction) -> list[Event]:
            await tx.execute("insert into rooms (room_id, created_at) values ($1, 0)", text.decode())
            return [Event("room-message", text, (ROOM, "room:b"))]

        await self._append(self.node, [Event("room-message", self._model.text(), ("room:b",))], command)

    async def break_down(self) -> None:
        async def command(tx: Transaction) -> list[Event]:
            await tx.execute("insert into rooms (room_id, created_at) values ($1, 0)", self._model.text().decode())
            raise ValueError("a command of the test")

        with suppress(Unavailable):
            await self.node.log.append([Event("room-message", self._model.text(), (ROOM,))], command)
            self._model.hold(False, "a command that failed was taken")

    async def erase(self) -> None:
        """Takes the text of a message out of the log."""
        told = [seq for seq, known in self._model.known.items() if known.in_room]
        if not told:
            return
        seq = self._random.choice(told)

        async def command(tx: Transaction) -> list[Event]:
            await rewrite_message(tx, seq, ERASED, b"{}")
            return [Event("message-deleted", b'{"erased":%d}' % seq, (ROOM,), ref=seq)]

        await self._append(self.node, (), command)

    async def make_task(self) -> None:
        task_id = f"task-{self._random.randrange(10)}"
        self._model.tasks.append(task_id)
        await self.node.tasks.add(task_id, "ann", "work")

    async def change_task(self) -> None:
        ending = self._random.random() < 0.2
        state = self._random.choice((COMPLETED, FAILED)) if ending else RUNNING
        task_id = f"task-{self._random.randrange(10)}"
        await self.node.tasks.change(task_id, Change(state, None if ending else self._random.uniform(0, 100)))

    async def order(self) -> None:
        await self._append(self.node, [Event("order", self._model.text(), (CONTROL,))])

    async def forget_tasks(self) -> None:
        await self.node.tasks.forget(1 << 52)

    async def forget(self) -> None:
        """As retention does."""
        node = self.node
        if await node.log.forget(now_ms() - self._random.randrange(300)):
            node.hub.forget()

    async def restart(self) -> None:
        index = self._random.randrange(len(self.nodes))
        if index in self._restarting:
            return
        self._restarting.add(index)
        try:
            old = self.nodes[index]
            if self._random.random() < 0.5:
                await self._end_last_task(old)
            await old.close(at_once=self._random.random() < 0.5)
            self._look_at(f"node {index} when it stopped", old, None)
            self.nodes[index] = await self._try(self._started)
        finally:
            self._restarting.discard(index)

    async def _started(self) -> Node:
        """A new life; whoever starts a node tries again when its connection is cut meanwhile."""
        node = self._new()
        try:
            await node.open()
        except ConfigError as error:
            raise Unavailable("unavailable", str(error)) from error
        return node

    async def _end_last_task(self, node: Node) -> None:
        """Takes the last event out of the log."""
        task_id = f"task-{self._random.randrange(10, 1000)}"
        with suppress(Problem):
            await node.tasks.add(task_id, "ben", "work")
            await node.tasks.change(task_id, Change(COMPLETED))
            await node.tasks.forget(1 << 52)

    async def cut(self) -> None:
        """Ends all connections to the database."""
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'chatrooms' and datname = current_database()"
            )
        finally:
            await connection.close()

    # What must be so

    async def check(self) -> None:
        """When all is quiet, everybody has got what is theirs."""
        last = 0

        async def mark() -> None:
            nonlocal last
            text = self._model.text()
            last = (await self.nodes[0].log.append([Event("room-message", text, (ROOM,))]))[0].event.seq

        await self._try(mark)
        rows = await self._try(
            lambda: self.nodes[0].database.fetch(
                "select seq from events where seq > $1 and type <> 'erased'", self._model.checked
            )
        )
        present = {seq for (seq,) in rows}
        for index, node in enumerate(self.nodes):
            await self._reach(node, last)
            for reader in self.readers[index]:
                await self._caught_up(reader, node, last)
                self._model.check(reader.name, reader.got, reader.after, present, room=True)
                reader.after, reader.got = last, []
            self._look_at(f"node {index}", node, present)
            for ear in (node.whole, *node.ears.values()):
                ear.after, ear.got = last, []
        self._model.forget(last)

    def _look_at(self, name: str, node: Node, present: set[int] | None) -> None:
        model = self._model
        model.hold(node.log.epoch == model.epoch, f"{name}: a new epoch")
        got = present if present is not None else set(node.whole.got)
        model.check(f"{name}, the log's listener", node.whole.got, node.whole.after, got, room=False)
        for which, ear in node.ears.items():
            model.check(f"{name}, the {which} listener", ear.got, ear.after, got, room=True)

    async def _reach(self, node: Node, seq: int) -> None:
        async def reach() -> None:
            await node.log.reach(Position(self._model.epoch, seq))
            if node.log.head < seq:
                raise Unavailable("unavailable", "Not yet.")

        await self._try(reach)

    async def _caught_up(self, reader: Reader, node: Node, seq: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while reader.last < seq:
                await reader.read(node)
                await asyncio.sleep(0.001)

    async def _try(self, do: Callable[[], Awaitable[Any]]) -> Any:
        """Until the database takes it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await do()
                except Unavailable:
                    await asyncio.sleep(0.01)


async def test_log_is_as_its_model(
    database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every number once, every listener and reader each event once and in order."""
    caplog.set_level(logging.CRITICAL, "chatrooms")  # thousands of faults, each foreseen
    for module, name, value in (
        (logs, "MAX_GROUP", 16), (logs, "PAGE", 20), (logs, "LOOK", 0.05), (logs, "PROBE", 0.05),
        (tails, "TAIL_FRAMES", 30), (catchup, "RETRY", 0.02), (catchup, "PAGE_EVENTS", 10),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    model = Model(SEED)
    world = World(model, database_url, tmp_path)
    await world.open()
    rounds, end = 0, time.monotonic() + SECONDS
    try:
        while rounds < ROUNDS or time.monotonic() < end:
            rounds += 1
            await world.round()
            if rounds % ROUNDS_TO_A_CHECK == 0:
                await world.check()
            assert model.faults == []
        await world.close()
    except BaseException:
        print(f"seed {SEED}, round {rounds}")
        raise
    print(f"{rounds} rounds, {model.checked} numbers, seed {SEED}: no fault")
