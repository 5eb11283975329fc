"""Merged topics: their sources, and what it means to be held."""

from __future__ import annotations

from chatrooms.log.event import MAX_SEQ
from chatrooms.streams.topic import Sources, Topic


def test_sources_come_and_go() -> None:
    """Each topic is found by the names of its present sources, and by no other."""
    feeds, one, two = Sources(), Topic("one", 0), Topic("two", 0)
    feeds.replace(one, {"a", "b"})
    feeds.add(two, "a")
    assert list(feeds.of("a")) == [one, two]
    feeds.replace(one, {"b", "c"})
    feeds.remove(two, "never")
    assert [list(feeds.of(name)) for name in "abc"] == [[two], [one], [one]]
    feeds.replace(one, set())
    feeds.replace(two, set())
    assert feeds._by_source == {} and one.sources == two.sources == set()


def test_a_held_topic_has_nothing_for_anybody() -> None:
    """Not even for who had everything: that is asked of the log when it is released."""
    topic = Topic("t", 0)
    topic.append(b"1;", 1)
    had_everything = topic.end
    topic.hold()
    assert topic.held and had_everything < topic.valid and topic.floor == MAX_SEQ
    topic.hold()
    topic.release(7)
    assert not topic.held and topic.floor == topic.last == 7
    topic.append(b"8;", 8)
    assert topic.durable_after(7).data == b"8;"
