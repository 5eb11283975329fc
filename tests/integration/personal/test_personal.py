"""The personal stream: all rooms joined in one, in the order of the log, by the rights at delivery."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from chatrooms.log.event import parse_id
from chatrooms.rooms import joined as memberships
from chatrooms.streams import topic as tails
from tests.helpers.chat import Chat
from tests.helpers.den import DEN, MEMBER, OWNER, STRANGER, ending, invited, must
from tests.helpers.personal import joined_rooms, mine
from tests.helpers.reader import Reader, data

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]


async def test_first_event_tells_who_and_which_rooms(chat: Chat) -> None:
    """And it has an id, so that who has seen nothing else can resume."""
    await chat.call("PUT", "/api/rooms/tea/membership")
    reader = await mine(chat)
    system = await reader.event("system")
    assert system["userId"] == "alice"
    assert [room["roomId"] for room in system["rooms"]] == ["tea"]
    assert (system["recovered"], system["missed"], system["heartbeat"]) == (True, 0, 25)
    assert system["streamId"] and system["message"]
    assert system["lastEventId"] == reader.last_event_id != ""
    assert reader.retry and 500 <= reader.retry <= 1500


async def test_a_room_is_joined_with_its_first_stream(chat: Chat) -> None:
    """The running personal stream is told, and carries the room from then on; closing the tab changes nothing."""
    await chat.say("tea", "before")
    reader = await mine(chat)
    await reader.event("system")
    tab = await chat.join("tea")
    told = await reader.event("room-joined")
    assert (told["roomId"], told["userId"]) == ("tea", "alice")
    assert set(told) == {"id", "roomId", "userId", "timestamp"}
    tab.close()
    await chat.say("tea", "after", user="bob")
    await reader.message("after")
    assert reader.messages() == ["after"]


async def test_a_room_is_joined_once(chat: Chat) -> None:
    """However many streams and calls there are."""
    reader = await mine(chat)
    for _ in range(2):
        await chat.join("tea", clientId="tab")
        assert (await chat.call("PUT", "/api/rooms/tea/membership")).status == 204
    await chat.post("/api/rooms/tea/leave", {"clientId": "tab"})
    await chat.say("tea", "end")
    await reader.message("end")
    assert reader.types() == ["system", "room-joined", "room-message"]


async def test_membership_ends_when_asked_for(chat: Chat) -> None:
    """Told as `room-left`; leaving again is harmless, and coming back begins anew."""
    reader = await mine(chat)
    for method in ("PUT", "DELETE", "DELETE"):
        assert (await chat.call(method, "/api/rooms/tea/membership")).status == 204
    told = await reader.event("room-left")
    assert (told["roomId"], told["reason"]) == ("tea", "left")
    await chat.say("tea", "not for me")
    await chat.call("PUT", "/api/rooms/tea/membership")
    await chat.say("tea", "for me")
    await reader.message("for me")
    assert reader.types() == ["system", "room-joined", "room-left", "room-joined", "room-message"]
    assert await joined_rooms(chat, "alice") == ["tea"]


@pytest.mark.parametrize(("path", "method", "reason"), [("kick", "POST", "kicked"), ("bans/mia", "PUT", "banned")])
async def test_kick_and_ban_end_membership(chat: Chat, path: str, method: str, reason: str) -> None:
    """In the step in which they are obeyed: nothing of the room comes after it."""
    await must(chat, OWNER, "PUT", DEN, {"private": True})
    await invited(chat, MEMBER)
    reader = await mine(chat, MEMBER)
    assert [room["roomId"] for room in (await reader.event("system"))["rooms"]] == ["den"]
    await must(chat, OWNER, method, f"{DEN}/{path}", {"userId": MEMBER})
    await chat.say("den", "secret", user=OWNER)
    told = await reader.event("room-left")
    assert (told["roomId"], told["reason"]) == ("den", reason)
    await notified(chat, MEMBER, "end")
    await reader.event("note")
    assert reader.types() == ["system", "room-left", "note"]


async def notified(chat: Chat, user: str, text: str) -> None:
    """Tells a user something beside all rooms."""
    body = {"userId": user, "type": "note", "data": {"text": text}}
    assert (await chat.post("/api/notifications", body, "robot", role="service")).status == 201


async def test_a_room_that_became_private_is_not_delivered(chat: Chat) -> None:
    """To who is no member; what members are told stays in order, and when it opens again all get it."""
    await must(chat, OWNER, "PUT", DEN, {"title": "Den"})
    await invited(chat, MEMBER)
    await must(chat, STRANGER, "PUT", f"{DEN}/membership")
    readers = {user: await mine(chat, user) for user in (OWNER, MEMBER, STRANGER)}
    await must(chat, OWNER, "PUT", f"{DEN}/membership")
    await chat.say("den", "open", user=OWNER)
    await must(chat, OWNER, "PUT", DEN, {"private": True})
    await chat.say("den", "closed", user=OWNER)
    assert "den" not in await joined_rooms(chat, STRANGER)
    for user in readers:
        await notified(chat, user, "between")
        await readers[user].event("note")
    await must(chat, OWNER, "PUT", DEN, {"private": False})
    await chat.say("den", "open again", user=OWNER)
    for reader in readers.values():
        await reader.message("open again")
    assert readers[OWNER].messages() == readers[MEMBER].messages() == ["open", "closed", "open again"]
    assert readers[STRANGER].messages() == ["open", "open again"]


async def test_rights_count_for_what_is_resumed(chat: Chat) -> None:
    """A position from before the room became private brings nothing of it."""
    await must(chat, OWNER, "PUT", DEN)
    await must(chat, STRANGER, "PUT", f"{DEN}/membership")
    reader = await mine(chat, STRANGER)
    await reader.event("system")
    await chat.say("den", "was public", user=OWNER)
    await must(chat, OWNER, "PUT", DEN, {"private": True})
    await notified(chat, STRANGER, "end")
    again = await mine(chat, STRANGER, position=reader.last_event_id)
    assert (await again.event("system"))["missed"] == 1
    assert (await again.event("note"))["data"] == {"text": "end"}
    assert again.messages() == []


async def test_an_invite_joins(chat: Chat) -> None:
    """A private room's member need not open it first."""
    await must(chat, OWNER, "PUT", DEN, {"private": True})
    reader = await mine(chat, MEMBER)
    await invited(chat, MEMBER)
    await chat.say("den", "welcome", user=OWNER)
    await reader.message("welcome")
    assert reader.types() == ["system", "room-joined", "room-message"]


async def test_replay_gives_the_present_text(chat: Chat) -> None:
    """Edited messages as they are now, deleted ones not at all, also from the tail of an open stream."""
    await chat.call("PUT", "/api/rooms/tea/membership")
    keeper = await mine(chat)
    await keeper.event("system")
    position = keeper.last_event_id
    first, second = [await chat.say("tea", text) for text in ("one", "two")]
    path = "/api/rooms/tea/messages/"
    assert (await chat.call("PATCH", path + first["id"], {"message": "uno"})).status == 200
    assert (await chat.call("DELETE", path + second["id"])).status == 204
    again = await mine(chat, position=position)
    assert (await again.event("room-message"))["message"] == "uno"
    await again.event("message-deleted")
    assert again.messages() == ["uno"]
    await keeper.event("message-deleted")


async def test_it_is_no_presence(chat: Chat) -> None:
    """Nobody sees who reads a personal stream, and it gets no ephemerals."""
    reader = await mine(chat)
    await chat.call("PUT", "/api/rooms/tea/membership")
    other = await chat.join("tea", user="bob")
    assert (await chat.get("/api/rooms/tea", "bob")).data["onlineCount"] == 1
    assert (await chat.post("/api/rooms/tea/typing", {}, "bob")).status == 204
    await other.event("typing")
    await chat.say("tea", "end")
    await reader.message("end")
    assert reader.types() == ["system", "room-joined", "room-message"]


async def test_a_poll_gives_the_same_as_a_stream(chat: Chat) -> None:
    """In pages, from any position."""
    await chat.call("PUT", "/api/rooms/tea/membership")
    first = (await chat.get("/events?poll=1")).data
    assert [event["event"] for event in first["events"]] == ["system"]
    said = [message["id"] for message in await chat.say_all("tea", [f"m{n}" for n in range(250)])]
    got: list[str] = []
    page = first
    while True:
        page = (await chat.get(f"/events?poll=1&lastEventId={page['lastEventId']}")).data
        got += [event["id"] for event in page["events"][1:]]
        if not page["more"]:
            break
    assert got == said


async def test_unnamed_form(chat: Chat) -> None:
    """For clients that read by `onmessage`: everything has its type in its data, and ids are as everywhere."""
    await chat.call("PUT", "/api/rooms/tea/membership")
    reader = await mine(chat, unnamed=True)
    confirmed = await reader.event("message")
    assert (confirmed["type"], confirmed["user_id"]) == ("connection_confirmed", "alice")
    assert confirmed["connected_chats"] == ["tea"] and isinstance(confirmed["timestamp"], int)
    assert reader.last_event_id
    said = await chat.say("tea", "hello", user="bob")
    assert await reader.event("message") == {"type": "new_message", "message": said, "chat_id": "tea"}
    assert reader.last_event_id == said["id"]
    await notified(chat, "alice", "note")
    told = await reader.event("message")
    assert (told["type"], told["data"]) == ("note", {"text": "note"})
    await chat.call("DELETE", "/api/rooms/tea/membership")
    assert (await reader.event("message"))["type"] == "room-left"
    again = await mine(chat, unnamed=True, position=said["id"])
    assert (await again.event("message"))["recovered"] is True
    assert [(await again.event("message"))["type"] for _ in range(2)] == ["note", "room-left"]
    assert b"event:" not in reader.body + again.body


@pytest.mark.options(heartbeat=0.05)
async def test_heartbeats_of_both_forms(chat: Chat) -> None:
    """Named, and as `ping`."""
    named, unnamed = await mine(chat), await mine(chat, unnamed=True)
    assert isinstance((await named.event("heartbeat"))["timestamp"], int)
    await unnamed.until(lambda event: data(event)["type"] == "ping")


async def test_expiry_and_extension(chat: Chat) -> None:
    """As of any stream: warned at once when little is left, and extended by the clientId it was told."""
    reader = await mine(chat, ttl=30)
    client_id = (await reader.event("system"))["clientId"]
    await reader.event("token-expiring")
    assert (await chat.post("/api/auth/extend", {"clientId": client_id})).status == 200


async def test_sign_out_ends_it(chat: Chat) -> None:
    """In both forms."""
    tokens = (await chat.post("/api/auth/guest", {"username": "Gast"}, None)).data
    named = await mine(chat, token=tokens["token"])
    unnamed = await mine(chat, token=tokens["token"], unnamed=True)
    headers = {"Authorization": f"Bearer {tokens['token']}"}
    await chat.post("/api/auth/signout", {}, None, headers=headers)
    assert await ending(named) == {"reason": "revoked", "reconnect": False}
    last = data((await unnamed.rest())[-1])
    assert (last["type"], last["reason"]) == ("closing", "revoked")


async def test_a_deleted_account_loses_its_memberships(chat: Chat) -> None:
    """Nothing of what it had joined is left."""
    body = {"username": "Grace", "email": "grace@example.org", "password": "correct horse"}
    token = (await chat.post("/api/signup", body, None)).data["token"]
    headers = {"Authorization": f"Bearer {token}"}
    await chat.call("PUT", "/api/rooms/tea/membership", None, None, headers=headers)
    assert await chat.server.database.fetch("select room_id from memberships") == [("tea",)]
    done = await chat.call("DELETE", "/api/auth/me", {"password": "correct horse"}, None, headers=headers)
    assert done.status == 204
    assert await chat.server.database.fetch("select room_id from memberships") == []


@pytest.mark.options(max_streams_per_user=1)
async def test_limits_are_told_softly_to_who_comes_back(chat: Chat) -> None:
    """A first request gets the 429."""
    reader = await mine(chat)
    await reader.event("system")
    assert (await mine(chat, ok=False)).status == 429
    refused = await mine(chat, position=reader.last_event_id, unnamed=True)
    assert data(await refused.next()) == {"type": "closing", "reason": "too-many-streams", "reconnect": True}
    assert refused.retry and 5000 <= refused.retry <= 15000


async def test_token_in_the_query_is_the_room_form(chat: Chat) -> None:
    """Without a room that is 400; nobody at all is 401; somebody else 403."""
    token = chat.token("alice")
    assert (await chat.get(f"/events?token={token}", None)).status == 400
    assert (await chat.get("/events", None)).status == 401
    assert (await chat.get("/events?userId=bob")).status == 403
    assert (await chat.get("/events?clientId=tab")).status == 400


async def test_by_ticket_and_cookie(chat: Chat) -> None:
    """As any stream."""
    ticket = (await chat.post("/api/auth/ticket")).data["ticket"]
    first = await Reader.open(chat.port, "/events", {"ticket": ticket})
    assert (await first.event("system"))["userId"] == "alice"
    cookie = {"Cookie": f"chatrooms_token={chat.token('alice')}"}
    second = await Reader.open(chat.port, "/events", None, cookie)
    assert (await second.event("system"))["userId"] == "alice"
    first.close()
    second.close()


@pytest.mark.options(message_rate=0)
@pytest.mark.parametrize("tail", [5, 1000])
async def test_no_gap_no_repeat_over_fifty_rooms_and_a_hundred_drops(
    chat: Chat, tail: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While twenty writers post: every event once, in the order of the log; from the tail, and from the log."""
    monkeypatch.setattr(tails, "TAIL_FRAMES", tail)
    monkeypatch.setattr(memberships, "FIRST_SPAN", tail)
    rooms = [f"r{n}" for n in range(50)]
    for room in rooms:
        assert (await chat.call("PUT", f"/api/rooms/{room}/membership", user="alice")).status == 204
    reader = await mine(chat)
    await reader.event("system")
    position, got = reader.last_event_id, []
    said: list[int] = []
    going = True

    async def write(number: int) -> None:
        chosen = random.Random(number)
        while going:
            message = await chat.say(chosen.choice(rooms), "x", user=f"w{number}")
            said.append(seq_of(message))

    writers = [asyncio.create_task(write(number)) for number in range(20)]
    chosen = random.Random(0)
    for _ in range(100):
        for _ in range(chosen.randint(0, 30)):
            event = await reader.next()
            position = event.last_event_id
            if event.type == "room-message":
                got.append(seq_of(data(event)))
        reader.close()
        reader = await mine(chat, position=position)
    going = False
    await asyncio.gather(*writers)
    while len(got) < len(said):
        event = await reader.next()
        if event.type == "room-message":
            got.append(seq_of(data(event)))
    assert got == sorted(said)


def seq_of(message: dict[str, Any]) -> int:
    """The place of a message in the log."""
    position = parse_id(message["id"])
    assert position is not None
    return position.seq


async def test_who_leaves_in_the_commit_of_the_joining_may_join_again(chat: Chat) -> None:
    """What is remembered of memberships follows the order of the log, be they new or not."""
    who, memberships = chat.tokens.verify(chat.token(MEMBER)), chat.server.memberships
    for _ in range(2):
        await asyncio.gather(memberships.join(who, "tea"), memberships.leave(who, "tea"))
        assert await joined_rooms(chat, MEMBER) == []
        await memberships.join(who, "tea")
        assert await joined_rooms(chat, MEMBER) == ["tea"]
        memberships.forget()
