"""The tails of all topics together: one user may read hundreds of rooms, and each keeps a tail of its own."""

from __future__ import annotations

from chatrooms.core.topic import Topic

TAILS_BYTES = 64 << 20  # of all tails; what is not in one is read from the log


class Tails:
    """Keeps the tails within TAILS_BYTES: those that were written to longest ago give way."""

    def __init__(self) -> None:
        self._sizes: dict[Topic, int] = {}  # in the order of their last writes
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What all tails take, about."""
        return self._bytes

    def note(self, topic: Topic) -> None:
        """Something was written to a tail."""
        size = topic.size
        self._bytes += size - self._sizes.pop(topic, 0)
        self._sizes[topic] = size
        while self._bytes > TAILS_BYTES:
            oldest = next(iter(self._sizes))
            self.remove(oldest)
            oldest.forget()

    def remove(self, topic: Topic) -> None:
        """A topic that nobody reads has no tail."""
        self._bytes -= self._sizes.pop(topic, 0)
