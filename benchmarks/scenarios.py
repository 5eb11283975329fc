"""What is measured: the loads, and which figures of each are shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from benchmarks.load import Load

QUICK_PART = 4  # --quick divides the number of messages by this
ALL = ("chatrooms", "nchan", "tornado", "limit", "floor")
BATCH = 100


@dataclass(frozen=True)
class Row:
    """A line of the report: a figure, and how it is shown."""

    figure: str
    label: str
    shown: str = "{:,.0f}"
    variant: str = ""


@dataclass(frozen=True)
class Scenario:
    """A load, or several variants of it, put on several servers."""

    name: str
    title: str
    variants: dict[str, Load]
    rows: tuple[Row, ...]
    servers: tuple[str, ...] = ("chatrooms",)
    messages: dict[str, int] = field(default_factory=dict)  # for servers that would take minutes for the load's own
    options: tuple[str, ...] = ()  # of chatrooms
    cycles: int = 1
    runs: int = 100  # at most
    all_cores: bool = False  # for the server, which shares the last with the load

    def load_for(self, server: str, variant: str, quick: bool) -> Load:
        """The load of one measurement; a slow server gets fewer messages, which does not change its rates."""
        load = self.variants[variant]
        messages = self.messages.get(server, load.messages)
        return replace(load, messages=max(messages // QUICK_PART, 16) if quick else messages)


RATE = Row("deliveries_per_s", "deliveries/s")
STALL = Load(streams=1000, messages=250, publishers=4, rate=50, pad=8000)

SCENARIOS = [
    Scenario(
        "one-publisher",
        "1,000 streams, 1 publisher",
        {"": Load(streams=1000, messages=300, publishers=1)},
        (RATE,),
        ALL,
        messages={"tornado": 100},
    ),
    Scenario(
        "many-publishers",
        "1,000 streams, 16 publishers",
        {"": Load(streams=1000, messages=4000, publishers=16)},
        (RATE,),
        ALL,
        messages={"nchan": 640, "tornado": 192, "floor": 640},
    ),
    Scenario(
        "many-streams",
        "10,000 streams, 16 publishers",
        {"": Load(streams=10_000, messages=1000, publishers=16)},
        (
            RATE,
            Row("connect_s", "seconds until all are connected", "{:.2f}"),
            Row("kib_per_stream", "resident KiB per stream", "{:.1f}"),
        ),
        ALL,
        messages={"nchan": 64, "tornado": 24, "floor": 64},
    ),
    Scenario(
        "fixed-rate",
        "1,000 streams, 50 messages a second",
        {"": Load(streams=1000, messages=250, publishers=4, rate=50)},
        (Row("p99_ms", "p99, ms", "{:.1f}"), Row("cpu_seconds", "CPU seconds for 5 s", "{:.2f}")),
        ALL,
    ),
    Scenario(
        "idle",
        "10,000 members connect and leave, 5 times",
        {"": Load(streams=10_000, messages=1, publishers=1)},
        (
            Row("connect_s", "seconds until all are connected", "{:.2f}"),
            Row("slowest_connect_s", "the same, slowest of 5", "{:.2f}"),
            Row("kib_per_stream", "resident KiB per stream", "{:.1f}"),
            Row("kernel_kib_per_stream", "kernel KiB per connection, both ends", "{:.1f}"),
            Row("drift_kib", "KiB more resident in the 5th cycle than in the 2nd", "{:+,.0f}"),
        ),
        cycles=5,
        runs=1,
    ),
    Scenario(
        "durable-posts",
        "durable posts, 100 rooms of 2 readers, 32 publishers",
        {"": Load(streams=200, rooms=100, messages=8000, publishers=32)},
        (Row("texts_per_s", "posts/s"), Row("ack_p99_ms", "p99 of a post, ms", "{:.1f}")),
        ("chatrooms", "express", "tornado"),
    ),
    Scenario(
        "batches",
        f"batches of {BATCH}, 1 room of 2 readers, 4 publishers",
        {"": Load(streams=2, messages=800, publishers=4, batch=BATCH)},
        (Row("texts_per_s", "messages/s"), Row("ack_p99_ms", "p99 of a batch, ms", "{:.1f}")),
    ),
    Scenario(
        "stalled",
        "1,000 streams, 50 messages of 8 KB a second",
        {"none stalled": STALL, "1 stalled": replace(STALL, stalled=1)},
        (
            Row("p99_ms", "p99, ms", "{:.1f}", variant="none stalled"),
            Row("p99_ms", "the others' p99 with a stream that never reads, ms", "{:.1f}", variant="1 stalled"),
        ),
    ),
    Scenario(
        "compressed",
        "1,000 compressed streams, 16 publishers",
        {"": Load(streams=1000, messages=1000, publishers=16, gzip=True)},
        (
            RATE,
            Row("compressed", "streams that were compressed"),
            Row("bytes_per_delivery", "bytes per delivery on the wire"),
            Row("decoded_bytes_per_delivery", "bytes per delivery, decoded"),
            Row("kib_per_stream", "resident KiB per stream", "{:.1f}"),
        ),
        options=("--compress",),
        runs=1,
    ),
    Scenario(
        "workers",
        "36,000 streams on 2 workers, 16 publishers",
        {"": Load(streams=36_000, rooms=36, messages=2000, publishers=16)},
        (
            RATE,
            Row("connect_s", "seconds until all are connected", "{:.2f}"),
            Row("kib_per_stream", "resident KiB per stream", "{:.1f}"),
        ),
        options=("--workers=2",),
        runs=1,
        all_cores=True,
    ),
]
