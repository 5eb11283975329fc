"""Metrics in the Prometheus text format. One registry a server; workers show the sums over all of them.

A worker writes its own to shared memory once a second, and reads those of the others there when it is asked. What a
worker has counted still counts after it has been replaced.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chatrooms.cluster.bus.base import SharedMemory, Worker
from chatrooms.log.log import Log
from chatrooms.replies.jobs import Replies
from chatrooms.rooms.ingest import Ingest
from chatrooms.rooms.rooms import Rooms
from chatrooms.streams.channels import Channels
from chatrooms.streams.hub import Hub

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# The same on each worker, not a part of a sum.
COMMON = frozenset({"chatrooms_log_head", "chatrooms_rooms", "chatrooms_events"})
ENDED = 0  # the slot of workers that have ended
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counts requests, and reads the rest off the server when it is asked."""

    def __init__(
        self, hub: Hub, log: Log, rooms: Rooms, channels: Channels, replies: Replies, ingest: Ingest | None,
        worker: Worker | None = None,
    ) -> None:  # fmt: skip
        self._worker = worker
        self._registry = CollectorRegistry()
        self._registry.register(_State(hub, log, rooms, channels, replies, ingest))
        self._requests = Counter(
            "chatrooms_requests", "HTTP requests answered", ["method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "chatrooms_request_seconds", "Time to answer, streams excepted", buckets=BUCKETS,
            registry=self._registry,
        )  # fmt: skip

    def answered(self, method: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        # Methods are the caller's choice: each new one would be a series forever.
        self._requests.labels(method if method in METHODS else "other", str(status)).inc()
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """All metrics, to be sent as CONTENT_TYPE."""
        return generate_latest(self._registry if self._worker is None else _All(self._registry, self._worker))

    def share(self) -> None:
        """Publishes the metrics of this worker to the others."""
        if self._worker is not None:
            self._worker.metrics.write(self._worker.number, msgspec.json.encode(_samples(self._registry.collect())))


class _Sample(msgspec.Struct, array_like=True):
    """One line of the metrics; `counts` says whether it outlives its worker."""

    family: str
    name: str
    labels: dict[str, str]
    value: float
    counts: bool

    def add(self, other: _Sample) -> None:
        if self.name.endswith("_created"):
            self.value = min(self.value, other.value)
        elif self.family in COMMON:
            self.value = max(self.value, other.value)
        else:
            self.value += other.value


class _All(Collector):
    """The metrics of all workers, of which this is one."""

    def __init__(self, own: CollectorRegistry, worker: Worker) -> None:
        self._own = own
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        families = list(self._own.collect())
        memory, others = self._worker.metrics, (ENDED, *self._worker.outboxes)
        samples = _sum([_samples(families), *(_read(memory, slot) for slot in others)])
        for family in families:
            summed = Metric(family.name, family.documentation, family.type)
            for sample in samples:
                if sample.family == family.name:
                    summed.add_sample(sample.name, sample.labels, sample.value)
            yield summed


def keep_counts(memory: SharedMemory, slot: int) -> None:
    """A worker has ended: adds what it has counted to the counts of those before it, and clears its slot."""
    counts = [[sample for sample in _read(memory, slot) if sample.counts], _read(memory, ENDED)]
    memory.write(ENDED, msgspec.json.encode(_sum(counts)))
    memory.write(slot, b"")


def _samples(families: Iterable[Metric]) -> list[_Sample]:
    return [
        _Sample(family.name, sample.name, dict(sample.labels), sample.value, family.type in ("counter", "histogram"))
        for family in families for sample in family.samples
    ]  # fmt: skip


def _read(memory: SharedMemory, slot: int) -> list[_Sample]:
    return msgspec.json.decode(memory.read(slot) or b"[]", type=list[_Sample])


def _sum(parts: Iterable[list[_Sample]]) -> list[_Sample]:
    """The samples of several workers as those of one, in the order of the first."""
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], _Sample] = {}
    for part in parts:
        for sample in part:
            key = (sample.name, tuple(sample.labels.items()))
            if key in sums:
                sums[key].add(sample)
            else:
                sums[key] = sample
    return list(sums.values())


class _State(Collector):
    """What the hub and the log know, read when scraped: counting costs the hot path nothing."""

    def __init__(
        self, hub: Hub, log: Log, rooms: Rooms, channels: Channels, replies: Replies, ingest: Ingest | None
    ) -> None:
        self._hub = hub
        self._log = log
        self._rooms = rooms
        self._channels = channels
        self._replies = replies
        self._ingest = ingest

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("chatrooms_streams", "Open streams", len(self._hub.streams))
        yield GaugeMetricFamily("chatrooms_topics", "Topics with readers", len(self._hub.counts()))
        yield GaugeMetricFamily("chatrooms_rooms", "Rooms with members", len(self._rooms.live()))
        yield GaugeMetricFamily("chatrooms_shared_connections", "Connections of several streams", self._channels.count)
        yield CounterMetricFamily("chatrooms_events", "Durable events published", self._hub.published)
        yield CounterMetricFamily("chatrooms_deliveries", "Frames written to live streams", self._hub.deliveries)
        yield GaugeMetricFamily("chatrooms_log_head", "Sequence number of the last event", self._log.head)
        replies = self._replies
        yield GaugeMetricFamily("chatrooms_replies_running", "AI replies begun and not ended", replies.running)
        yield GaugeMetricFamily("chatrooms_replies_waiting", "AI replies that wait for their turn", replies.waiting)
        yield GaugeMetricFamily("chatrooms_reply_readers", "Readers of running AI replies", replies.readers)
        ended = CounterMetricFamily("chatrooms_replies", "AI replies that have ended", labels=["state"])
        for state, count in replies.ended.items():
            ended.add_metric([state], count)
        yield ended
        yield CounterMetricFamily(
            "chatrooms_reply_tokens", "Tokens of AI replies, as told by the provider", replies.tokens
        )
        if self._ingest is not None:
            ingested = CounterMetricFamily("chatrooms_ingested", "Messages published over NATS", labels=["outcome"])
            for outcome, count in self._ingest.outcomes.items():
                ingested.add_metric([outcome], count)
            yield ingested
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily("chatrooms_cpu_seconds", "Processor time used", usage.ru_utime + usage.ru_stime)
