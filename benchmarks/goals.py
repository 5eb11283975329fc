"""The goals for chatrooms, checked against the peers of the same run."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.report import Results
from benchmarks.scenarios import SCENARIOS

OURS = ("chatrooms", "")
NCHAN = ("nchan", "")


@dataclass(frozen=True)
class Goal:
    """A figure and its bound; `figure` returns None when the servers it needs were not measured."""

    scenario: str
    text: str
    figure: Callable[[Results], float | None]
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, value: float) -> bool:
        """Whether the value is within the bounds."""
        enough = self.at_least is None or value >= self.at_least
        return enough and (self.at_most is None or value <= self.at_most)


def runs_with_complaints(results: Results) -> float | None:
    """How many of our runs logged a warning or worse: a server that fails in places is not fast."""
    ours = [run for (server, _), runs in results.runs.items() if server == "chatrooms" for run in runs]
    return sum(run["logged"] for run in ours) if ours else None


def times_nchan(results: Results) -> float | None:
    """Our deliveries per second divided by nchan's."""
    return results.ratio("deliveries_per_s", OURS, NCHAN)


def drift_per_stream(results: Results) -> float | None:
    """KiB by which each of the streams became more expensive from the second cycle to the last."""
    if OURS not in results.runs:
        return None
    figures = results.medians(*OURS)
    return figures["drift_kib"] / figures["streams"]


def own(figure: str) -> Callable[[Results], float | None]:
    """The median of one of our figures."""
    return lambda results: results.medians(*OURS)[figure] if OURS in results.runs else None


def p99_with_a_stalled_reader(results: Results) -> float | None:
    """The other readers' p99 with one stalled stream, divided by the p99 without."""
    return results.ratio("p99_ms", ("chatrooms", "1 stalled"), ("chatrooms", "none stalled"))


def mib_of_a_stalled_reader(results: Results) -> float | None:
    """How many MiB more memory grows by with one stalled stream than without."""
    kib = results.difference("grown_kib", ("chatrooms", "1 stalled"), ("chatrooms", "none stalled"))
    return None if kib is None else kib / 1024


GOALS = [
    *(
        Goal(scenario.name, "runs in which the server logged a warning", runs_with_complaints, at_most=0)
        for scenario in SCENARIOS
    ),
    Goal("one-publisher", "deliveries/s ÷ nchan's", times_nchan, at_least=0.8),
    Goal("many-publishers", "deliveries/s ÷ nchan's", times_nchan, at_least=4),
    Goal("many-streams", "deliveries/s ÷ nchan's", times_nchan, at_least=10),
    Goal("many-streams", "seconds until connected", own("connect_s"), at_most=10),
    Goal("many-streams", "resident KiB per stream", own("kib_per_stream"), at_most=4),
    Goal("idle", "KiB that a stream costs more in the 5th cycle than in the 2nd", drift_per_stream, at_most=0.1),
    Goal("stalled", "the others' p99 ÷ the p99 without a stalled reader", p99_with_a_stalled_reader, at_most=1.1),
    Goal("stalled", "MiB that a stalled reader costs", mib_of_a_stalled_reader, at_most=2),
]


def verdicts(results: Results) -> list[str]:
    """One PASS or MISS line for each measured goal of the scenario."""
    return [
        verdict(goal, value)
        for goal in GOALS
        if goal.scenario == results.scenario.name and (value := goal.figure(results)) is not None
    ]


def verdict(goal: Goal, value: float) -> str:
    """For example `- PASS: deliveries/s ÷ nchan's: 4.31 (goal: at least 4)`."""
    bound = f"at least {goal.at_least:g}" if goal.at_least is not None else f"at most {goal.at_most:g}"
    return f"- {'PASS' if goal.reached(value) else 'MISS'}: {goal.text}: {value:.2f} (goal: {bound})"
