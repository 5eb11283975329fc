"""The unnamed form of the personal stream, byte for byte."""

from __future__ import annotations

import pytest

from chatrooms.log.event import Event
from chatrooms.personal.personal import UNNAMED


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("heartbeat", {"timestamp": 1}, b'{"type":"ping","timestamp":1}'),
        ("closing", {"reason": "x", "reconnect": True}, b'{"type":"closing","reason":"x","reconnect":true}'),
        ("status", {"degraded": False}, b'{"type":"status","degraded":false}'),
    ],
)
def test_signals_have_their_type_in_their_data(name: str, data: dict[str, object], expected: bytes) -> None:
    """And no name on the wire."""
    assert UNNAMED.signal(name, data) == b"data: " + expected + b"\n\n"


@pytest.mark.parametrize(
    ("type", "data", "expected"),
    [
        ("note", b'{"data":{"type":7}}', b'{"type":"note","id":"e-1","data":{"type":7}}'),
        ("room-joined", b'{"roomId":"tea"}', b'{"type":"room-joined","id":"e-1","roomId":"tea"}'),
        (
            "room-message", b'{"roomId":"tea","message":"hi"}',
            b'{"type":"new_message","message":{"id":"e-1","roomId":"tea","message":"hi"},"chat_id":"tea"}',
        ),
    ],
)  # fmt: skip
def test_events_have_their_type_in_their_data(type: str, data: bytes, expected: bytes) -> None:
    """Under their ids."""
    assert UNNAMED.event(Event(type, data, ("room:tea",)), "e-1") == b"id: e-1\ndata: " + expected + b"\n\n"


def test_first_event_names_the_rooms() -> None:
    """`connection_confirmed`, under its id, with the reconnection time."""
    data = {"userId": "7", "rooms": [{"roomId": "tea"}, {"roomId": "den"}], "recovered": True}
    frame = UNNAMED.signal("system", data, "e-1", 5)
    assert frame.startswith(b'id: e-1\nretry: 5\ndata: {"type":"connection_confirmed","user_id":"7","timestamp":')
    assert frame.endswith(b'"connected_chats":["tea","den"],"userId":"7","recovered":true}\n\n')
