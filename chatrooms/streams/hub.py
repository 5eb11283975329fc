"""The hub: hands committed events to their topics, and opens streams at a position."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

import msgspec

from chatrooms.errors import TooMany, Unavailable
from chatrooms.log.event import CONTROL, MAX_SEQ, PURGED, Event
from chatrooms.log.log import Log
from chatrooms.logs import described, notify
from chatrooms.streams.catchup import CatchUp
from chatrooms.streams.encoding import NAMED, Encoding
from chatrooms.streams.pulse import Pulse
from chatrooms.streams.stream import Stream
from chatrooms.streams.sweep import Readers, Sweep
from chatrooms.streams.topic import Reader, Sources, Tails, Topic

# Events that change the text of an earlier one: frames encoded before must not be sent again.
REWRITES = frozenset({"message-edited", "message-deleted"})

LONGEST_RETRY = 1.5  # seconds: the largest `retry:` sent when a stream opens
BROADCAST_BATCH = 200  # streams written to before the event loop gets its turn
RETRY_AFTER = 5.0  # seconds, for callers that find the server full

log = logging.getLogger(__name__)


class Owner(Protocol):
    """Learns when a stream has ended: a room, say."""

    def stream_ended(self, stream: Stream, hold: float) -> None:
        """The stream is closed; its reader is expected back within `hold` seconds."""


class Hub:
    """Topics and streams of this process. Needs a running event loop; `log` calls `publish`.

    `streams` maps each open stream to its owner; `draining` means that all should go elsewhere.
    """

    def __init__(self, heartbeat: float, write_timeout: float, max_streams: int, max_streams_per_user: int) -> None:
        self.heartbeat = heartbeat
        self.write_timeout = write_timeout
        self._max_streams = max_streams
        self._max_streams_per_user = max_streams_per_user
        self._topics: dict[str, Topic] = {}
        self._readers: dict[Topic, Readers] = {}  # a topic goes with its last stream
        self._sources = Sources()
        self._tails = Tails()
        self._listeners: dict[str, list[Callable[[Event], None]]] = {}
        self._by_user: dict[str, dict[Stream, None]] = {}
        self._by_client: dict[tuple[str, str, str], Stream] = {}
        self.streams: dict[Stream, Owner | None] = {}
        self.published = 0
        self.draining = False
        self._pulse = Pulse(heartbeat, write_timeout, _warn_expiring, _end_expired)
        self.listen(CONTROL, self._apply)

    def start(self, log: Log) -> None:
        """Starts the pulse, and reads from the log."""
        self._log = log
        self._sweep = Sweep(self._readers, self._fall_behind)
        self._catchup = CatchUp(log, self.frame, self._sweep.serve)
        self._pulse.start()

    def stop(self) -> None:
        self._pulse.stop()

    @property
    def deliveries(self) -> int:
        """Frames handed to live streams since the start."""
        return self._sweep.deliveries

    # Publishing

    def publish(self, events: Sequence[Event]) -> None:
        """Takes just committed events, in log order, to the topics that have readers."""
        self.published += len(events)
        for event in events:
            for name in event.topics:
                for listener in self._listeners.get(name, ()):
                    notify(listener, event)
            frames: dict[Encoding, bytes] = {}
            for topic in self._readers_of(event):
                if event.type in REWRITES:
                    topic.forget()
                encoding = topic.encoding
                frame = frames[encoding] = frames.get(encoding) or self.frame(event, encoding)
                self.append(topic, frame, event.seq, event.type in encoding.ends)

    def append(self, topic: Topic, frame: bytes, position: int, final: bool = False) -> None:
        """Appends a durable frame to a topic; nothing follows a `final` one."""
        topic.append(frame, position, final)
        self._tails.note(topic)
        self._sweep.mark(topic)

    def _readers_of(self, event: Event) -> Iterable[Topic]:
        """The topics that take an event, each once, however many of its names they match."""
        found: dict[Topic, None] = {}
        for name in event.topics:
            topic = self._topics.get(name)
            if topic is not None:
                found[topic] = None
            for merged in self._sources.of(name):
                if not merged.held:
                    found[merged] = None
        return found

    def listen(self, name: str, listener: Callable[[Event], None]) -> None:
        """Calls `listener` with each event of a topic, in log order and without an await."""
        self._listeners.setdefault(name, []).append(listener)

    def unlisten(self, name: str, listener: Callable[[Event], None]) -> None:
        """Undoes `listen`."""
        # A new list: a listener may call this while it is called.
        left = [other for other in self._listeners.get(name, ()) if other != listener]
        if left:
            self._listeners[name] = left
        else:
            self._listeners.pop(name, None)

    def send_ephemeral(self, name: str, frame: bytes) -> None:
        """Sends an ephemeral frame to the open streams of a topic."""
        topic = self._topics.get(name)
        if topic is not None:
            topic.append_ephemeral(frame)
            self._tails.note(topic)
            self._sweep.mark(topic)

    def frame(self, event: Event, encoding: Encoding) -> bytes:
        """The bytes of a durable event, shared by all readers of that encoding.

        Empty if it cannot be encoded: it is skipped, or no reader would ever get past it.
        """
        try:
            return encoding.event(event, encoding.id(self._log.epoch, event.seq))
        except Exception as error:
            log.error("event %d (%s) cannot be encoded: %s", event.seq, event.type, described(error))
            return b""

    def broadcast(self, name: str, data: Mapping[str, object]) -> None:
        """Sends every open stream an event that is not kept, a batch at a time."""
        self._broadcast_batch(name, data, iter(list(self.streams)))

    def _broadcast_batch(self, name: str, data: Mapping[str, object], streams: Iterator[Stream]) -> None:
        some = list(islice(streams, BROADCAST_BATCH))
        frames: dict[Encoding, bytes] = {}
        for stream in some:
            encoding = stream.topic.encoding
            frame = frames[encoding] = frames.get(encoding) or encoding.signal(name, data)
            notify(stream.write, frame)
        if some:
            asyncio.get_running_loop().call_soon(self._broadcast_batch, name, data, streams)

    def forget(self) -> None:
        """Drops all tails: the log has lost events or text."""
        for topic in self._topics.values():
            topic.forget()

    def _apply(self, event: Event) -> None:
        """Drops what is about to leave the log: no later event is that old, so it stays dropped."""
        if event.type == PURGED:
            until = msgspec.json.decode(event.data)["until"]
            for topic in self._topics.values():
                if topic.in_log:
                    topic.forget_until(until)

    # Streams

    def check_draining(self) -> None:
        """Raises Unavailable when this process is stopping."""
        if self.draining:
            raise Unavailable("draining", "The server is stopping.", RETRY_AFTER)

    def check_room_for(self, user_id: str) -> None:
        """Raises Unavailable `draining` or `full`, TooMany `too-many-streams`, if one more does not fit."""
        self.check_draining()
        if self._max_streams and len(self.streams) >= self._max_streams:
            raise Unavailable("full", "The server is full.", RETRY_AFTER)
        if self._max_streams_per_user and len(self._by_user.get(user_id, ())) >= self._max_streams_per_user:
            raise TooMany("too-many-streams", "This user has too many open streams.", RETRY_AFTER)

    def topic(self, name: str, encoding: Encoding = NAMED, read: Reader | None = None) -> Topic:
        """The topic of that name; without readers, its tail begins now. `read` reads what lies before the tail."""
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, self._log.head, encoding, read)
        return topic

    def add(self, topic: Topic) -> Topic:
        """Adds a topic that is not in the log; returns the existing one of its name if that has readers."""
        return self._topics.setdefault(topic.name, topic)

    def merged(self, name: str, encoding: Encoding, read: Reader) -> Topic:
        """The merged topic of that name; a new one is held until its sources are known."""
        return self.add(Topic(name, MAX_SEQ, encoding, read))

    def add_source(self, topic: Topic, name: str) -> None:
        """Adds a source to a merged topic, which takes its events from now on."""
        self._sources.add(topic, name)

    def remove_source(self, topic: Topic, name: str) -> None:
        """Removes a source from a merged topic; what waits in the tail is read from the log again."""
        self._sources.remove(topic, name)
        if not topic.held:
            topic.forget()

    def release(self, topic: Topic, sources: set[str]) -> None:
        """Lets a merged topic that was held go on with these sources, and its streams from where they are."""
        self._sources.replace(topic, sources)
        topic.release(self._log.head)
        for stream in self.readers(topic.name):
            if not stream.stalled_at:
                self.resume(stream)

    def find_topic(self, name: str) -> Topic | None:
        """The topic of that name, if it has readers."""
        return self._topics.get(name)

    def open(self, stream: Stream, owner: Owner | None, first: bytes) -> None:
        """Starts a stream: `first` (the head and the first event), then all after its position."""
        self.streams[stream] = owner
        self._by_user.setdefault(stream.user_id, {})[stream] = None
        self._by_client[stream.topic.name, stream.user_id, stream.client_id] = stream
        self._readers.setdefault(stream.topic, Readers()).streams[stream] = None
        try:
            stream.start()
        except OSError:  # the peer is gone already
            stream.close()
        stream.write(first)
        if stream.open:
            self._pulse.add(stream)
            if not stream.stalled_at:
                self.resume(stream)

    def streams_of(self, user_id: str) -> Iterator[Stream]:
        """The open streams of a user."""
        return iter(list(self._by_user.get(user_id, ())))

    def readers(self, topic: str) -> list[Stream]:
        """The open streams of a topic."""
        found = self._topics.get(topic)
        return list(self._readers[found].streams) if found in self._readers else []

    def counts(self) -> dict[str, int]:
        """How many streams each topic has."""
        return {topic.name: len(readers.streams) for topic, readers in self._readers.items()}

    def stream_of(self, topic: str, user_id: str, client_id: str) -> Stream | None:
        """The open stream of a user's client on a topic; there is at most one."""
        return self._by_client.get((topic, user_id, client_id))

    def extend(self, stream: Stream, expires_at: float) -> None:
        """Lets a stream live on until then (seconds since 1970), unless it outlives its token anyway."""
        if stream.expires_at:
            stream.expires_at = expires_at
            stream.warned = False
            self._pulse.schedule(stream, extended=True)

    # Called by streams, as their keeper

    def resume(self, stream: Stream) -> None:
        try:
            if stream.cursor >= stream.topic.valid:
                self._sweep.serve(stream)
            elif stream.topic.covers(stream.position):
                self._catchup.join(stream)
            else:
                self._fall_behind(stream)
        except Exception as error:
            stream.fail(error)

    def stalled(self, stream: Stream) -> None:
        self._pulse.stalled(stream)

    def ended(self, stream: Stream, hold: float) -> None:
        owner = self.streams.pop(stream)
        self._pulse.remove(stream)
        topic = stream.topic
        readers = self._readers[topic].streams
        del readers[stream]
        if not readers:
            del self._readers[topic]
            self._topics.pop(topic.name, None)
            self._tails.remove(topic)
            self._sources.replace(topic, set())
        mine = self._by_user[stream.user_id]
        del mine[stream]
        if not mine:
            del self._by_user[stream.user_id]
        key = (topic.name, stream.user_id, stream.client_id)
        if self._by_client.get(key) is stream:
            del self._by_client[key]
        if owner is not None:
            notify(owner.stream_ended, stream, hold)

    def _fall_behind(self, stream: Stream) -> None:
        if stream.cursor >= 0:
            stream.ephemeral_count = -1  # it lost its place among the ephemerals: it gets a snapshot instead
        self._catchup.add(stream)


def closing(reason: str, reconnect: bool, id: str | None = None, retry: int | None = None) -> bytes:
    """The last event of a stream whose events are named. `retry` in milliseconds."""
    return NAMED.signal("closing", {"reason": reason, "reconnect": reconnect}, id, retry)


def _warn_expiring(stream: Stream) -> None:
    stream.write(stream.topic.encoding.signal("token-expiring", {"expiresAt": int(stream.expires_at * 1000)}))


def _end_expired(stream: Stream) -> None:
    stream.end("token-expired", True, LONGEST_RETRY)
