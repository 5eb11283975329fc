"""Room streams (section 3 of the contract): their head, their events, their end."""

from __future__ import annotations

import asyncio

import pytest

from tests.helpers.chat import Chat

pytestmark = pytest.mark.gen_test(timeout=30)

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache, no-transform\r\n"
    b"X-Accel-Buffering: no\r\n"
    b"Connection: keep-alive\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"\r\n"
)


async def test_head_is_exactly_that_of_the_contract(chat: Chat) -> None:
    """No header more, none less, and the first event comes in the same write."""
    reader = await chat.read()
    assert reader.head == HEAD
    assert reader.first_write.startswith(HEAD + b"id: ")


async def test_batch_of_messages_reaches_a_live_reader_without_a_fault_in_the_loop(chat: Chat) -> None:
    """Many events at once are swept in one go, and nothing is raised in the event loop."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    reader = await chat.join()
    await chat.say_all("lobby", [str(n) for n in range(50)])
    await reader.message("49")
    assert reader.messages() == [str(n) for n in range(50)]
    assert not faults
