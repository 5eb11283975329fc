"""The unnamed form of the personal stream, byte for byte."""

from __future__ import annotations

import pytest

from chatrooms.personal.unnamed import encode


@pytest.mark.parametrize(
    ("data", "event", "expected"),
    [
        (b'{"timestamp":1}', "heartbeat", b'{"type":"ping","timestamp":1}'),
        (b'{"reason":"x","reconnect":true}', "closing", b'{"type":"closing","reason":"x","reconnect":true}'),
        (b'{"id":"e-1","type":"note","data":{"type":7}}', "note", b'{"type":"note","id":"e-1","data":{"type":7}}'),
        (
            b'{"id":"e-1","roomId":"tea","message":"hi"}', "room-message",
            b'{"type":"new_message","message":{"id":"e-1","roomId":"tea","message":"hi"},"chat_id":"tea"}',
        ),
        (b'{"id":"e-1","roomId":"tea"}', "room-joined", b'{"type":"room-joined","id":"e-1","roomId":"tea"}'),
        (b"{}", None, b'{"type":"message"}'),
    ],
)  # fmt: skip
def test_everything_has_its_type_in_its_data(data: bytes, event: str | None, expected: bytes) -> None:
    """And no name on the wire."""
    assert encode(data, event) == b"data: " + expected + b"\n\n"


def test_ids_and_retry_are_as_everywhere() -> None:
    """They are lines of their own."""
    assert encode(b"{}", "x", "e-1", 5) == b'id: e-1\nretry: 5\ndata: {"type":"x"}\n\n'
