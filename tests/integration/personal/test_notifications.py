"""Notifications: what programs tell one user (section 7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.chat import Answer, Chat
from tests.helpers.den import ending
from tests.helpers.personal import mine
from tests.helpers.reader import Reader, data

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]


async def tell(chat: Chat, role: str = "service", **body: Any) -> Answer:
    return await chat.post("/api/notifications", body, "robot", role=role)


async def told(chat: Chat, **body: Any) -> str:
    """Tells what must be taken; returns its id."""
    answer = await tell(chat, **{"type": "task_updated", "data": {}, **body})
    assert answer.status == 201, answer
    id: str = answer.data["id"]
    return id


async def listen(
    chat: Chat, user: str = "alice", path: str = "", position: str = "", asker: str = "", role: str = "user"
) -> Reader:
    """Opens a user's notifications; `path` follows the user's id."""
    headers = {"Authorization": f"Bearer {chat.token(asker or user, role=role)}"}
    if position:
        headers["Last-Event-ID"] = position
    reader = await chat.stream(f"/api/clients/{user}/sse{path}", None, headers)
    return reader


async def test_told_as_a_named_event(chat: Chat) -> None:
    """With all that it was given, its id and the time."""
    reader = await listen(chat)
    system = await reader.event("system")
    assert (system["userId"], system["recovered"]) == ("alice", True)
    assert system["lastEventId"] == reader.last_event_id
    id = await told(chat, userId="alice", data={"task_id": 7}, sessionId=42, sourceClientId="tab-1")
    event = await reader.event("task_updated")
    assert isinstance(event.pop("timestamp"), int)
    assert event == {
        "id": id, "type": "task_updated", "data": {"task_id": 7}, "sessionId": "42", "sourceClientId": "tab-1",
    }  # fmt: skip
    assert reader.last_event_id == id


async def test_several_users_in_one_commit(chat: Chat) -> None:
    """All get the same one, each once; who is not named gets nothing."""
    readers = {user: await listen(chat, user) for user in ("alice", "bob", "carol")}
    id = await told(chat, userIds=["alice", "bob", "alice"], data=1)
    for user in readers:
        await told(chat, userId=user, type="end")
        await readers[user].event("end")
    got = {user: [data(event)["id"] for event in reader.seen[1:-1]] for user, reader in readers.items()}
    assert got == {"alice": [id], "bob": [id], "carol": []}


async def test_only_those_of_the_session_when_given(chat: Chat) -> None:
    """Without one all of the user's; the personal stream has them all, too."""
    one, all_of_them, personal = await listen(chat, path="?session_id=s1"), await listen(chat), await mine(chat)
    assert (await one.event("system"))["sessionId"] == "s1"
    for session in ({"sessionId": "s2"}, {}, {"sessionId": "s1"}):
        await told(chat, userId="alice", data=session, **session)
    assert (await one.event("task_updated"))["sessionId"] == "s1"
    for reader in (all_of_them, personal):
        assert [(await reader.event("task_updated")).get("sessionId") for _ in range(3)] == ["s2", None, "s1"]


async def test_resumed_without_a_gap(chat: Chat) -> None:
    """Durable: told while nobody listened, and polled for."""
    reader = await listen(chat)
    await reader.event("system")
    reader.close()
    ids = [await told(chat, userId="alice", data=n) for n in range(3)]
    again = await listen(chat, position=reader.last_event_id)
    assert (await again.event("system"))["missed"] == 3
    assert [(await again.event("task_updated"))["id"] for _ in range(3)] == ids
    page = (await chat.get(f"/api/clients/alice/sse?poll=1&lastEventId={ids[0]}")).data
    assert [event["id"] for event in page["events"]] == ids


async def test_who_may_listen(chat: Chat) -> None:
    """The user, and programs."""
    for asker, role, status in (("bob", "user", 403), ("bob", "agent", 403), ("robot", "service", 200)):
        assert (await listen(chat, asker=asker, role=role)).status == status
    assert (await chat.get("/api/clients/alice/sse", None)).status == 401
    for odd in ("%FF", "%00", "a%20b%2Fc"):
        answer = await listen(chat, odd, asker="robot", role="service")
        assert answer.status == (200 if "2F" in odd else 400)
    reader = await listen(chat, "a%20b%2Fc", asker="robot", role="service")
    await told(chat, userId="a b/c")
    await reader.event("task_updated")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "x", "data": {}}, 400),
        ({"userId": "a", "userIds": ["b"], "type": "x", "data": {}}, 400),
        ({"userIds": [], "type": "x", "data": {}}, 400),
        ({"userIds": ["a"] * 1001, "type": "x", "data": {}}, 400),
        ({"userId": "a", "type": "x"}, 400),
        ({"userId": "a", "type": "Upper", "data": {}}, 400),
        ({"userId": "a", "type": "x" * 65, "data": {}}, 400),
        ({"userId": "a", "type": "room-message", "data": {}}, 400),
        ({"userId": "a", "type": "erased", "data": {}}, 400),
        ({"userId": "a", "type": "x", "data": {}, "sessionId": "a/b"}, 400),
        ({"userId": "a", "type": "x", "data": {}, "sourceClientId": 7}, 400),
        ({"userId": "", "type": "x", "data": {}}, 400),
        ({"userId": "a", "type": "x", "data": "x" * 16385}, 413),
        ({"userId": "a", "type": "x", "data": "x" * (1 << 19)}, 413),
        ({"userId": "a", "type": "x" * 64, "data": None}, 201),
        ({"userIds": ["a"] * 1000, "type": "x", "data": ["x" * 16000]}, 201),
    ],
)
async def test_what_may_be_told(chat: Chat, body: dict[str, Any], status: int) -> None:
    """Within bounds, and by no name of ours."""
    assert (await tell(chat, **body)).status == status


async def test_who_may_tell(chat: Chat) -> None:
    """Programs and operators; that is asked before the body is looked at."""
    body = {"userId": "alice", "type": "x", "data": {}}
    for role, status in (("user", 403), ("agent", 403), ("service", 201), ("admin", 201)):
        assert (await tell(chat, role, **body)).status == status
    assert (await tell(chat, "user")).status == 403
    assert (await chat.post("/api/notifications", body, None)).status == 401


async def test_a_client_has_one_stream(chat: Chat) -> None:
    """A second one of the same clientId takes its place; more than ten in a minute are refused."""
    first = await listen(chat, path="?clientId=tab")
    for _ in range(10):
        second = await listen(chat, path="?clientId=tab")
        assert await ending(first) == {"reason": "replaced", "reconnect": False}
        first = second
    assert (await listen(chat, path="?clientId=tab")).status == 409


@pytest.mark.options(heartbeat=0.05)
async def test_heartbeat(chat: Chat) -> None:
    """As on every stream."""
    await (await listen(chat)).event("heartbeat")
