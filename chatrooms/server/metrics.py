"""Metrics in the Prometheus text format. One registry a server."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chatrooms.log.log import Log
from chatrooms.replies.jobs import Replies
from chatrooms.rooms.ingest import Ingest
from chatrooms.rooms.rooms import Rooms
from chatrooms.streams.channels import Channels
from chatrooms.streams.hub import Hub

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counts requests, and reads the rest off the server when it is asked."""

    def __init__(
        self, hub: Hub, log: Log, rooms: Rooms, channels: Channels, replies: Replies, ingest: Ingest | None
    ) -> None:
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
        return generate_latest(self._registry)


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
