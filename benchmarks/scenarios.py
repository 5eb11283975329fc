"""What is measured: the loads, and the goals for chatrooms."""

from dataclasses import dataclass, field, replace

from benchmarks.load import Load

QUICK_PART = 4  # --quick divides the number of messages by this


@dataclass(frozen=True)
class Scenario:
    """One table of the report: a load, or several variants of it, put on every server."""

    name: str
    title: str
    variants: dict[str, Load]
    messages: dict[str, int] = field(default_factory=dict)  # for servers that would take minutes for the load's own
    ratios: tuple[str, ...] = ("deliveries_per_s",)  # figures compared with the peers

    def load_for(self, server: str, variant: str, quick: bool) -> Load:
        """The load of one measurement; a slow server gets fewer messages, which does not change its rates."""
        load = self.variants[variant]
        messages = self.messages.get(server, load.messages)
        return replace(load, messages=max(messages // QUICK_PART, 16) if quick else messages)


STALL = Load(streams=1000, messages=400, publishers=4, rate=50, pad=8000)

SCENARIOS = [
    Scenario(
        "one-publisher",
        "1,000 streams, 1 publisher",
        {"": Load(streams=1000, messages=400, publishers=1)},
        messages={"tornado": 200},
    ),
    Scenario(
        "many-publishers",
        "1,000 streams, 16 publishers",
        {"": Load(streams=1000, messages=6000, publishers=16)},
        messages={"nchan": 1500, "tornado": 320, "floor": 1500},
    ),
    Scenario(
        "many-streams",
        "10,000 streams, 16 publishers",
        {"": Load(streams=10_000, messages=1200, publishers=16)},
        messages={"nchan": 160, "tornado": 48, "floor": 160},
    ),
    Scenario(
        "fixed-rate",
        "1,000 streams, 50 messages a second",
        {"": Load(streams=1000, messages=300, publishers=4, rate=50)},
        ratios=("p99_ms", "cpu_seconds"),
    ),
    Scenario(
        "stalled",
        "1,000 streams, 50 messages of 8 KB a second, one stream never reads",
        {"none stalled": STALL, "1 stalled": replace(STALL, stalled=1)},
        ratios=("p99_ms",),
    ),
]
