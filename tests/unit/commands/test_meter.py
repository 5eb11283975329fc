"""Progress in the output of programs (commands/task.py)."""

from __future__ import annotations

import pytest

from chatrooms.commands.task import Meter, bar, percent_in


@pytest.mark.parametrize(
    ("line", "percent"),
    [
        ("40%", 40), ("copied 12.5 % of it", 12.5), ("PROGRESS 7", 7), ("progress: 8.25 of all", 8.25),
        ("[####      ]  33% 120% of what was planned", 33), ("10% of file 2, 55% in all", 55),
        ("nothing", 0), ("1000%", 0), ("a40%b", 0), ("x40%", 0), ("100%d", 0), ("%40", 0), ("3.40.5%", 0),
    ],
)  # fmt: skip
def test_line(line: str, percent: float) -> None:
    assert percent_in(line) == percent


def test_output_in_any_pieces_is_the_same() -> None:
    """Lines end by a newline, or where a bar is drawn anew; what goes back does not count."""
    text = "start\n 5%\r 10%\r 9%\nPROGRESS 30\n"
    whole = Meter()
    assert whole.feed(text) and whole.percent == 30
    pieces = Meter()
    seen = [pieces.percent for character in text if pieces.feed(character)]
    assert seen == [5, 10, 30]
    assert not pieces.feed("99") and pieces.feed("%\n")


def test_bar_is_as_long_as_it_is_far() -> None:
    assert bar(0) == f"[{'.' * 30}]   0%"
    assert bar(50) == f"[{'#' * 15}{'.' * 15}]  50%"
    assert bar(100) == f"[{'#' * 30}] 100%"
