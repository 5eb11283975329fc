"""From measurements to Markdown: medians over the runs, ratios within each run."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.scenarios import Scenario
from benchmarks.servers import Peer

Figures = dict[str, float]
CALM_PART = 0.05  # of the server's core that other programs may use before the figures are doubtful
REFERENCES = {"nchan": "nchan", "tornado": "Tornado"}
NAMES = {"deliveries_per_s": "deliveries/s", "p99_ms": "p99", "cpu_seconds": "CPU"}
COLUMNS: dict[str, Callable[[Figures], str]] = {
    "deliveries/s": lambda f: f"{f['deliveries_per_s']:,.0f}",
    "p50 ms": lambda f: f"{f['p50_ms']:.1f}",
    "p99 ms": lambda f: f"{f['p99_ms']:.1f}",
    "connected in s": lambda f: f"{f['connect_s']:.2f}",
    "MiB at start": lambda f: f"{f['started_kib'] / 1024:.0f}",
    "MiB open": lambda f: f"{f['opened_kib'] / 1024:.0f}",
    "MiB at end": lambda f: f"{f['done_kib'] / 1024:.0f}",
    "KiB/stream": lambda f: f"{f['kib_per_stream']:.1f}",
    "seconds": lambda f: f"{f['elapsed_s']:.2f}",
    "CPU s": lambda f: f"{f['cpu_seconds']:.2f}",
    "others' CPU s": lambda f: f"{f['foreign_seconds']:.2f}",
    "CPU µs/delivery": lambda f: f"{f['cpu_us_per_delivery']:.2f}",
    "bytes/delivery": lambda f: f"{f['bytes_per_delivery']:.0f}",
}


@dataclass(frozen=True)
class Results:
    """All measurements of one scenario: by (server, variant), one entry per run."""

    scenario: Scenario
    runs: dict[tuple[str, str], list[Figures]]

    def medians(self, server: str, variant: str) -> Figures:
        """The median of every figure."""
        runs = self.runs[server, variant]
        return {name: median(run[name] for run in runs) for name in runs[0]}

    def ratio(self, figure: str, one: tuple[str, str], other: tuple[str, str]) -> float | None:
        """Median over the runs of one's figure divided by the other's in the same run; None if either is missing."""
        pairs = zip(self.runs.get(one, []), self.runs.get(other, []), strict=False)
        ratios = [a[figure] / b[figure] for a, b in pairs if b[figure]]
        return median(ratios) if ratios else None

    def difference(self, figure: str, one: tuple[str, str], other: tuple[str, str]) -> float | None:
        """Median over the runs of one's figure minus the other's in the same run; None if either is missing."""
        pairs = zip(self.runs.get(one, []), self.runs.get(other, []), strict=False)
        differences = [a[figure] - b[figure] for a, b in pairs]
        return median(differences) if differences else None


def contention(results: Results) -> list[str]:
    """A warning when other programs used a noticeable part of the server's core during a measurement."""
    parts = [run["foreign_seconds"] / run["elapsed_s"] for runs in results.runs.values() for run in runs]
    disturbed = sum(part > CALM_PART for part in parts)
    if not disturbed:
        return []
    return [
        f"- UNRELIABLE: in {disturbed} of {len(parts)} measurements other programs had more than {CALM_PART:.0%} of the"
        f" server's core, up to {max(parts):.0%}: neither PASS nor MISS means much here, ratios included"
    ]


def table(results: Results, peers: list[Peer]) -> str:
    """One Markdown table: a row for each server and variant."""
    compared = [(figure, peer) for figure in results.scenario.ratios for peer in REFERENCES]
    header = ["server", *COLUMNS, *(f"{NAMES[figure]} ÷ {REFERENCES[peer]}'s" for figure, peer in compared)]
    lines = [f"### {results.scenario.title}", "", row(header), row(["---", *["---:"] * (len(header) - 1)])]
    for peer in peers:
        for variant in results.scenario.variants:
            lines.append(row(cells(results, peer, variant, compared)))
    return "\n".join(lines)


def cells(results: Results, peer: Peer, variant: str, compared: list[tuple[str, str]]) -> list[str]:
    """One row: the medians, then the ratios."""
    figures = results.medians(peer.name, variant)
    label = f"{peer.label}, {variant}" if variant else peer.label
    ratios = [results.ratio(figure, (peer.name, variant), (other, variant)) for figure, other in compared]
    return [
        label,
        *(show(figures) for show in COLUMNS.values()),
        *("–" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
    ]


def row(values: list[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(values)} |"
