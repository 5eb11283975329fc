"""How far a program is, as it says in its output: `40%`, `PROGRESS 40`. And a bar that shows it. Pure."""

from __future__ import annotations

import re

MAX_LINE = 4096  # characters of a line that are kept until its end comes
BAR = 30  # characters

_SAID = re.compile(r"^\s*PROGRESS:?\s+(\d{1,3}(?:\.\d+)?)\b", re.IGNORECASE | re.ASCII)
_PERCENT = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?) ?%(?![\w%])", re.ASCII)
_LINE_END = re.compile(r"[\r\n]")


class Meter:
    """Reads the output of a program in any pieces; `percent` is the furthest that it has said."""

    def __init__(self) -> None:
        self.percent = 0.0
        self._rest = ""

    def feed(self, text: str) -> bool:
        """Takes more of the output; says whether it went further. A bar that is drawn anew ends its lines by \\r."""
        before = self.percent
        *lines, rest = _LINE_END.split(self._rest + text)
        self._rest = rest[-MAX_LINE:]
        for line in lines:
            self.percent = max(self.percent, percent_in(line))
        return self.percent > before


def percent_in(line: str) -> float:
    """What a line says of progress, 0 to 100; 0 when it says nothing. Of several percentages the last counts."""
    said = _SAID.match(line)
    found = [said[1]] if said else _PERCENT.findall(line)
    numbers = [float(number) for number in found if float(number) <= 100]
    return numbers[-1] if numbers else 0.0


def bar(percent: float) -> str:
    """`[######........................]  20%`"""
    full = int(BAR * percent / 100)
    return f"[{'#' * full}{'.' * (BAR - full)}] {percent:3.0f}%"
