"""Several nodes on one database: the same rooms, one presence (section 10)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from benchmarks.nats_server import Nats
from benchmarks.postgres import Postgres
from benchmarks.server_process import SECRET
from chatrooms.app import make_app
from chatrooms.cluster.bus.base import Bus
from chatrooms.errors import ConfigError
from chatrooms.rooms import orders as node_orders
from chatrooms.rooms import remote as neighbours
from chatrooms.streams import channel_orders
from tests.helpers.channel import Subscribed, wanted
from tests.helpers.chat import Chat, eventually, gather
from tests.helpers.personal import joined_rooms, mine
from tests.helpers.reader import Reader, data
from tests.integration.replies.test_room_replies import text_of

pytestmark = pytest.mark.gen_test(timeout=60)

Cluster = Callable[[int], Any]


@asynccontextmanager
async def started(count: int, **options: Any) -> AsyncIterator[list[Chat]]:
    """Nodes in one process, each with its own port."""
    async with AsyncExitStack() as stack:
        chats = []
        for _ in range(count):
            app = make_app(secret=SECRET, ai_delay=0.001, **options)
            server = app.settings["server"]
            await server.start()
            stack.push_async_callback(server.stop)
            sock, port = bind_unused_port()
            http = HTTPServer(app)
            http.add_sockets([sock])
            stack.callback(http.stop)
            chat = Chat(port, server)
            stack.callback(chat.close)
            chats.append(chat)
        yield chats


@pytest.fixture(params=["postgres", "nats"])
def cluster(request: pytest.FixtureRequest, postgres_url: str) -> Cluster:
    options: dict[str, Any] = {"database_url": postgres_url, "leave_grace": 0.2}
    if request.param == "nats":
        nats: Nats = request.getfixturevalue("nats")
        options["bus_url"] = f"{nats.url}/{request.node.name.encode().hex()[:60]}"
    return lambda count: started(count, **options)


def members(chat: Chat, room: str = "lobby") -> list[str]:
    return [name for _, name in chat.server.rooms.members(room, None, 100)]


def ids(reader: Reader) -> list[str]:
    return [data(event)["id"] for event in reader.seen if event.type == "room-message"]


def lose_one(bus: Bus, what: bytes, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Lets a bus lose the next message with these bytes; the list is told."""
    lost: list[bytes] = []
    send = bus.send

    def lossy(channel: str, message: bytes) -> None:
        if not lost and what in message:
            lost.append(message)
        else:
            send(channel, message)

    monkeypatch.setattr(bus, "send", lossy)
    return lost


async def take(reader: Reader, count: int) -> None:
    """Reads until that many messages have come."""
    while len(ids(reader)) < count:
        await reader.event("room-message")


async def test_nodes_serve_one_room(cluster: Cluster) -> None:
    """The same ids in the same order, wherever they are written and read."""
    async with cluster(2) as (one, two):
        readers = [await one.join(user="ann"), await two.join(user="ben")]
        posted = await asyncio.gather(*(chat.say("lobby", f"{n}") for n in range(20) for chat in (one, two)))
        for reader in readers:
            await take(reader, 40)
        assert ids(readers[0]) == ids(readers[1])
        assert sorted(ids(readers[0])) == sorted(message["id"] for message in posted)


@pytest.mark.parametrize("size", [7_999, 8_000, 16_384])
async def test_text_of_any_length_comes_as_it_was(cluster: Cluster, size: int) -> None:
    """A NOTIFY takes less than 8,000 bytes: what is longer must not be lost nor changed on its way."""
    text = ("é😀字x" * size).encode()[:size].decode(errors="ignore")
    text += "." * (size - len(text.encode()))
    async with cluster(2) as (one, two):
        readers = [await one.join(user="ann"), await two.join(user="ben")]
        posted = await one.say("lobby", text)
        for reader in readers:
            assert await reader.event("room-message") == posted
        assert posted["message"] == text and len(text.encode()) == size


async def test_reader_resumes_on_another_node(cluster: Cluster) -> None:
    """Also when that one has not heard yet of the last that it saw."""
    async with cluster(2) as (one, two):
        last = (await one.say_all("lobby", [str(n) for n in range(50)]))[39]["id"]
        reader = await two.join(user="ann", lastEventId=last)
        assert data(reader.seen[0])["recovered"] is True
        await take(reader, 10)


async def test_presence_is_one(cluster: Cluster) -> None:
    """Counts, joins and leaves over all nodes; a member of two nodes is one, and leaves once."""
    async with cluster(2) as (one, two):
        ann = await one.join(user="ann")
        ben = await two.join(user="ben")
        await ann.event("user-joined")
        await eventually(lambda: members(one) == members(two) == ["ann", "ben"])
        ann_too = await two.join(user="ann", clientId="tab2")
        assert data(ann_too.seen[0])["onlineCount"] == 2
        assert {member["username"] for member in data(ann_too.seen[0])["members"]} == {"ann", "ben"}
        await eventually(lambda: one.server.rooms.presence_of("lobby").is_elsewhere("ann"))
        ann.close()
        await eventually(lambda: not one.server.rooms.presence_of("lobby").here())
        assert members(one) == members(two) == ["ann", "ben"]
        ann_too.close()
        left = await ben.event("user-left")
        assert (left["username"], left["onlineCount"]) == ("ann", 1)
        await eventually(lambda: members(one) == ["ben"])
        assert [event.type for event in ben.seen].count("user-left") == 1


async def test_typing_reaches_readers_on_other_nodes(cluster: Cluster) -> None:
    async with cluster(2) as (one, two):
        ben = await two.join(user="ben")
        await eventually(lambda: members(one) == ["ben"])
        await one.post("/api/rooms/lobby/typing", {}, "ann")
        assert (await ben.event("typing"))["userId"] == "ann"


async def test_reply_in_a_room_is_seen_on_other_nodes(cluster: Cluster) -> None:
    """Its chunks, and the message that it becomes."""
    async with cluster(2) as (one, two):
        ben = await two.join(user="ben")
        await eventually(lambda: members(one) == ["ben"])
        await one.say("lobby", "@ai hello")
        await ben.event("bot-chunk")
        while not (await ben.event("room-message")).get("isFromBot"):
            pass


async def test_who_comes_while_a_reply_is_written_elsewhere_gets_its_text_so_far(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reader there, and a second one; also when the bus has lost a chunk."""
    async with cluster(2) as (one, two):
        one.server.replies._provider._delay = 0.05
        await one.say("lobby", "@ai hello")
        await eventually(lambda: any(len(reply.pieces) > 5 for reply in one.server.running_replies.sent))
        first = await two.join(user="ben")
        assert (await first.event("bot-chunk"))["reset"] is True
        await first.event("bot-chunk")
        second = await two.join(user="cem")
        assert (await second.event("bot-chunk"))["reset"] is True
        lost = lose_one(one.server.nodes._bus, b"bot-chunk", monkeypatch)
        for reader in (first, second):
            final = await reader.until(lambda event: '"isFromBot":true' in event.data)
            assert text_of(reader.seen) == data(final)["message"]
        assert len(lost) == 1
        third = await two.join(user="dan")
        await one.say("lobby", "that was all")
        await third.message("that was all")
        assert "bot-chunk" not in third.types()
        assert two.server.running_replies.state_of("lobby") == b""


async def test_kick_and_sign_out_reach_every_node(cluster: Cluster) -> None:
    """Whichever node takes the order."""
    async with cluster(2) as (one, two):
        ben = await two.join(user="ben")
        answer = await one.call("POST", "/api/rooms/lobby/kick", {"userId": "ben"}, "root", role="admin")
        assert answer.status == 204
        assert (await ben.event("closing"))["reason"] == "kicked"


async def test_personal_stream_follows_what_happens_on_other_nodes(cluster: Cluster) -> None:
    """Joining, messages and notifications, leaving, a room that closes; and it is resumed on any node."""
    async with cluster(2) as (one, two):
        reader = await mine(one)
        await reader.event("system")
        await two.join("tea")
        assert (await reader.event("room-joined"))["roomId"] == "tea"
        said = [(await chat.say("tea", "x", user="bob"))["id"] for chat in (one, two, one)]
        body = {"userId": "alice", "type": "note", "data": 1}
        assert (await two.post("/api/notifications", body, "robot", role="service")).status == 201
        await reader.event("note")
        assert ids(reader) == said
        again = await mine(two, position=data(reader.seen[0])["lastEventId"])
        await again.event("note")
        assert ids(again) == said
        assert (await two.call("DELETE", "/api/rooms/tea/membership")).status == 204
        await one.say("tea", "not for alice", user="bob")
        await reader.event("room-left")
        assert await joined_rooms(one, "alice") == []
        await one.join("tea")  # what this node kept in mind about it has gone
        assert (await reader.event("room-joined"))["roomId"] == "tea"
        assert ids(reader) == said


async def test_members_of_a_dead_node_leave_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those who are elsewhere by then."""
    monkeypatch.setattr(neighbours, "NODE_LEASE", 1.5)
    monkeypatch.setattr(neighbours, "BEAT", 0.3)
    async with cluster(3) as (one, two, dead):
        watcher = await one.join(user="watcher")
        await dead.join(user="ann")
        await dead.join(user="ben")
        await eventually(lambda: members(one) == members(two) == ["ann", "ben", "watcher"])
        await dead.server.remote_presence.close()  # it does not beat any more, nor say who left
        await two.join(user="ben")
        left = await watcher.event("user-left")
        assert left["username"] == "ann"
        await eventually(lambda: members(one) == members(two) == ["ben", "watcher"])
        assert [data(e)["username"] for e in watcher.seen if e.type == "user-left"] == ["ann"]


async def test_node_that_slept_is_there_again(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was buried; its next beat takes a new lease, and says again who is there."""
    async with cluster(2) as (one, two):
        await one.join(user="ann")
        await eventually(lambda: members(two) == ["ann"])
        async with two.server.database.transaction() as tx:
            await tx.execute("delete from nodes where node = $1", one.server.nodes.name)
            await tx.execute("delete from presence where node = $1", one.server.nodes.name)
        two.server.remote_presence.drop(one.server.nodes.name)
        assert members(two) == []
        await eventually(lambda: members(two) == ["ann"])


async def test_stream_of_the_same_client_replaces_the_one_on_another_node(cluster: Cluster) -> None:
    """The newest one stays, wherever it is."""
    async with cluster(2) as (one, two):
        for old, new in ((one, two), (two, one)):
            before = await old.join(user="ann", clientId="tab")
            await eventually(lambda new=new: members(new) == ["ann"])  # type: ignore[misc]
            after = await new.join(user="ann", clientId="tab")
            assert (await before.event("closing"))["reason"] == "replaced"
            await one.say("lobby", "still there")
            await after.message("still there")


async def test_leaving_and_extending_reach_the_stream_on_another_node(cluster: Cluster) -> None:
    """By its clientId."""
    async with cluster(2) as (one, two):
        reader = await one.join(user="ann", clientId="tab")
        await eventually(lambda: members(two) == ["ann"])
        (stream,) = one.server.hub.streams
        before = stream.expires_at
        headers = {"Authorization": f"Bearer {two.token('ann', ttl=5000)}"}
        assert (await two.post("/api/auth/extend", {"clientId": "tab"}, None, headers=headers)).status == 200
        await eventually(lambda: stream.expires_at > before + 1000)
        assert (await two.post("/api/rooms/lobby/leave", {"clientId": "tab"}, "ann")).status == 204
        assert (await reader.event("closing"))["reason"] == "left"
        await eventually(lambda: members(one) == members(two) == [])
        assert (await two.post("/api/auth/extend", {"clientId": "tab"}, "ann")).status == 404


async def test_database_that_lost_events_begins_a_new_epoch(
    cluster: Cluster, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """As a replica does that was promoted without the last of them: their numbers are given again."""
    async with cluster(2) as (one, two):
        readers = [await one.join(user="ann"), await two.join(user="ben")]
        said = [await one.say("lobby", f"{n}") for n in range(6)]
        await one.call("PUT", "/api/rooms/tea/membership", user="eve")
        for reader in readers:
            await take(reader, 6)
        seq = said[2]["id"].split("-")[1]
        lose = f"delete from event_topics where seq > {seq}; delete from events where seq > {seq}; "
        lose += "delete from memberships where user_id = 'eve'; update log_mark set seq = 0"  # nor was that there yet
        await asyncio.to_thread(postgres.sql, "test", lose)
        after = await two.say("lobby", "after")
        assert after["id"].split("-")[0] != said[0]["id"].split("-")[0]
        for reader in readers:
            told = await reader.event("closing")
            assert (told["reason"], told["reconnect"]) == ("restored", True)
        more = await one.say("lobby", "more")
        await one.call("PUT", "/api/rooms/tea/membership", user="eve")
        assert await joined_rooms(one, "eve") == ["tea"]
        for chat in (one, two):
            again = await chat.join(user="cem", lastEventId=said[5]["id"])
            assert data(again.seen[0])["recovered"] is False
            again.close()
            page = (await chat.get("/api/rooms/lobby/messages")).data["messages"]
            assert [m["message"] for m in page] == ["0", "1", "2", "after", "more"] and page[3:] == [after, more]
            assert (await chat.get("/readyz")).status == 200
            resumed = await chat.join(user="dan", lastEventId=after["id"])
            assert data(resumed.seen[0])["recovered"] is True
            await resumed.message("more")
        lines = [record for record in caplog.records if "lost events" in record.getMessage()]
        assert len(lines) == 2, "one of each node"


async def test_set_of_a_shared_connection_is_changed_by_way_of_any_node(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Added, refused and removed there; neither token nor ticket goes through the log, and nothing without bound."""
    monkeypatch.setattr(channel_orders, "CHANGES", 5)
    async with cluster(2) as (one, two):
        many = await Subscribed.open(one, [wanted(one, "a")])
        ticket = (await two.post("/api/auth/ticket", user="c")).data["ticket"]
        asked = [wanted(one, "b", "garden"), {**wanted(one, "c"), "token": None, "ticket": ticket}]
        await many.add(*asked, wanted(one, "bad", token="none"), chat=two)
        await many.answers(["b", "c", "bad"])
        assert [event.type for event in many.of("bad")] == ["refused"]
        await two.say("garden", "flowers")
        await many.message("b", "flowers")
        await many.remove("b", chat=two)
        assert (await many.event("b", "closing"))["reason"] == "unsubscribed"
        await two.join(user="a", clientId="a")
        assert (await many.event("a", "closing"))["reason"] == "replaced"
        await two.say("lobby", "still there")
        await many.message("c", "still there")
        rows = await one.server.database.fetch("select data from events where type = 'subscriptions-changed'")
        log = "".join(str(row) for row in rows)
        assert len(rows) == 2 and "garden" in log
        assert ticket not in log and str(asked[0]["token"]) not in log
        head = await one.server.database.fetch("select max(seq) from events")
        made_up = [f"{chat.server.nodes.name}.{rest}" for chat in (one, two) for rest in ("none", "none.none")]
        for id in ("none", *made_up, many.stream_id[:-1], f"{many.stream_id}0"):
            assert (await two.post(f"/api/streams/{id}/subscriptions", wanted(one, "d"))).status == 404
            assert (await two.call("DELETE", f"/api/streams/{id}/subscriptions/d")).status == 404
        assert head == await one.server.database.fetch("select max(seq) from events")  # nothing was ordered
        path = f"/api/streams/{many.stream_id}/subscriptions/none"
        answers = await gather(*(two.call("DELETE", path) for _ in range(50)))
        assert 429 in {answer.status for answer in answers} <= {204, 429}


async def test_orders_in_the_log_are_bounded(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that one user gives by leaving or extending elsewhere; and how large a change of subscriptions is."""
    monkeypatch.setattr(node_orders, "ORDERS", 3)
    async with cluster(2) as (one, two):
        many = await Subscribed.open(two, [wanted(two, "ann")])
        await eventually(lambda: members(one) == ["ann"])
        body = {"clientId": "another"}
        left = await gather(*(one.post("/api/rooms/lobby/leave", body, "ann") for _ in range(6)))
        assert sorted(answer.status for answer in left) == [204] * 3 + [429] * 3
        assert (await one.post("/api/auth/extend", {"clientId": "ann"}, "ann")).status == 429
        large = [wanted(two, f"k{n}", history="x" * 2000) for n in range(20)]
        path = f"/api/streams/{many.stream_id}/subscriptions"
        assert (await one.post(path, large, None)).code == "too-large"
        orders = (
            "select count(*) from events where type in ('client-left', 'streams-extended', 'subscriptions-changed')"
        )
        assert [tuple(row) for row in await one.server.database.fetch(orders)] == [(3,)]


async def test_stolen_stream_id_changes_nothing_on_another_node_either(cluster: Cluster) -> None:
    """There it is not known who has which key: what is ordered by others is left out where it is."""
    async with cluster(2) as (one, two):
        many = await Subscribed.open(one, [wanted(one, "a")])
        await many.add(wanted(one, "a", "garden", user="eve"), chat=two)
        await many.add(wanted(one, "a", token="none"), chat=two)
        await many.remove("a", chat=two, user="eve")
        await many.add(wanted(one, "b"), chat=two)  # after those
        await many.answers(["b"])
        await two.say("garden", "flowers")
        await two.say("lobby", "still there")
        await many.message("a", "still there")
        assert {"refused", "closing"}.isdisjoint(event.type for event in many.reader.seen)
        assert [event.type for event in many.of("a")].count("system") == 1


async def test_start_without_its_bus_leaves_nothing_open(postgres_url: str) -> None:
    """It says so in one line, and may be tried again."""
    server = make_app(secret=SECRET, database_url=postgres_url, bus_url="nats://127.0.0.1:1").settings["server"]
    for _ in range(2):
        with pytest.raises(ConfigError, match="bus cannot be reached"):
            await server.start()
        assert server.log._closing and not server.ready


async def test_shared_database_needs_a_secret(postgres_url: str) -> None:
    """Or each node would make one of its own."""
    with pytest.raises(ConfigError, match="needs --secret"):
        make_app(database_url=postgres_url)


async def test_guests_are_told_apart_on_every_node(cluster: Cluster) -> None:
    """By what is heard of them, and by what is read; and a guest cannot look like somebody on another node."""
    async with cluster(2) as (a, b):
        ann = await a.join(user="ann")
        signed_in = (await b.post("/api/auth/guest", {"username": "Guy"}, None)).data
        await b.read(username="Guy", token=signed_in["token"])
        assert (await ann.event("user-joined"))["guest"] is True
        told = (await a.get("/api/rooms/lobby/members")).data["members"]
        assert [(member["username"], member.get("guest")) for member in told] == [("ann", None), ("Guy", True)]
        await eventually(lambda: members(b) == ["ann", "Guy"])
        assert (await b.post("/api/auth/guest", {"username": "Аnn"}, None)).code == "name-taken"
        async with cluster(1) as (c,):  # it reads the table
            await eventually(lambda: members(c) == ["ann", "Guy"])
            assert [m.get("guest") for m in (await c.get("/api/rooms/lobby/members")).data["members"]] == [None, True]


async def test_orders_of_one_user_are_counted(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a row of the log: who extends or leaves again and again would fill it."""
    monkeypatch.setattr(node_orders, "ORDERS", 3)
    async with cluster(2) as (a, b):
        await b.join(user="alice", clientId="phone")
        await eventually(lambda: members(a) == ["alice"])
        extended = [(await a.post("/api/auth/extend", {"clientId": "phone"})).status for _ in range(4)]
        assert extended == [200, 200, 200, 429]
        assert (await a.post("/api/rooms/lobby/leave", {"clientId": "phone"})).code == "rate-limited"
        await a.join(user="bob")
        assert (await a.post("/api/rooms/lobby/leave", {"clientId": "x"}, "bob")).status == 204
