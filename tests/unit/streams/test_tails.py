"""All tails together are bounded, and nobody misses what a tail has lost (core/tails.py)."""

from __future__ import annotations

import pytest

from chatrooms.streams import topic as tails
from chatrooms.streams.topic import Tails, Topic


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "TAILS_BYTES", 10_000)


@pytest.mark.usefixtures("small")
def test_tails_written_to_longest_ago_give_way() -> None:
    """However many topics there are; the one that is written to keeps its own."""
    kept = Tails()
    topics = [Topic(f"room:{number}", 0) for number in range(100)]
    for seq, topic in enumerate((*topics, *topics), 1):
        topic.append(b"data: x\n\n" * 100, seq)
        kept.note(topic)
        assert kept.bytes == sum(topic.size for topic in topics) <= 10_000
    assert topics[-1].count_after(0) == 1 and topics[0].floor == 101


@pytest.mark.usefixtures("small")
def test_topic_that_is_removed_takes_no_room() -> None:
    kept, topic = Tails(), Topic("room:lobby", 0)
    topic.append(b"data: x\n\n", 1)
    kept.note(topic)
    kept.remove(topic)
    kept.remove(topic)
    assert kept.bytes == 0
