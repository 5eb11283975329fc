"""Feeds: which merged topics take the events of a topic."""

from __future__ import annotations

from collections.abc import Iterable

from chatrooms.core.topic import Topic


class Feeds:
    """The sources of merged topics, by the names of the sources."""

    def __init__(self) -> None:
        self._fed: dict[str, dict[Topic, None]] = {}

    def of(self, name: str) -> Iterable[Topic]:
        """The merged topics that take the events of that topic."""
        return self._fed.get(name, ())

    def add(self, topic: Topic, name: str) -> None:
        topic.sources.add(name)
        self._fed.setdefault(name, {})[topic] = None

    def remove(self, topic: Topic, name: str) -> None:
        """Harmless for what is no source."""
        topic.sources.discard(name)
        fed = self._fed.get(name, {})
        fed.pop(topic, None)
        if not fed:
            self._fed.pop(name, None)

    def replace(self, topic: Topic, names: set[str]) -> None:
        """Gives a merged topic these sources and no others."""
        for name in topic.sources - names:
            self.remove(topic, name)
        for name in names - topic.sources:
            self.add(topic, name)
