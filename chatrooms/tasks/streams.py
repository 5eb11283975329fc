"""The streams of tasks: the present state at once, then each change, and the end after the last."""

from __future__ import annotations

import random
import socket

from chatrooms import sse
from chatrooms.core.hub import LONGEST_RETRY, Hub
from chatrooms.core.stream import Stream
from chatrooms.event import event_id
from chatrooms.identity.tokens import Identity
from chatrooms.storage.log import Log
from chatrooms.tasks.encoding import TASK
from chatrooms.tasks.task import Task, topic_of

RETRY_MS = (500, int(LONGEST_RETRY * 1000))  # reconnection time told to clients, at random between


class TaskStreams:
    """Opens streams of tasks, and is their owner."""

    def __init__(self, hub: Hub, log: Log) -> None:
        self._hub = hub
        hub.encode_as("task", TASK)
        self._log = log

    def first(self, task: Task, position: int) -> bytes:
        """The event that tells the present state; `position` is that of the event which told it first."""
        id = event_id(self._log.epoch, position)
        return sse.encode(task.data(), task.event, id, None if task.ended else random.randint(*RETRY_MS))

    def open(self, sock: socket.socket, who: Identity, task: Task, position: int, head: bytes) -> None:
        """Makes a socket a stream of a task that has not ended: writes its state, then what follows."""
        topic = self._hub.topic(topic_of(task.task_id))
        stream = Stream(self._hub, sock, topic, position)
        stream.user_id, stream.session, stream.expires_at = who.user_id, who.session, who.expires_at
        stream.trusted = who.trusted
        self._hub.open(stream, self, head + self.first(task, position))

    def stream_ended(self, stream: Stream, hold: float) -> None:
        """Nobody is told."""
