"""What a node was told of replies that others write (replies/elsewhere.py)."""

from __future__ import annotations

from typing import Any

import pytest

from chatrooms import sse
from chatrooms.log.event import Event
from chatrooms.replies.in_rooms import SILENCE, RemoteReplies
from chatrooms.replies.reply import Chunk, frame_of
from chatrooms.streams.hub import Hub

pytestmark = pytest.mark.gen_test


class Room:
    """A node's ear for one room, and a clock to be set."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[str] = []
        self.hub = Hub(25, 30, 10, 10)
        self.heard = RemoteReplies(self.hub, self.asked.append, lambda: self.now)

    def hear(self, text: str, start: int, index: int, reply: str = "r", **more: Any) -> bool:
        return self.heard.follows(frame_of(Chunk(reply, "lobby", text, index, start, **more)))

    @property
    def text(self) -> list[str]:
        return [chunk.chunk for chunk in self.heard.resets("lobby")]


async def test_chunks_that_follow_each_other_make_the_text() -> None:
    room = Room()
    assert room.hear("", 0, -1, state="queued", position=2)
    assert room.hear("Hel", 0, 1) and room.hear("lo", 2, 2)
    (reset,) = room.heard.resets("lobby")
    assert (reset.chunk, reset.start, reset.index, reset.reset) == ("Hello", 0, 2, True)
    assert room.heard.resets("other") == [] and room.asked == []


async def test_gap_is_not_shown_but_asked_for_once_until_it_is_filled() -> None:
    """A chunk from the middle is a gap, too."""
    room = Room()
    assert not room.hear("lo", 2, 2) and room.text == []
    assert not room.hear(" there", 3, 3)
    assert room.asked == ["lobby"]
    assert room.hear("Hello there", 0, 3, reset=True) and room.hear("!", 4, 4)
    assert room.text == ["Hello there!"]
    room.now += 2
    assert not room.hear("lost", 6, 6)
    assert room.asked == ["lobby"] * 2


@pytest.mark.parametrize("how", ["last chunk", "message", "silence"])
async def test_reply_that_has_ended_is_forgotten(how: str) -> None:
    """By its last chunk; by its message, if that was lost; or when its node says nothing any more."""
    room = Room()
    room.hear("Hello", 0, 0)
    if how == "last chunk":
        assert room.hear("", 1, 1, is_final=True)
    elif how == "message":
        message = b'{"roomId":"lobby","userId":"a","username":"A","message":"Hello","timestamp":1,"isFromBot":true'
        room.hub.publish([Event("room-message", message + b',"messageId":"r"}', ("room:lobby",), seq=1)])
    else:
        room.now += SILENCE + 1
    assert room.text == []
    assert room.hub._listeners.keys() == {"control"}  # its own


async def test_other_ephemerals_pass() -> None:
    assert Room().heard.follows(sse.encode(b"{}", "typing"))
