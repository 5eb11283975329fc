"""Bounds on what grows by requests, where no other test shows them (docs/security.md, "Filling it")."""

from __future__ import annotations

import pytest

from benchmarks.server_process import SECRET
from chatrooms.personal.notifications import MAX_USERS
from chatrooms.rooms import messages, moderation
from chatrooms.tasks import export
from chatrooms.users import tokens
from chatrooms.users.authenticator import TICKETS
from chatrooms.users.tokens import Tokens
from tests.helpers.chat import Chat

pytestmark = pytest.mark.gen_test(timeout=60)


async def test_tickets_of_one_user_are_counted(chat: Chat) -> None:
    """Each is a row until the hour's housekeeping."""
    statuses = {201}
    for _ in range(5 * TICKETS):  # they refill meanwhile
        statuses.add((await chat.post("/api/auth/ticket")).status)
        if 429 in statuses:
            break
    assert statuses == {201, 429}
    assert (await chat.post("/api/auth/ticket", user="bob")).status == 201


def test_verified_tokens_are_forgotten_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CACHED", 3)
    verifier = Tokens(SECRET)
    for n in range(5):
        verifier.verify(verifier.sign(str(n), None))
    assert [who.user_id for who in verifier._verified.values()] == ["2", "3", "4"]


async def test_rooms_remembered_are_bounded(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "KNOWN_ROOMS", 3)
    for n in range(5):
        await chat.say(f"r{n}", "x")
    assert list(chat.server.messages._known) == ["r3", "r4"]


async def test_bans_and_mutes_of_a_room_are_bounded(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are read with the room's rules."""
    monkeypatch.setattr(moderation, "MAX_RESTRICTIONS", 2)
    await chat.call("PUT", "/api/rooms/club", {})
    for path in ("bans/a", "mutes/b"):
        assert (await chat.call("PUT", f"/api/rooms/club/{path}", {})).status == 200
    assert (await chat.call("PUT", "/api/rooms/club/bans/c", {})).status == 409


@pytest.mark.options(message_rate=3)
async def test_acts_upon_rooms_are_counted(chat: Chat) -> None:
    """An owner could fill the log with bans that come and go."""
    await chat.call("PUT", "/api/rooms/club", {})
    await chat.call("PUT", "/api/rooms/club/bans/a", {})
    await chat.call("DELETE", "/api/rooms/club/bans/a")
    assert (await chat.call("PUT", "/api/rooms/club/bans/a", {})).code == "rate-limited"


@pytest.mark.options(max_exports_per_user=0)
async def test_exports_that_wait_are_bounded(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MAX_WAITING", 2)
    async with chat.server.exports._places, chat.server.exports._places:
        begun = [await chat.post("/api/rooms/lobby/export", user=user) for user in ("a", "b")]
        assert [answer.status for answer in begun] == [202, 202]
        assert (await chat.post("/api/rooms/lobby/export", user="c")).code == "too-many-tasks"
        for user, answer in zip("ab", begun, strict=True):
            await chat.call("PATCH", f"/api/v1/tasks/{answer.data['task_id']}", {"state": "cancelled"}, user)


async def test_a_notification_is_for_so_many(chat: Chat) -> None:
    users = [str(n) for n in range(MAX_USERS + 1)]
    refused = await chat.post("/api/notifications", {"userIds": users, "type": "x", "data": {}}, role="service")
    assert refused.status == 400


@pytest.mark.options(message_rate=2)
async def test_session_messages_of_one_user_are_counted(chat: Chat) -> None:
    for expected in (201, 201, 429):
        assert (await chat.post("/api/messages", {"sessionId": "s", "content": "x"})).status == expected
