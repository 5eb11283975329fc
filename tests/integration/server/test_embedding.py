"""The server as a part of another Tornado application."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from chatrooms import Chatrooms, Identity, Note, identify
from chatrooms.errors import BadRequest, Unauthorized
from chatrooms.limits import SIGNOUTS
from tests.helpers.chat import Chat
from tests.helpers.documents import ROOT
from tests.helpers.personal import mine
from tests.helpers.reader import Reader

pytestmark = pytest.mark.gen_test(timeout=30)


class Mine(RequestHandler):
    """A page of the program's own."""

    def get(self) -> None:
        self.write("mine")


async def by_header(request: HTTPServerRequest) -> Identity | None:
    """Users as a program of one's own knows them."""
    await asyncio.sleep(0)
    name = request.headers.get("X-User")
    if name == "mallory":
        raise Unauthorized("token-revoked", "You left the company.")
    return identify(name, name.title()) if name else None


@pytest.fixture
def embedded(io_loop: IOLoop, tmp_path: Path) -> Iterator[Chatrooms]:
    made = Chatrooms(data_dir=tmp_path, authenticate=by_header, allow_guests=True, drain=0)
    yield made
    io_loop.run_sync(made.stop)


@pytest.fixture
def app(embedded: Chatrooms) -> Application:
    return Application([(r"/mine", Mine), (r"/.*", embedded.app)])


@pytest.fixture
def chat(http_server: object, http_port: int, embedded: Chatrooms, io_loop: IOLoop) -> Iterator[Chat]:
    io_loop.run_sync(embedded.start)

    async def made() -> Chat:
        return Chat(http_port, embedded.app.settings["server"])

    calls: Chat = io_loop.run_sync(made)
    yield calls
    calls.close()


ALICE = {"X-User": "alice"}


async def test_mounted_beside_own_handlers(chat: Chat) -> None:
    """Each answers for its own paths."""
    assert (await chat.get("/mine", None)).body == b"mine"
    assert (await chat.get("/healthz", None)).status == 200
    assert (await chat.get("/nowhere", None)).code == "not-found"


async def test_own_users_read_and_write(chat: Chat, embedded: Chatrooms) -> None:
    """A stream by the own way of authentication, a message by it, and one from own code."""
    reader = await chat.stream("/events", {"roomId": "lobby", "username": "Alice"}, ALICE)
    assert (await reader.event("system"))["userId"] == "alice"
    posted = await chat.post("/api/rooms/lobby/messages", {"message": "by HTTP"}, None, headers=ALICE)
    assert (posted.status, posted.data["username"]) == (201, "Alice")
    said = await embedded.publish("lobby", "by code", user_id="system", username="System", client_message_id="1")
    again = await embedded.publish("lobby", "by code", user_id="system", client_message_id="1")
    assert again == said == await reader.message("by code")


async def test_own_code_assigns_sessions(chat: Chat, embedded: Chatrooms) -> None:
    """With own users no session is anybody's before that; then its owner reads what follows, or all."""
    assert (await chat.get("/api/messages?sessionId=42", None, headers=ALICE)).status == 403
    body = {"sessionId": "42", "content": "before"}
    assert (await chat.post("/api/messages", body, None)).status == 201  # guests are allowed here
    await embedded.assign_session("42", "alice")
    assert (await chat.get("/api/messages?sessionId=42", None, headers=ALICE)).data["data"]["messages"] == []
    await embedded.assign_session("42", "alice", with_history=True)
    (message,) = (await chat.get("/api/messages?sessionId=42", None, headers=ALICE)).data["data"]["messages"]
    assert message["content"] == "before"


async def test_own_authentication_comes_first_but_is_not_all(chat: Chat) -> None:
    """Whom it does not know may still bring a token; whom it refuses may not."""
    assert (await chat.get("/api/auth/me", "bob")).status == 401  # signed with another key
    assert (await chat.get("/api/auth/me", None, headers=ALICE)).data["userId"] == "alice"
    guest = (await chat.post("/api/auth/guest", {"username": "Gast"}, None)).data
    me = await chat.get("/api/auth/me", None, headers={"Authorization": f"Bearer {guest['token']}"})
    assert me.data["username"] == "Gast"
    assert (await chat.get("/api/auth/me", None, headers={"X-User": "mallory"})).code == "token-revoked"


async def test_pages_of_other_origins_write_nothing(chat: Chat) -> None:
    """By a cookie of one's own, which browsers send along."""
    for origin, status in (("https://evil.example", 403), (f"http://127.0.0.1:{chat.port}", 201)):
        headers = {**ALICE, "Origin": origin}
        answer = await chat.post("/api/rooms/lobby/messages", {"message": "x"}, None, headers=headers)
        assert answer.status == status


async def test_links_of_other_sites_change_nothing(chat: Chat) -> None:
    """A cookie of one's own comes along with them; what does not say whence it comes is no link."""
    for site, status in (("cross-site", 403), ("same-origin", 200), ("none", 200)):
        headers = {**ALICE, "Sec-Fetch-Site": site}
        answer = await chat.get("/events?roomId=den&username=Alice&poll=1", None, headers=headers)
        assert answer.status == status


async def test_notified_from_own_code(chat: Chat, embedded: Chatrooms) -> None:
    """One, several, and by the names that back ends use."""
    reader = await chat.stream("/api/clients/alice/sse", None, ALICE)
    id = await embedded.notify("alice", "timeslot_updated", {"day": "Monday"}, source_client_id="tab")
    event = await reader.event("timeslot_updated")
    assert (event["id"], event["data"], event["sourceClientId"]) == (id, {"day": "Monday"}, "tab")
    ids = await embedded.notify_batch([Note("alice", "a"), Note("alice", "b", [1], "s1")])
    assert [(await reader.event(type))["id"] for type in ("a", "b")] == ids
    await embedded.notify_client_updated("alice", "s1", "c7")
    event = await reader.event("client_updated")
    assert (event["sessionId"], event["data"]) == ("s1", {"client_id": "c7"})
    await embedded.notify_batch_task_update("alice", None, ["t1", "t2"])
    assert (await reader.event("task_updated"))["data"] == {"task_ids": ["t1", "t2"]}


async def test_decorated_work_notifies_when_it_is_done(chat: Chat, embedded: Chatrooms) -> None:
    """With what it was called with; not when it raised, and what was done stays done when telling fails."""
    reader = await chat.stream("/api/clients/alice/sse", None, ALICE)

    @embedded.notify_task_updated()
    async def rename(task_id: str, name: str, *, user_id: str, session_id: str = "s1") -> str:
        """Renames a task."""
        if not name:
            raise ValueError(name)
        return name

    with pytest.raises(ValueError):
        await rename("t0", "", user_id="alice")
    assert await rename("t1", "new", user_id="alice") == "new"
    event = await reader.event("task_updated")
    assert (event["data"], event["sessionId"]) == ({"task_id": "t1"}, "s1")
    assert rename.__doc__ == "Renames a task."
    assert await rename("t1", "new", user_id="") == "new"
    with pytest.raises(TypeError, match="user_id"):
        embedded.notifies("x")(Chatrooms.stop)


async def test_long_work_is_watched(chat: Chat, embedded: Chatrooms) -> None:
    """By the user whose it is, to its end."""
    async with embedded.tasks.run("Import", user_id="alice") as task:
        path = f"/api/v1/sse/tasks/{task.task_id}/progress"
        reader = await chat.stream(path, None, ALICE)
        assert (await reader.event("progress"))["state"] == "running"
        await task.progress(40)
        assert (await reader.event("progress"))["progress"] == 40
    assert (await reader.event("complete"))["title"] == "Import"


async def test_bad_notifications_are_refused(embedded: Chatrooms) -> None:
    """By the rules of the call; nothing of a batch is told then."""
    with pytest.raises(BadRequest):
        await embedded.notify_batch([Note("alice", "fine"), Note("alice", "room-message")])
    assert await embedded.notify_batch([]) == []
    assert embedded.app.settings["server"].ready is False


async def test_the_example_does_what_it_says(tmp_path: Path) -> None:
    """As a process of its own: its user reads the room and is notified of its own code's work."""
    script = ROOT / "examples" / "embedded.py"
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, "--port", "0", "--data-dir", tmp_path / "data", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int((await process.stdout.readline()).rpartition(b":")[2].strip().strip(b"/"))
        ada = {"Cookie": "session=s3cret-of-ada"}
        told = await Reader.open(port, "/api/clients/ada/sse", None, ada)
        room = await Reader.open(port, "/events", {"roomId": "orders", "username": "Ada"}, ada)
        await room.event("system")
        await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/orders/7/ship?user=ada", method="POST", body="")
        assert (await told.event("order_shipped"))["data"] == {"order_id": "7"}
        await room.message("Order 7 is on its way.")
        process.terminate()
        assert (await room.event("closing"))["reason"] == "draining"
        assert await process.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()


async def test_no_personal_stream_without_a_user(chat: Chat) -> None:
    """Whom neither side knows is refused."""
    assert (await mine(chat, ok=False)).status == 401


async def test_sign_outs_of_one_user_are_counted(chat: Chat) -> None:
    """The program signs its users in with each request, and each sign-out would be kept in mind."""
    headers = {"X-User": "ann"}
    for _ in range(SIGNOUTS):
        assert (await chat.post("/api/auth/signout", None, None, headers=headers)).status == 204
    assert (await chat.post("/api/auth/signout", None, None, headers=headers)).status == 429
    assert (await chat.post("/api/auth/signout", None, None, headers={"X-User": "bob"})).status == 204
