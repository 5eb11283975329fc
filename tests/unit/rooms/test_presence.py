"""Who is in a room: members, announcements, large rooms."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from chatrooms.rooms import presence as rules
from chatrooms.rooms.presence import LISTED, Presence
from chatrooms.sse import Parser, ServerEvent
from tests.helpers.chat import eventually

pytestmark = pytest.mark.gen_test(timeout=30)


class Told:
    """A room that writes down what it is told."""

    def __init__(self, limit: int = 200) -> None:
        self.frames: list[bytes] = []
        self.emptied = 0
        self.presence = Presence("lobby", limit, self.frames.append, self._count)

    def _count(self) -> None:
        self.emptied += 1

    def events(self) -> list[ServerEvent]:
        return Parser().feed(b"".join(self.frames))

    def names(self) -> list[str]:
        return [f"{e.type} {json.loads(e.data)['username']}" for e in self.events()]


async def test_first_stream_is_a_join_and_last_one_a_leave() -> None:
    """However many there are between."""
    room = Told()
    one = room.presence.enter("1", "Ann")
    assert room.presence.enter("1", "Ann") is one
    room.presence.release(one, 0)
    assert room.names() == ["user-joined Ann"]
    room.presence.release(one, 0)
    assert room.names() == ["user-joined Ann", "user-left Ann"]
    assert (room.presence.count, room.emptied) == (0, 1)


async def test_member_is_user_and_name() -> None:
    """One user under two names is two members; two users of one name, too."""
    room = Told()
    for user, name in (("1", "Ann"), ("1", "Bob"), ("2", "Ann")):
        room.presence.enter(user, name)
    assert room.presence.count == 3
    assert len(room.presence.find("1")) == 2


async def test_members_are_found_by_user_as_long_as_they_are_there() -> None:
    """And by user it is known who is elsewhere, in whatever room."""
    elsewhere: Counter[str] = Counter()
    one, two = [Presence(name, 200, lambda frame: None, lambda: None, elsewhere=elsewhere) for name in "ab"]
    ann, nan = one.enter("1", "Ann"), one.enter("1", "Nan")
    one.release(ann, 0)
    assert (one.find("1"), one.users()) == ((nan,), {"1"})
    for presence in (one, two):
        for node in ("x", "y"):
            presence.enter_elsewhere(("1", "Nan"), node)
            presence.enter_elsewhere(("1", "Nan"), node)
    assert elsewhere == {"1": 4}
    for presence in (one, two):
        for node in ("x", "y"):
            presence.leave_elsewhere(("1", "Nan"), node)
            presence.leave_elsewhere(("1", "Nan"), node)
    assert (not elsewhere, one.find("1"), two.find("1"), two.users()) == (True, (nan,), (), set())
    one.release(nan, 0)
    assert (one.find("1"), one.users()) == ((), set())


async def test_return_within_the_grace_announces_nothing() -> None:
    """The timer is gone, too: it does not fire later."""
    room = Told()
    member = room.presence.enter("1", "Ann")
    room.presence.release(member, 60)
    assert member.leaving is not None
    assert room.presence.enter("1", "Ann") is member
    assert member.leaving is None
    assert room.names() == ["user-joined Ann"]


async def test_member_leaves_after_the_grace() -> None:
    """When it has not come back."""
    room = Told()
    room.presence.release(room.presence.enter("1", "Ann"), 0.01)
    assert room.presence.count == 1
    await eventually(lambda: room.emptied == 1)
    assert room.names() == ["user-joined Ann", "user-left Ann"]


async def test_leave_in_the_grace_is_told_once() -> None:
    """The timer does not tell it again, and a second leave does nothing."""
    room = Told()
    member = room.presence.enter("1", "Ann")
    room.presence.release(member, 0.01)
    timer = member.leaving
    room.presence.leave(member)
    room.presence.leave(member)
    assert timer is not None and timer.cancelled()
    assert room.names() == ["user-joined Ann", "user-left Ann"]


async def test_leave_of_a_member_with_a_stream_does_nothing() -> None:
    """Another tab is still open."""
    room = Told()
    room.presence.leave(room.presence.enter("1", "Ann"))
    assert room.presence.count == 1


async def test_member_that_left_and_came_back_is_a_new_one() -> None:
    """What the old one still releases does not touch it."""
    room = Told()
    old = room.presence.enter("1", "Ann")
    room.presence.release(old, 0)
    new = room.presence.enter("1", "Ann")
    assert new is not old
    room.presence.leave(old)
    assert room.presence.count == 1


async def test_polls_count_as_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many polls come in a row, and beside open streams."""
    monkeypatch.setattr(rules, "POLL_HOLD", 0.01)
    room = Told()
    for _ in range(3):
        room.presence.poll("1", "Ann")
    assert room.names() == ["user-joined Ann"]
    await eventually(lambda: room.emptied == 1)
    assert room.names() == ["user-joined Ann", "user-left Ann"]


async def test_ended_poll_is_not_ended_twice() -> None:
    """Taking back what was not counted would hide an open stream."""
    room = Told()
    member = room.presence.poll("1", "Ann")
    room.presence.enter("1", "Ann")
    room.presence.end_poll(member)
    room.presence.end_poll(member)
    assert (member.streams, room.presence.count) == (1, 1)


async def test_large_room_is_told_its_state_instead_of_each_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """One `presence` for many joins; it stays so a little below the limit, then joins are told again."""
    monkeypatch.setattr(rules, "PRESENCE_INTERVAL", 0.01)
    room = Told(limit=10)
    members = [room.presence.enter(str(n), f"u{n}") for n in range(15)]
    assert [e.type for e in room.events()] == ["user-joined"] * 10
    await eventually(lambda: len(room.frames) == 11)
    assert json.loads(room.events()[-1].data)["onlineCount"] == 15
    for member in members[:5]:
        room.presence.release(member, 0)
    assert room.presence.count == 10
    await eventually(lambda: len(room.frames) == 12)
    assert room.events()[-1].type == "presence"
    room.presence.release(members[5], 0)
    assert room.events()[-1].type == "user-left"


async def test_limit_of_zero_tells_everybody() -> None:
    """0 turns a limit off."""
    room = Told(limit=0)
    for n in range(300):
        room.presence.enter(str(n), "Ann")
    assert len(room.frames) == 300


def listed(room: Told) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(b"{" + room.presence.listed() + b"}")
    return decoded


async def test_list_of_members_is_cut_and_says_so() -> None:
    """The first 200; one that leaves makes place for the next."""
    room = Told(limit=0)
    members = [room.presence.enter(f"{n:03}", "Ann") for n in range(LISTED)]
    assert listed(room) == {"members": [{"userId": f"{n:03}", "username": "Ann"} for n in range(LISTED)]}
    room.presence.enter("200", "Ann")
    assert listed(room)["membersTruncated"] is True
    room.presence.release(members[0], 0)
    assert listed(room) == {"members": [{"userId": f"{n:03}", "username": "Ann"} for n in range(1, LISTED + 1)]}


async def test_pages_of_members_are_in_order_and_complete() -> None:
    """By user and name, each once, though some leave between."""
    room = Told(limit=0)
    members = [room.presence.enter(f"{n:02}", "Ann") for n in reversed(range(25))]
    first = room.presence.page(None, 10)
    room.presence.release(members[-1], 0)
    second = room.presence.page(first[-1], 10)
    third = room.presence.page(second[-1], 10)
    assert [user for user, _ in first + second + third] == [f"{n:02}" for n in range(25)]


async def test_empty_room_has_no_timer_left() -> None:
    """Its `presence` would be announced to a room of that name made later."""
    room = Told(limit=1)
    members = [room.presence.enter(str(n), "Ann") for n in range(3)]
    timer = room.presence._due
    for member in members:
        room.presence.release(member, 0)
    assert timer is not None and timer.cancelled()
    assert room.emptied == 1


async def test_guest_that_has_become_more_is_one_no_longer() -> None:
    """A guest may get an account under the same name; all are told, and its old stream takes nothing back."""
    frames: list[bytes] = []
    reports: list[tuple[tuple[str, str], bool]] = []
    named: list[tuple[str, bool]] = []
    presence = Presence(
        "lobby",
        200,
        frames.append,
        lambda: None,
        lambda *report: reports.append(report),
        name=lambda *n: named.append(n),
    )
    member = presence.enter("1", "Ann", guest=True)
    assert json.loads(Parser().feed(frames[0])[0].data)["guest"] is True
    assert (presence.is_guest(("1", "Ann")), named) == (True, [])
    presence.enter("1", "Ann")
    presence.enter("1", "Ann", guest=True)
    assert not presence.is_guest(("1", "Ann")) and b"guest" not in presence.listed()
    assert (reports, named) == ([(("1", "Ann"), True)] * 2, [("Ann", True)])
    assert presence._due is not None
    presence._due.cancel()
    presence._announce_state()
    told = Parser().feed(frames[-1])[0]
    assert (told.type, json.loads(told.data)["members"]) == ("presence", [{"userId": "1", "username": "Ann"}])
    for _ in range(3):
        presence.release(member, 0)
    assert named == [("Ann", True), ("Ann", False)]
