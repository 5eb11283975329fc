"""The supervisor of `serve --workers N`: starts processes that share a port, replaces those that end, stops them all.

It holds the data folder and the port. Each worker listens by itself once it is ready, so that while one is being
replaced, the kernel gives connections to the others. The supervisor never serves or opens the database: the first
worker does what is done once, such as migrations, and the others start when it is ready. It is plain blocking code,
safe to fork.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from chatrooms.cluster.bus.base import COUNTS_SIZE, METRICS_SIZE, SharedMemory, Worker, node_name, pair
from chatrooms.datadir import Folder
from chatrooms.errors import ConfigError
from chatrooms.http.front import listen
from chatrooms.options import Options
from chatrooms.server.metrics import keep_counts

READY = b"ready"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
STEADY = 1.0  # seconds for which a worker must have been ready, or it has ended at its start
FAILED_STARTS = 5  # in a row, after which the supervisor gives up
BACKOFF = 0.25  # seconds before a worker that ended at its start is replaced; doubled each time
STOP_MARGIN = 20.0  # seconds beyond the drain time after which a worker is killed
REMEMBERED = 64  # names of ended workers that a new one is told

log = logging.getLogger(__name__)


@dataclass
class _Process:
    """A running worker, from outside; `ready_at` is 0 until it serves."""

    pid: int
    name: str
    control: socket.socket
    ready_at: float = 0.0


class Supervisor:
    """Starts the workers and watches over them. Raises ConfigError; StartFailure when the port is taken."""

    def __init__(self, options: Options) -> None:
        if not sys.platform.startswith("linux"):
            raise ConfigError("--workers: only on Linux can several processes share a port")
        self._options = options
        self._folder = Folder(Path(options.data_dir), needed=not options.database_url)
        numbers = range(1, options.workers + 1)
        self._port, self._reserved = _reserve(options.address, options.port)
        self._bus = {number: pair() for number in numbers}
        self._metrics = SharedMemory(options.workers + 1, METRICS_SIZE)
        self._counts = SharedMemory(options.workers + 1, COUNTS_SIZE)
        self._processes: dict[int, _Process] = {}
        self._due = {1: 0.0}  # workers to start, and when
        self._gone: deque[str] = deque(maxlen=REMEMBERED)
        self._failures = 0
        self._serving = False
        self._stopping = False
        self._kill_at = 0.0
        self._status = 0

    def run(self) -> Worker | int:
        """Returns the exit status when all workers have ended; in each worker it returns what makes it one."""
        self._wake, wakeup = pair()
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)  # the wake-up tells
        while self._processes or not self._stopping:
            worker = self._start_due()
            if worker is not None:
                wakeup.close()
                return worker
            self._wait()
        if self._serving:
            log.info("stopped")
        return self._status

    def _start_due(self) -> Worker | None:
        """Starts the workers whose time has come. Not None: this process is one of them."""
        for number, at in list(self._due.items()):
            if at <= time.monotonic() and not self._stopping:
                del self._due[number]
                with _signals_held():
                    worker = self._start(number)
                if worker is not None:
                    return worker
        return None

    def _start(self, number: int) -> Worker | None:
        name, (ours, theirs) = node_name(number), pair()
        alone = not self._processes
        pid = os.fork()
        if not pid:
            ours.close()
            return self._become(number, name, alone, theirs)
        theirs.close()
        self._processes[number] = _Process(pid, name, ours)
        return None

    def _become(self, number: int, name: str, alone: bool, control: socket.socket) -> Worker:
        """In the new process: closes what belongs to the supervisor and to other workers."""
        signal.set_wakeup_fd(-1)
        for sign in SIGNALS:
            signal.signal(sign, signal.default_int_handler if sign == signal.SIGINT else signal.SIG_DFL)
        inboxes = [inbox for n, (inbox, _) in self._bus.items() if n != number]
        for sock in (self._wake, *self._reserved, *inboxes, *(process.control for process in self._processes.values())):
            sock.close()
        outboxes = {n: outbox for n, (_, outbox) in self._bus.items() if n != number}
        inbox = self._bus[number][0]
        memory = (self._metrics, self._counts)
        return Worker(number, name, alone, tuple(self._gone), self._port, control, inbox, outboxes, *memory)

    def _wait(self) -> None:
        """Waits for a signal, for news of a worker, or until one is to be started or killed."""
        controls = {process.control.fileno(): process for process in self._processes.values() if not process.ready_at}
        at = [self._kill_at] if self._stopping else list(self._due.values())
        timeout = max(0.0, min(at) - time.monotonic()) if at else None
        poll = select.poll()
        for descriptor in (self._wake.fileno(), *controls):
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(None if timeout is None else timeout * 1000 + 1):
            if descriptor in controls:
                self._hear(controls[descriptor])
        self._take_signals()
        self._reap()
        if self._stopping and time.monotonic() > self._kill_at:
            self._signal(signal.SIGKILL)

    def _hear(self, process: _Process) -> None:
        """A worker serves: the first one, so the others may start; the last one, so all do."""
        try:
            if not process.control.recv(len(READY)):
                return
        except ConnectionResetError:  # it has ended: its signal follows
            return
        process.ready_at = time.monotonic()
        if self._serving:
            return
        for number in self._bus.keys() - self._processes.keys():
            self._due.setdefault(number, 0.0)
        if not self._due and all(process.ready_at for process in self._processes.values()):
            self._serving = True
            url = self._options.url(self._port)
            log.info("serving %s (process %d, %d workers)", url, os.getpid(), self._options.workers)

    def _take_signals(self) -> None:
        with suppress(BlockingIOError):
            while numbers := self._wake.recv(1):
                if numbers[0] != signal.SIGCHLD:
                    self._stop(0)

    def _reap(self) -> None:
        for number, process in list(self._processes.items()):
            pid, status = os.waitpid(process.pid, os.WNOHANG)
            if pid:
                del self._processes[number]
                process.control.close()
                keep_counts(self._metrics, number)
                self._counts.write(number, b"{}")
                self._ended(number, process, os.waitstatus_to_exitcode(status))

    def _ended(self, number: int, process: _Process, status: int) -> None:
        """Replaces a worker, unless all are to stop, or it never served."""
        if self._stopping:
            stopped_early = status == -signal.SIGTERM and not process.ready_at
            self._status = self._status or int(status != 0 and not stopped_early)
            return
        if not self._serving and status >= 0:  # it has told why
            return self._stop(status)
        early = not process.ready_at or time.monotonic() - process.ready_at < STEADY
        self._failures = self._failures + 1 if early else 0
        if self._failures >= FAILED_STARTS:
            log.error("%d workers in a row have ended at their start: giving up", self._failures)
            return self._stop(1)
        log.warning("worker %d (process %d) has ended %s and is replaced", number, process.pid, _described(status))
        self._due[number] = time.monotonic() + (BACKOFF * 2.0**self._failures if early else 0.0)
        self._gone.append(process.name)
        for other in self._processes.values():
            with suppress(OSError):  # it has ended, too
                other.control.send(process.name.encode())

    def _stop(self, status: int) -> None:
        """Ends all workers; nobody can connect from here on."""
        if self._stopping:
            return
        self._stopping, self._status = True, status
        self._kill_at = time.monotonic() + self._options.drain + STOP_MARGIN
        for sock in self._reserved:
            sock.close()
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            os.kill(process.pid, number)  # not reaped yet: the number is still its own


def _reserve(address: str, port: int) -> tuple[int, list[socket.socket]]:
    """Checks that nobody serves a port, which workers could share without notice, and keeps it for them."""
    reserved = []
    for listening in listen(address, port):
        place = listening.getsockname()
        listening.close()
        sock = socket.socket(listening.family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
        reserved.append(sock)
    return reserved[0].getsockname()[1], reserved


@contextmanager
def _signals_held() -> Iterator[None]:
    """A new process must not take signals with the handlers of its parent."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _described(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
