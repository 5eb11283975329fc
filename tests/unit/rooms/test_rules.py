"""The rules of a room: who may do what, by rank and by time."""

from __future__ import annotations

import pytest

from chatrooms.errors import Forbidden
from chatrooms.identity import Identity
from chatrooms.log.event import CONTROL
from chatrooms.rooms.rules import FOREVER, Act, Rank, Rules

RULES = Rules(
    private=True,
    owner="olga",
    roles={"max": Rank.MODERATOR, "mia": Rank.MEMBER},
    bans={"ben": FOREVER, "mia": 100.0},
    mutes={"max": 200.0},
    slow_mode=5,
)


def who(user_id: str, role: str = "user") -> Identity:
    return Identity(user_id, None, role, 0.0, "session")


@pytest.mark.parametrize(
    ("user_id", "role", "rank"),
    [
        ("sue", "user", Rank.NONE),
        ("sue", "agent", Rank.NONE),
        ("mia", "user", Rank.MEMBER),
        ("max", "user", Rank.MODERATOR),
        ("olga", "user", Rank.OWNER),
        ("sue", "service", Rank.TRUSTED),
        ("sue", "admin", Rank.TRUSTED),
    ],
)
def test_rank(user_id: str, role: str, rank: Rank) -> None:
    """By the room, or by the token."""
    assert RULES.rank(who(user_id, role)) == rank
    assert RULES.pace(who(user_id, role)) == (5 if rank < Rank.MODERATOR else 0)


@pytest.mark.parametrize(
    ("user_id", "now", "reading", "writing"),
    [
        ("olga", 0, None, None),
        ("sue", 0, "forbidden", "forbidden"),
        ("ben", 1e15, "banned", "banned"),
        ("mia", 99, "banned", "banned"),
        ("mia", 100, None, None),
        ("max", 199, None, "muted"),
        ("max", 200, None, None),
    ],
)
def test_rights_by_time(user_id: str, now: float, reading: str | None, writing: str | None) -> None:
    """A ban or mute is over at the very millisecond that it names."""
    for check, expected in ((RULES.check_read, reading), (RULES.check_write, writing)):
        if expected is None:
            check(who(user_id), now)
        else:
            with pytest.raises(Forbidden) as caught:
                check(who(user_id), now)
            assert caught.value.code == expected
    for role in ("service", "admin"):
        RULES.check_write(who(user_id, role), now)


def test_room_without_rules_is_open_to_all() -> None:
    """The defaults are those of a room that nobody made."""
    Rules().check_write(who("anybody"), 0)
    assert Rules().rank_of("anybody") == Rank.NONE
    assert Rules().pace(who("anybody")) == 0


def test_orders_go_to_every_node_and_records_only_to_the_room() -> None:
    """Both have the same data."""
    act = Act("den", "kicked", "max", 1, "tom")
    assert act.order().topics == (CONTROL, "audit:den")
    assert act.record().topics == ("audit:den",)
    assert act.order().data == act.record().data == (
        b'{"roomId":"den","action":"kicked","actorId":"max","timestamp":1,"userId":"tom"}'
    )  # fmt: skip


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Act("den", "kicked", "a", 1, "b"), "kicked"),
        (Act("den", "banned", "a", 1, "b"), "banned"),
        (Act("den", "left", "b", 1, "b", private=True), "left"),
        (Act("den", "left", "b", 1, "b"), None),
        (Act("den", "muted", "a", 1, "b"), None),
        (Act("den", "changed", "a", 1, private=True), None),
    ],
)
def test_acts_that_end_streams(act: Act, reason: str | None) -> None:
    """Kicks, bans, and leaving what only members may read."""
    assert act.ends == reason
