"""From measurements to Markdown: medians over the runs, ratios within each run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.scenarios import Row, Scenario
from benchmarks.servers import Peer

Figures = dict[str, float]
CALM_PART = 0.05  # of the server's core that other programs may use before the figures are doubtful
SHORTEST = 0.5  # seconds; processor time is counted in hundredths, too coarse for less
OURS = "chatrooms"
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
    runs: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # servers that were not measured, and why

    def medians(self, server: str, variant: str) -> Figures:
        """The median of every figure."""
        runs = self.runs[server, variant]
        return {name: median(run[name] for run in runs if name in run) for name in runs[0]}

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


def contention(everything: list[Results]) -> list[str]:
    """A warning when other programs used a noticeable part of the server's core during measurements."""
    parts = [
        run["foreign_seconds"] / run["elapsed_s"]
        for results in everything
        if not results.scenario.all_cores
        for runs in results.runs.values()
        for run in runs
        if run["elapsed_s"] > SHORTEST
    ]
    disturbed = sum(part > CALM_PART for part in parts)
    if not disturbed:
        return []
    return [
        f"- UNRELIABLE: in {disturbed} of {len(parts)} measurements other programs had more than {CALM_PART:.0%} of the"
        f" server's core, up to {max(parts):.0%}: neither PASS nor MISS means much here, ratios included"
    ]


def summary(everything: list[Results], peers: list[Peer]) -> str:
    """The one table: a line for each figure, a column for each server."""
    measured = [peer for peer in peers if any(peer.name in results.scenario.servers for results in everything)]
    header = ["load", "figure", *(peer.label for peer in measured)]
    lines = [row(header), row(["---", "---", *["---:"] * len(measured)])]
    for results in everything:
        for number, shown in enumerate(results.scenario.rows):
            title = "" if number else results.scenario.title
            lines.append(row([title, shown.label, *(cell(results, shown, peer.name) for peer in measured)]))
    return "\n".join(lines)


def cell(results: Results, shown: Row, server: str) -> str:
    """A median, and for a peer how many times it is ours."""
    if reason := results.missing.get(server):
        return reason if shown is results.scenario.rows[0] else ""
    if (server, shown.variant) not in results.runs:
        return ""
    figures = results.medians(server, shown.variant)
    if shown.figure not in figures:
        return "–"
    ratio = results.ratio(shown.figure, (OURS, shown.variant), (server, shown.variant)) if server != OURS else None
    text = shown.shown.format(figures[shown.figure])
    told = ratio is not None and text.strip("0.,+-")  # times next to nothing says nothing
    return f"{text} ({ratio:.2f})" if told else text


def details(results: Results, peers: list[Peer]) -> str:
    """One Markdown table of all figures: a line for each server and variant."""
    lines = [f"### {results.scenario.title}", "", row(["server", *COLUMNS]), row(["---", *["---:"] * len(COLUMNS)])]
    for peer in peers:
        for variant in results.scenario.variants:
            if (peer.name, variant) in results.runs:
                figures = results.medians(peer.name, variant)
                label = f"{peer.label}, {variant}" if variant else peer.label
                lines.append(row([label, *(show(figures) for show in COLUMNS.values())]))
    return "\n".join(lines)


def row(values: list[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(values)} |"
