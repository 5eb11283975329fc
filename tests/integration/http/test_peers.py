"""Peers that vanish without a word."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

import pytest

from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Reader

pytestmark = pytest.mark.gen_test(timeout=30)

SO_ATTACH_FILTER = 26
DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)  # BPF: return 0


def vanish(reader: Reader) -> None:
    """From now on the reader's kernel ignores every packet, as if the cable were cut."""
    program = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    reader.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO and packet filters are Linux's")
@pytest.mark.options(heartbeat=2.0, leave_grace=0, write_timeout=600)
async def test_a_vanished_peer_is_noticed_within_two_heartbeats(chat: Chat) -> None:
    """It sent neither FIN nor RST; that nothing is acknowledged tells. Others stay."""
    gone, other = await chat.join(user="gone"), await chat.join(user="other")
    vanish(gone)
    left = await other.event("user-left")
    assert left["userId"] == "gone"
    beats = [event for event in other.seen if event.type == "heartbeat"]
    assert len(beats) <= 3  # two whole ones, and the one under way
    assert len(chat.server.hub.streams) == 1


@pytest.mark.options(heartbeat=600)
async def test_a_peer_that_sends_junk_is_cut_at_once(chat: Chat) -> None:
    """A reader has nothing to say."""
    reader = await chat.join()
    reader.write(b"x")
    await eventually(lambda: not chat.server.hub.streams)
