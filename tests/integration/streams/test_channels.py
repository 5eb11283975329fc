"""Several streams over one connection: POST /events with subscriptions (section 6)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from chatrooms.errors import Forbidden
from chatrooms.logs import redact
from chatrooms.streams import channels
from chatrooms.streams.channels import Subscription
from chatrooms.streams.resume import Start
from tests.helpers.channel import Subscribed, post_events, wanted
from tests.helpers.chat import Chat, eventually
from tests.helpers.reader import Reader, data

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.every_engine]


async def test_post_opens_the_stream_that_get_opens(chat: Chat) -> None:
    """With the fields of the query in the body, the token too; what is in neither comes from the query."""
    posted = await chat.say_all("lobby", ["one", "two", "three"])
    body = {"token": chat.token("ann"), "roomId": "lobby", "username": "Ann", "lastEventId": posted[0]["id"]}
    reader = await post_events(chat, body)
    system = await reader.event("system")
    assert (system["userId"], system["username"], system["recovered"]) == ("ann", "Ann", True)
    await reader.message("three")
    assert reader.messages() == ["two", "three"]
    assert b"sub:" not in reader.body
    page = await chat.post("/events?roomId=lobby", {"username": "ann", "history": 2, "poll": 1}, "ann")
    assert [event["data"]["message"] for event in page.data["events"][1:]] == ["two", "three"]


async def test_each_subscription_is_a_stream_of_its_own(chat: Chat) -> None:
    """Its own user, room and position, told apart by `sub:`; one `streamId` for all."""
    first = await chat.say("lobby", "before")
    await chat.say("lobby", "after")
    many = await Subscribed.open(
        chat,
        [wanted(chat, "a"), wanted(chat, "b", lastEventId=first["id"]), wanted(chat, "c", "garden", history=5)],
    )
    await chat.say("garden", "flowers")
    await many.message("c", "flowers")
    await chat.say("lobby", "live")
    await many.message("a", "live")
    await many.message("b", "live")
    assert (many.texts("a"), many.texts("b"), many.texts("c")) == (["live"], ["after", "live"], ["flowers"])
    systems = {event.sub: data(event) for event in many.reader.seen if event.type == "system"}
    assert {key: system["userId"] for key, system in systems.items()} == {"a": "a", "b": "b", "c": "c"}
    assert len({system["streamId"] for system in systems.values()}) == 1
    assert all(event.last_event_id for event in many.reader.seen if event.type == "system")
    assert all(event.sub for event in many.reader.seen)
    assert b"\r\n\r\nsub: " in many.reader.first_write  # the head is in the same write
    assert len(chat.server.hub.streams) == 3


async def test_what_cannot_be_had_is_refused_alone(chat: Chat) -> None:
    """With the status, code and sentence of the call; the others go on."""
    many = await Subscribed.open(
        chat,
        [
            wanted(chat, "a"),
            wanted(chat, "bad-token", token="none"),
            wanted(chat, "bad-ticket", token=None, ticket="none"),
            wanted(chat, "other-user", userId="somebody"),
            wanted(chat, "no-room", roomId=None),
            wanted(chat, "history", history=201),
        ],
    )
    refused = {event.sub: data(event) for event in many.reader.seen if event.type == "refused"}
    assert {key: (told["key"], told["status"], told["code"]) for key, told in refused.items()} == {
        "bad-token": ("bad-token", 401, "token-invalid"),
        "bad-ticket": ("bad-ticket", 401, "ticket-invalid"),
        "other-user": ("other-user", 403, "user-mismatch"),
        "no-room": ("no-room", 400, "bad-id"),
        "history": ("history", 400, "bad-field"),
    }
    assert all(told["error"] for told in refused.values())
    await chat.say("lobby", "go on")
    await many.message("a", "go on")


async def test_connection_without_any_ends(chat: Chat) -> None:
    """Nobody holds a connection open without having been let in."""
    reader = await post_events(chat, {"subscriptions": [wanted(chat, "a", token="none")]})
    assert [event.type for event in await reader.rest()] == ["refused", "closing"]
    assert data(reader.seen[-1]) == {"reason": "refused", "reconnect": False}
    assert reader.seen[-1].sub == ""
    assert chat.server.channels.get("") is None and not chat.server.channels._channels


@pytest.mark.options(max_streams_per_user=2)
async def test_refusal_that_passes_says_when(chat: Chat) -> None:
    """Each subscription counts as a stream."""
    asked = [wanted(chat, key, room, "ann") for key, room in (("a", "1"), ("b", "2"), ("c", "3"))]
    many = await Subscribed.open(chat, asked)
    (refused,) = [event for event in many.reader.seen if event.type == "refused"]
    assert (data(refused)["status"], data(refused)["code"]) == (429, "too-many-streams")
    assert data(refused)["retryAfter"] > 0
    assert (await chat.read("5", "ann")).status == 429
    full = await post_events(chat, {"subscriptions": [wanted(chat, "d", "4", "ann")]})
    assert [event.type for event in await full.rest()] == ["refused", "closing"]
    assert data(full.seen[-1])["reconnect"] is True and (full.retry or 0) >= 5000


@pytest.mark.parametrize(
    "subscriptions",
    [
        [], {}, [{"token": "t"}], [{"key": ""}], [{"key": "a/b"}], [{"key": "a\nb"}], [{"key": 1}], ["a"], "a",
        [{"key": "same"}, {"key": "same"}], [{"key": f"k{n}"} for n in range(21)], [{"key": "k", "roomId": 5}],
    ],
)  # fmt: skip
async def test_malformed_set_is_refused_whole(chat: Chat, subscriptions: object) -> None:
    """Before anything is opened."""
    answer = await chat.post("/events", {"subscriptions": subscriptions})
    assert answer.status == 400, answer


async def test_single_post_is_checked_in_order(chat: Chat) -> None:
    """401, then 403, then 400; what is no JSON has no token either."""
    assert (await chat.post("/events", b"{", None)).status == 401
    assert (await chat.post("/events", b"{")).code == "bad-json"
    assert (await chat.post("/events", {"token": "none"}, None)).status == 401
    assert (await chat.post("/events", {"userId": "bob"}, "ann")).status == 403
    assert (await chat.post("/events", {"userId": "bob", "roomId": "lobby"}, "ann")).status == 403
    assert (await chat.post("/events", {"userId": "ann", "roomId": "lobby"}, "ann")).status == 400
    assert (await chat.post("/events", {"token": chat.token("ann")}, None)).status == 400
    assert (await chat.post("/events", {"history": "x", "roomId": "lobby", "username": "ann"}, "ann")).status == 400


async def test_set_changes_while_the_stream_runs(chat: Chat) -> None:
    """Added, removed, and added again with a position; the others notice nothing."""
    many = await Subscribed.open(chat, [wanted(chat, "a")])
    await many.add(wanted(chat, "b"), wanted(chat, "c", "garden"))
    await many.answers("bc")
    await chat.say("lobby", "one")
    await many.message("b", "one")
    position = many.position("b")
    await many.remove("b")
    assert await many.event("b", "closing") == {"reason": "unsubscribed", "reconnect": False}
    await chat.say("lobby", "two")
    await many.add(wanted(chat, "b", lastEventId=position))
    await many.message("b", "two")
    await chat.say("lobby", "three")
    await many.message("a", "three")
    await chat.say("garden", "flowers")
    await many.message("c", "flowers")
    assert many.texts("a") == ["one", "two", "three"]
    assert many.texts("b") == ["one", "two", "three"]
    await many.remove("unknown")


async def test_key_in_use_gives_way(chat: Chat) -> None:
    """The same call again does no harm: `system` comes again, nobody seems to leave, nothing is lost."""
    watcher = await chat.join(user="watcher")
    many = await Subscribed.open(chat, [wanted(chat, "a")])
    await watcher.event("user-joined")
    await many.add(wanted(chat, "a"))
    await many.answers("a")
    await many.add(wanted(chat, "a", "garden"))
    await many.answers("a")
    await chat.say("garden", "flowers")
    await many.message("a", "flowers")
    assert [event.type for event in many.of("a") if event.type == "closing"] == []
    assert len([stream for stream in chat.server.hub.streams if stream.user_id == "a"]) == 1


async def test_stolen_stream_id_changes_nothing_that_is_there(chat: Chat) -> None:
    """A key in use is replaced and ended by its own user only; the reader is told nothing of who tries."""
    many = await Subscribed.open(chat, [wanted(chat, "a"), wanted(chat, "b")])
    path = f"/api/streams/{many.stream_id}/subscriptions"
    for thief, code in ((chat.token("eve"), "forbidden"), (chat.token("b"), "forbidden"), ("none", "token-invalid")):
        for body in (wanted(chat, "a", "garden", token=thief), [wanted(chat, "new"), wanted(chat, "a", token=thief)]):
            answer = await chat.post(path, body, None)
            assert (answer.status, answer.code) == (401 if thief == "none" else 403, code)
    assert (await chat.call("DELETE", f"{path}/a", user=None, headers={"Authorization": "Bearer none"})).status == 401
    assert (await chat.call("DELETE", f"{path}/a", user="eve")).status == 403
    await chat.say("garden", "flowers")
    await chat.say("lobby", "still there")
    await many.message("a", "still there")
    told = [event.type for event in many.of("a") if event.type != "user-joined"]  # b's, if it came later
    assert told == ["system", "room-message"]
    assert many.of("new") == []  # a list is taken whole or not at all
    await many.add(wanted(chat, "a", "garden"))  # its own user
    await many.answers("a")
    await many.remove("a")
    await many.event("a", "closing")
    await many.add(wanted(chat, "a", user="eve"))  # nobody's any more
    await many.answers("a")


async def test_a_stream_ended_without_a_token_leaves_its_key_to_its_user(chat: Chat) -> None:
    """The id of the connection is all that is needed to end one; whoever stole it puts nothing in its place."""
    many = await Subscribed.open(chat, [wanted(chat, "a"), wanted(chat, "b")])
    path = f"/api/streams/{many.stream_id}/subscriptions"
    assert (await chat.call("DELETE", f"{path}/a", user=None)).status == 204
    assert (await many.event("a", "closing"))["reason"] == "unsubscribed"
    taken = await chat.post(path, wanted(chat, "a", "garden", user="eve"), None)
    assert (taken.status, taken.code) == (403, "forbidden")
    await many.add(wanted(chat, "a", "garden"))
    await chat.say("garden", "flowers")
    await many.message("a", "flowers")


async def test_keys_kept_for_their_users_are_bounded(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that a token is needed."""
    monkeypatch.setattr(channels, "RESERVED", 1)
    many = await Subscribed.open(chat, [wanted(chat, "a"), wanted(chat, "b")])
    path = f"/api/streams/{many.stream_id}/subscriptions"
    statuses = [(await chat.call("DELETE", f"{path}/{key}", user=None)).status for key in "ab"]
    assert statuses == [204, 401]
    await many.remove("b")
    await many.event("b", "closing")


async def test_those_about_to_be_let_in_count_and_are_their_users_already(chat: Chat) -> None:
    """However many are asked for at once, no more than twenty are looked at; and their keys are in use."""
    many = await Subscribed.open(chat, [wanted(chat, "a")])
    channels, orders, id = chat.server.channels, chat.server.channel_orders, many.stream_id
    channel = channels.get(id)
    assert channel is not None

    def asked(key: str, user: str) -> Subscription:
        fields = {"roomId": "lobby", "username": user, "clientId": key}
        return Subscription(key, "room", fields, "", chat.tokens.verify(chat.token(user)))

    channels.add(channel, [asked(f"k{n}", "ann") for n in range(50)])
    assert len(channel.coming) == 19
    with pytest.raises(Forbidden):
        await orders.add(id, [asked("k0", "eve")])
    with pytest.raises(Forbidden):
        await orders.remove(id, "k0", "eve")
    await orders.remove(id, "k0", "ann")
    await eventually(lambda: not channel.coming)
    assert len(chat.server.hub.streams) == 19


async def test_no_more_than_twenty(chat: Chat) -> None:
    """In all; a key that is there already is none more."""
    many = await Subscribed.open(chat, [wanted(chat, f"k{n}", user="ann") for n in range(20)])
    await many.add(wanted(chat, "more", user="ann"))
    assert (await many.event("more", "refused"))["code"] == "too-many-subscriptions"
    await many.add(wanted(chat, "k0", user="ann"))
    await many.answers(["k0"])


async def test_unknown_stream_is_404(chat: Chat) -> None:
    """So is a stream that is not shared."""
    single = await chat.join()
    for id in ("none", "none.none", data(single.seen[0])["streamId"]):
        answer = await chat.post(f"/api/streams/{id}/subscriptions", wanted(chat, "a"))
        assert answer.status == 404
        assert (await chat.call("DELETE", f"/api/streams/{id}/subscriptions/a")).status == 404


@pytest.mark.options(heartbeat=0.05, leave_grace=0)
async def test_connection_without_subscriptions_waits_for_some(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """With heartbeats of its own, and for a while only."""
    many = await Subscribed.open(chat, [wanted(chat, "a")])
    await many.remove("a")
    await many.event("a", "closing")
    beats = [await many.reader.until(lambda event: event.type == "heartbeat") for _ in range(3)]
    assert [beat.sub for beat in beats[1:]] == ["", ""]
    await many.add(wanted(chat, "b"))
    await many.answers("b")
    assert (await many.reader.until(lambda event: event.type == "heartbeat" and event.sub == "b")).data
    monkeypatch.setattr(channels, "LINGER", 0.1)
    await many.remove("b")
    last = (await many.reader.rest())[-1]
    assert (last.type, last.sub, data(last)) == ("closing", "", {"reason": "idle", "reconnect": False})


@pytest.mark.options(heartbeat=0.05)
async def test_connection_is_not_idle_while_somebody_is_let_in(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the database takes; and once that is over, it is idle after a while as before."""
    monkeypatch.setattr(channels, "LINGER", 0.1)
    asked, slow, start = asyncio.Event(), asyncio.Event(), chat.server.rooms.start_of

    async def slow_start(*of: Any) -> Start:
        asked.set()
        await slow.wait()
        return await start(*of)

    many = await Subscribed.open(chat, [wanted(chat, "a")])
    monkeypatch.setattr(chat.server.rooms, "start_of", slow_start)
    await many.remove("a")
    await many.add(wanted(chat, "b"))
    await asked.wait()
    for _ in range(6):
        await many.reader.until(lambda event: event.type == "heartbeat" and not event.sub)
    slow.set()
    await many.answers("b")
    await chat.say("lobby", "in time")
    await many.message("b", "in time")
    await many.remove("b")
    assert data((await many.reader.rest())[-1])["reason"] == "idle"


async def test_end_of_one_is_not_the_end_of_others(chat: Chat) -> None:
    """Kicked, replaced by the same client elsewhere, signed out, left: each ends its subscription only."""
    guest = (await chat.post("/api/auth/guest", {"username": "Guest"}, None)).data
    asked = [wanted(chat, key) for key in ("kicked", "replaced", "left", "stays")]
    asked.append({"key": "out", "token": guest["token"], "roomId": "lobby", "username": "Guest"})
    many = await Subscribed.open(chat, asked)
    await chat.call("POST", "/api/rooms/lobby/kick", {"userId": "kicked"}, "root", role="admin")
    assert (await many.event("kicked", "closing"))["reason"] == "kicked"
    await chat.join(user="replaced", clientId="replaced")
    assert (await many.event("replaced", "closing"))["reason"] == "replaced"
    await chat.post("/api/rooms/lobby/leave", {"clientId": "left"}, "left")
    assert (await many.event("left", "closing"))["reason"] == "left"
    await chat.post("/api/auth/signout", None, None, headers={"Authorization": f"Bearer {guest['token']}"})
    assert (await many.event("out", "closing"))["reason"] == "revoked"
    await chat.say("lobby", "still there")
    await many.message("stays", "still there")


async def test_tokens_end_and_are_extended_each_by_itself(chat: Chat) -> None:
    """`token-expiring` and `closing` name the subscription; an extended one goes on."""
    short = {user: chat.token(user, ttl=2) for user in ("ends", "goes-on")}
    many = await Subscribed.open(chat, [wanted(chat, user, token=token) for user, token in short.items()])
    await many.event("goes-on", "token-expiring")
    headers = {"Authorization": f"Bearer {chat.token('goes-on', ttl=900)}"}
    assert (await chat.post("/api/auth/extend", {"clientId": "goes-on"}, None, headers=headers)).status == 200
    assert await many.event("ends", "closing") == {"reason": "token-expired", "reconnect": True}
    await chat.say("lobby", "later")
    await many.message("goes-on", "later")


async def test_resumed_positions_are_each_ones_own(chat: Chat) -> None:
    """Cut anywhere, every subscription goes on where it was."""
    texts = [f"{n} " + "." * 400 for n in range(300)]
    got: dict[str, list[str]] = {f"k{n}": [] for n in range(5)}
    start = (await chat.join()).last_event_id
    position = dict.fromkeys(got, start)
    await chat.say_all("lobby", texts[:100])

    async def ask() -> Reader:
        asked = [wanted(chat, key, lastEventId=position[key]) for key in got]
        return await post_events(chat, {"subscriptions": asked})

    posting = asyncio.create_task(chat.say_all("lobby", texts[100:]))
    cut, reader = 37, await ask()
    while any(len(seen) < len(texts) for seen in got.values()):
        event = await reader.next()
        position[event.sub] = event.last_event_id or position[event.sub]
        if event.type == "room-message":
            got[event.sub].append(data(event)["message"])
        cut -= 1
        if not cut:
            reader.close()
            cut, reader = 201, await ask()
    await posting
    assert all(seen == texts for seen in got.values())


@pytest.mark.options(message_rate=0, heartbeat=0.05)
async def test_slow_reader_of_twenty_gets_everything(chat: Chat) -> None:
    """Whole events, each stream in order, though the kernel cuts wherever its buffers are full.

    The buffer is eight times the smallest one, of 4 KiB, for time's sake only. TCP's window is what the
    reader's buffer has room for, and server and reader share one event loop here: so a turn of the loop
    moves one window, whatever the server does. Two bare sockets, without it: 4,089 bytes a turn of 4 KiB,
    32,836 of 32 KiB. The 2.2 MB of this test are 540 turns or 67, which on a machine with so much to do
    that a turn takes 0.11 s is the limit of 60 s, or 7. (TCP's persist timer is not needed to explain it:
    bare sockets with that buffer, read 400 to 65,536 bytes at a time, never waited 0.1 s for it.)
    """
    keys = [f"k{n}" for n in range(20)]
    asked = [wanted(chat, key, f"room-{n % 4}") for n, key in enumerate(keys)]
    reader = await post_events(chat, {"subscriptions": asked}, receive_buffer=32768)
    await eventually(lambda: len(chat.server.hub.streams) == 20)
    texts = [f"{n} " + "." * (n * 37 % 1500) for n in range(120)]
    for start in range(0, 120, 10):
        await asyncio.gather(*(chat.say_all(f"room-{room}", texts[start : start + 10]) for room in range(4)))
    assert any(stream.stalled_at for stream in chat.server.hub.streams)
    got: dict[str, list[str]] = {key: [] for key in keys}
    while any(len(seen) < len(texts) for seen in got.values()):
        event = await reader.next()
        if event.type == "room-message":
            got[event.sub].append(data(event)["message"])
    assert all(seen == texts for seen in got.values())
    await eventually(lambda: not any(stream.stalled_at for stream in chat.server.hub.streams))  # no wake-up was lost


@pytest.mark.options(message_rate=0, heartbeat=0, write_timeout=0.3)
async def test_connection_that_takes_nothing_ends_with_all_its_streams(chat: Chat) -> None:
    """After write-timeout, as any stream; what it lacks is there when it is back."""
    asked = [wanted(chat, f"k{n}", f"room-{n}") for n in range(3)]
    reader = await post_events(chat, {"subscriptions": asked}, receive_buffer=4096)
    await eventually(lambda: len(chat.server.hub.streams) == 3)
    texts = [f"{n} " + "." * 1000 for n in range(500)]
    await chat.say_all("room-0", texts)
    await eventually(lambda: not chat.server.hub.streams and not chat.server.channels._channels)
    events = [event for event in await reader.rest() if event.sub == "k0"]
    assert len(events) < len(texts)
    again = await Subscribed.open(chat, [wanted(chat, "k0", "room-0", lastEventId=events[-1].last_event_id)])
    await again.message("k0", texts[-1])
    seen = [data(event)["message"] for event in events if event.type == "room-message"]
    assert [*seen, *again.texts("k0")] == texts


async def test_leaving_takes_the_grace(chat: Chat) -> None:
    """The members of a connection that was cut are expected back."""
    watcher = await chat.join(user="watcher")
    many = await Subscribed.open(chat, [wanted(chat, key) for key in "abc"])
    many.reader.close()
    await eventually(lambda: len(chat.server.hub.streams) == 1)
    again = await Subscribed.open(chat, [wanted(chat, key) for key in "abc"])
    await chat.say("lobby", "hello")
    await watcher.message("hello")
    assert watcher.types().count("user-joined") == 3 and "user-left" not in watcher.types()
    assert len(again.of("a")) >= 1


@pytest.mark.options(drain=0.1)
async def test_drain_ends_the_connection_once(chat: Chat) -> None:
    """One `closing` without `sub:`, and none for each; then no more are taken."""
    many = await Subscribed.open(chat, [wanted(chat, key) for key in "abc"])
    draining = asyncio.create_task(chat.server.drain())
    last = (await many.reader.rest())[-1]
    assert (last.type, last.sub, data(last)["reason"]) == ("closing", "", "draining")
    assert many.reader.types().count("closing") == 1
    assert many.reader.retry
    await draining
    assert not chat.server.channels._channels
    assert (await chat.post("/events", {"subscriptions": [wanted(chat, "a")]})).status == 503


async def test_removed_before_it_was_let_in(chat: Chat) -> None:
    """What is taken back while it is looked at never opens."""
    many = await Subscribed.open(chat, [wanted(chat, "a")])
    for _ in range(20):
        await asyncio.gather(many.add(wanted(chat, "b")), many.remove("b"))
        await many.remove("b")
    await eventually(lambda: len(chat.server.hub.streams) == 1)


async def test_stream_id_stays_out_of_the_log(chat: Chat) -> None:
    """Who knows it may add subscriptions."""
    path = f"/api/streams/{'x' * 30}/subscriptions"
    assert "xxx" not in redact(json.dumps({"path": path})) and "xxx" not in redact(f"POST {path} 202")
