"""Runs the server and, at its end, tells for how long its event loop was held at most.

Not only the time on the clock, which other programs lengthen: the processor time, too.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from chatrooms.cli import main

STARTED = 2.0  # seconds in which the server opens its database; what counts is what comes after


LONG = 0.03  # seconds of processor time after which a callback is named


class Watch:
    """Times every callback of every event loop in this process."""

    def __init__(self) -> None:
        self.clock = self.processor = 0.0
        self._since = time.monotonic() + STARTED
        self._run = asyncio.Handle._run

    def run(self, handle: asyncio.Handle) -> None:
        clock, processor = time.monotonic(), time.thread_time()
        self._run(handle)
        processor, now = time.thread_time() - processor, time.monotonic()
        if clock > self._since:
            if processor > LONG:
                print(f"held for {processor:.4f} s: {handle!r}", file=sys.stderr)
            self.processor, self.clock = max(self.processor, processor), max(self.clock, now - clock)


if __name__ == "__main__":
    watch = Watch()
    asyncio.Handle._run = lambda self: watch.run(self)  # type: ignore[method-assign]
    status = main(["serve", *sys.argv[1:]])
    print(f"held: clock {watch.clock:.4f} processor {watch.processor:.4f}", file=sys.stderr)
    sys.exit(status)
