"""Answers that are not read: they wait in memory, so there are bounds on each and on all of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tornado.testing import bind_unused_port
from tornado.web import Application

from chatrooms.http import front, wire
from chatrooms.rooms import messages
from chatrooms.streams import resume
from tests.helpers.chat import Chat, eventually

pytestmark = pytest.mark.gen_test(timeout=60)

ROOM = 40  # messages of 16,000 bytes


@asynccontextmanager
async def opened(app: Application) -> AsyncIterator[tuple[Chat, front.Front]]:
    """The application behind its front door, with a room that has more to tell than one answer."""
    server = app.settings["server"]
    await server.start()
    sock, port = bind_unused_port()
    door = front.Front(app, server.options.write_timeout)
    door.add_sockets([sock])
    chat = Chat(port, server)
    await chat.say_all("lobby", [f"{n} ".ljust(16_000, ".") for n in range(ROOM)])
    yield chat, door
    chat.close()
    door.stop()
    await door.close_all_connections()


async def asked(
    chat: Chat, path: str = "/api/rooms/lobby/messages?limit=200", address: str = "127.0.0.1"
) -> socket.socket:
    """A connection from an address that has asked, and does not read."""
    sock = socket.socket()
    sock.bind((address, 0))
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", chat.port))
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {chat.token('alice')}\r\n\r\n"
    await loop.sock_sendall(sock, request.encode())
    return sock


async def all_of(sock: socket.socket) -> bytes:
    """What comes until the connection ends, which it must."""
    read = b""
    try:
        while chunk := await asyncio.get_running_loop().sock_recv(sock, 65_536):
            read += chunk
    except ConnectionResetError:
        pass
    return read


async def test_a_page_of_history_has_so_many_bytes_and_none_is_passed_over(chat: Chat) -> None:
    """Eighty readers of pages of 3 MB that did not read them held 131 MiB."""
    said = await chat.say_all("lobby", [f"{n} ".ljust(16_000, ".") for n in range(ROOM)])
    got: list[object]
    for way, start in (("before", ""), ("after", f"{said[0]['id'].partition('-')[0]}-0")):
        got, position = [], start
        while True:
            query = f"&{way}={position}" if position else ""
            page = await chat.get(f"/api/rooms/lobby/messages?limit=200{query}")
            assert len(page.body) <= messages.PAGE_BYTES + 20_000
            listed = page.data["messages"]
            got = listed + got if way == "before" else got + listed
            position = listed[0]["id"] if way == "before" else listed[-1]["id"]
            if not page.data["hasMore"]:
                break
        assert got == said


async def test_a_message_larger_than_a_page_is_a_page(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "PAGE_BYTES", 10)
    monkeypatch.setattr(resume, "POLL_BYTES", 10)
    said = await chat.say_all("lobby", ["x" * 100, "y" * 100])
    page = (await chat.get("/api/rooms/lobby/messages")).data
    assert (page["messages"], page["hasMore"]) == (said[1:], True)
    polled = (await chat.get("/events?roomId=lobby&username=alice&poll=1&history=2")).data
    assert [event["event"] for event in polled["events"]] == ["system", "room-message"] and polled["more"]


async def test_a_poll_has_so_many_bytes_and_none_is_passed_over(chat: Chat) -> None:
    said = await chat.say_all("lobby", [f"{n} ".ljust(16_000, ".") for n in range(ROOM)])
    got, query = [], "history=200"
    while True:
        answer = await chat.get(f"/events?roomId=lobby&username=alice&poll=1&{query}")
        assert len(answer.body) <= resume.POLL_BYTES + 20_000
        got += [event["data"]["id"] for event in answer.data["events"] if event["event"] == "room-message"]
        query = f"lastEventId={answer.data['lastEventId']}"
        if not answer.data["more"]:
            break
    assert got == [message["id"] for message in said]


async def test_answers_that_nobody_reads_are_bounded_together(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are cut off; who reads has an answer meanwhile."""
    monkeypatch.setattr(wire, "OWED_BYTES", 1 << 20)
    async with opened(app) as (chat, door):
        stalled = [await asked(chat) for _ in range(30)]
        await eventually(lambda: len(door._connections) < 15 and door.backlog.total > 0)
        assert door.backlog.total <= wire.OWED_BYTES
        assert len((await chat.get("/api/rooms/lobby/messages?limit=5")).data["messages"]) == 5
        assert len(await all_of(stalled[0])) < messages.PAGE_BYTES
        for sock in stalled:
            sock.close()
        await eventually(lambda: door.backlog.total == 0)


async def test_who_reads_slowly_is_not_cut_off_by_who_reads_nothing(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose answers are together the most gives way, though another's has waited longer."""
    monkeypatch.setattr(wire, "OWED_BYTES", 1 << 20)
    async with opened(app) as (chat, door):
        slow = await asked(chat, address="127.0.0.2")
        await eventually(lambda: door.backlog.total > 0)
        stalled = [await asked(chat) for _ in range(30)]
        await eventually(lambda: len(door._connections) < 15)
        for sock in stalled:
            sock.close()
        received = b""
        while len(received) < messages.PAGE_BYTES - 20_000:
            received += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(slow, 65_536), 10)
        slow.close()
        await eventually(lambda: door.backlog.total == 0)


async def test_an_answer_that_is_not_taken_in_time_is_cut_off(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slowly its reader reads; a stream is not concerned, nor a connection that owes nothing."""
    monkeypatch.setattr(front, "CHECK_INTERVAL", 0.01)
    async with opened(app) as (chat, door):
        monkeypatch.setattr(wire, "ANSWER_TIMEOUT", 0.0)
        reader = await chat.join()
        stalled = await asked(chat)
        await eventually(lambda: not door._connections)
        assert 0 < len(await all_of(stalled)) < messages.PAGE_BYTES
        assert door.backlog.total == 0
        stalled.close()
        await chat.say("lobby", "still here")
        await reader.message("still here")
